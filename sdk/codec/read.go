package codec

import (
	"bufio"
	"compress/bzip2"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	"github.com/pierrec/lz4/v4"
)

// maxWindow bounds the memory that a file may ask for: zstd's window, xz's
// dictionary. It is what "zstd -d" accepts and twice what "xz -9" makes.
const maxWindow = 128 << 20

// snappyBlock is the most that a chunk of snappy's framing format holds.
const snappyBlock = 64 << 10

// Decoded returns a reader of what r holds, decompressed if it begins like a
// compressed file, and the name of the codec, empty for none. The caller closes
// the reader, which does not close r. See NewReader for its errors.
func Decoded(r io.Reader) (io.ReadCloser, string, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	// A short file is no error here: whoever reads it sees where it ends.
	beginning, err := buffered.Peek(MagicSize)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	name := Detect(beginning)
	if name == "" {
		return io.NopCloser(buffered), "", nil
	}
	d, err := NewReader(name, buffered)
	return d, name, err
}

// NewReader returns a reader of what a codec compressed, on one core. The
// caller closes it, which does not close r. Several streams in a row are one. r
// may be read beyond what was needed.
//
// Data that ends early is io.ErrUnexpectedEOF, from here or from reading; errors
// of r come back as they are; everything else is damage. What asks for more than
// 128 MiB of memory is refused as well.
func NewReader(name string, r io.Reader) (io.ReadCloser, error) {
	d, err := newReader(name, r)
	if err != nil {
		return nil, early(err)
	}
	return &reader{d}, nil
}

func newReader(name string, r io.Reader) (io.ReadCloser, error) {
	switch name {
	case Gzip, Pigz:
		return gzip.NewReader(r)
	case Bzip2:
		return io.NopCloser(bzip2.NewReader(r)), nil
	case XZ:
		d, err := xz.NewReader(r, maxWindow)
		return io.NopCloser(d), err
	case LZ4:
		return io.NopCloser(lz4.NewReader(r)), nil
	case Zstd:
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case Snappy:
		in := &ending{r: r}
		return io.NopCloser(&snappyReader{s2.NewReader(in, s2.ReaderMaxBlockSize(snappyBlock)), in}), nil
	}
	return nil, unknown(name)
}

// snappyReader tells incomplete from damaged data, which the library does not.
// It reads no further than a chunk's end, so that only a chunk which is cut off
// fails at the end of the data.
type snappyReader struct {
	r  io.Reader
	in *ending
}

func (s *snappyReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if errors.Is(err, s2.ErrCorrupt) && s.in.ended {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// ending remembers that its reader has ended.
type ending struct {
	r     io.Reader
	ended bool
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.ended = e.ended || err == io.EOF
	return n, err
}

// reader gives the end of incomplete data one name.
type reader struct{ io.ReadCloser }

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = early(err)
	}
	return n, err
}

func early(err error) error {
	if err == io.EOF || errors.Is(err, xz.ErrBuf) {
		return io.ErrUnexpectedEOF
	}
	return err
}
