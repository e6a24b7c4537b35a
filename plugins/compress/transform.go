package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
)

// place tells where in its object a chunk is, and for encoders of one stream what
// the object is up to there.
type place struct {
	first, last bool
	sum, size   uint32 // CRC-32 and length of all bytes so far, as gzip has them
}

// encoder compresses the chunks of objects in one format. Its methods may be
// called from several goroutines at once.
type encoder interface {
	// encode appends to out what the chunk in becomes at its place.
	encode(w *worker, out, in []byte, at place) ([]byte, error)
}

// piece is what a splitter found next in a compressed stream: something that a
// worker can decompress from the slot on its own (nil when that is done), or a
// reader of decompressed bytes for what has to be read as a stream. The
// stream's errors are io.EOF and corruption, nothing else.
type piece struct {
	work   func(*worker, *slot) error
	stream io.ReadCloser
}

// splitter takes a compressed stream apart.
type splitter interface {
	// next reads the next piece into the slot. At the end of a complete stream
	// the error is io.EOF; a stream that ends early is io.ErrUnexpectedEOF.
	next(s *slot) (piece, error)
}

// Compressor is the transform.
type Compressor struct {
	shop    *shop
	codec   string
	encoder encoder
	readers sync.Pool

	compression, decompression filter
	// magic is how what compression makes begins, if that is known.
	magic []byte
	// single is set when an object becomes one stream; level is for codecs that one
	// core at a time makes such a stream with.
	single bool
	level  codec.Level
	// unmarked is set when compression makes what is not recognised.
	unmarked bool
}

// New makes the transform that config describes.
func New(config *Config) (*Compressor, error) {
	if err := config.Validate().Err(); err != nil {
		return nil, err
	}
	c := &Compressor{
		shop: newShop(config.workers()), codec: config.codec(),
		compression: filter{"filter", config.Filter}, decompression: filter{"decompression_filter", config.DecompressionFilter},
	}
	c.readers.New = func() any { return bufio.NewReaderSize(nil, 64<<10) }
	var err error
	if c.magic, err = codec.ParseMagic(config.Magic); err != nil {
		return nil, err
	}
	c.unmarked = c.codec == codec.Custom && c.magic == nil
	c.single, c.level = config.SingleStream, config.level()
	c.encoder, err = newEncoder(c.codec, config.level(), config.workers())
	if gzip, ok := c.encoder.(gzipEncoder); ok && c.single {
		c.encoder = gzipWhole(gzip)
	}
	return c, err
}

func newEncoder(name string, level codec.Level, workers int) (encoder, error) {
	switch name {
	case codec.Gzip, codec.Pigz:
		return gzipEncoder{level: level.Number(name)}, nil
	case codec.Bzip2:
		return bzip2Encoder{level: level.Number(name)}, nil
	case codec.XZ:
		return xzEncoder{}, nil
	case codec.LZ4:
		return newLZ4Encoder(level), nil
	case codec.Snappy:
		return snappyEncoder{}, nil
	case codecNone:
		// What looks compressed is wrapped even then; see Encode.
		return newZstdEncoder(1, workers)
	}
	return newZstdEncoder(level.Number(name), workers)
}

// Suffix returns the suffix of the codec's tool: ".gz", ".zst" and so on,
// ".custom" for a filter's work, or nothing.
func (c *Compressor) Suffix() string { return codec.Suffix(c.codec) }

// Encode compresses src.
//
// With the codec none bytes pass through as they are, except for an object
// that Decode would mistake for a compressed one by its first bytes or its
// name: that is put into zstd frames, so that Decode gives back what it was.
func (c *Compressor) Encode(ctx context.Context, o sdk.Object, dst io.Writer, src io.Reader) error {
	in := codec.NewInput(src)
	err := c.encode(ctx, o, dst, in)
	return c.outcome(ctx, "compress", o, in, err)
}

func (c *Compressor) encode(ctx context.Context, o sdk.Object, dst io.Writer, src *codec.Input) error {
	if c.codec == codec.Custom {
		return c.encodeCustom(ctx, dst, src)
	}
	if c.single && c.codec == codec.Bzip2 {
		return encodeStream(c.codec, c.level, dst, src)
	}
	l := c.shop.line(ctx, dst)
	return l.close(c.encodeChunks(l, o, src))
}

// encodeStream compresses an object on one core.
func encodeStream(name string, level codec.Level, dst io.Writer, src io.Reader) error {
	w, err := codec.NewWriter(name, level, dst)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, src)
	return errors.Join(err, w.Close())
}

func (c *Compressor) encodeChunks(l *line, o sdk.Object, src *codec.Input) error {
	var carry []byte
	encode := c.encodeSlot
	var sum, size uint32
	for first := true; ; first = false {
		s, err := l.slot()
		if err != nil {
			return err
		}
		carry, err = s.fill(src, carry)
		if err != nil {
			l.release(s)
			return err
		}
		if first && c.codec == codecNone && !c.mistakable(o.Name, s.in) {
			encode = copySlot
		}
		if c.single {
			sum, size = crc32.Update(sum, crc32.IEEETable, s.in), size+uint32(len(s.in))
		}
		at := place{first: first, last: carry == nil, sum: sum, size: size}
		work := func(w *worker, s *slot) error { return encode(w, s, at) }
		if first && at.last {
			return l.finish(s, work)
		}
		l.submit(s, work)
		if at.last {
			return nil
		}
	}
}

// fill reads one chunk into the slot, beginning with the bytes carried over. It
// reads one byte more than a chunk to learn whether that is the last one;
// this byte is the carry for the next.
func (s *slot) fill(src io.Reader, carry []byte) ([]byte, error) {
	s.in = append(s.in[:0], carry...)
	n, err := io.ReadFull(src, s.in[len(s.in):chunkSize+1])
	s.in = s.in[:len(s.in)+n]
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return nil, nil
	case err != nil:
		return nil, err
	}
	next := []byte{s.in[chunkSize]}
	s.in = s.in[:chunkSize]
	return next, nil
}

func (c *Compressor) encodeSlot(w *worker, s *slot, at place) error {
	return s.replaceOut(c.encoder.encode(w, s.out[:0], s.in, at))
}

func copySlot(_ *worker, s *slot, _ place) error {
	s.in, s.out = s.out, s.in
	return nil
}

// Decode decompresses src, or passes it through when it is not compressed.
// Damaged and incomplete data is an error of kind Corrupt.
func (c *Compressor) Decode(ctx context.Context, o sdk.Object, dst io.Writer, src io.Reader) error {
	in := codec.NewInput(src)
	r := c.readers.Get().(*bufio.Reader)
	r.Reset(in)
	defer func() {
		r.Reset(nil)
		c.readers.Put(r)
	}()
	err := c.decode(ctx, o, dst, r)
	return c.outcome(ctx, "decompress", o, in, err)
}

func (c *Compressor) decode(ctx context.Context, o sdk.Object, dst io.Writer, r *bufio.Reader) error {
	head, err := r.Peek(c.magicSize())
	if err != nil && err != io.EOF {
		return err
	}
	name, cut := c.recognise(head)
	switch {
	case cut:
		return corruptf("the data ends after %d bytes, within the magic number of %s", len(head), name)
	case name == codec.Custom:
		return c.decodeCustom(ctx, dst, r)
	case name == "" && hasSuffix(o.Name):
		return corruptf("its name says that it is compressed, but its data (%d or more bytes, beginning with % x) is not", len(head), head)
	}
	l := c.shop.line(ctx, dst)
	return l.close(decodePieces(l, newSplitter(name, r), r))
}

func newSplitter(name string, r *bufio.Reader) splitter {
	switch name {
	case codec.Gzip:
		return &sizedSplitter{format: gzipFormat(), r: r}
	case codec.Bzip2:
		return &bzip2Splitter{r: r}
	case codec.XZ:
		return &sizedSplitter{format: xzFormat(), r: r}
	case codec.LZ4:
		return &lz4Splitter{r: r}
	case codec.Snappy:
		return &sizedSplitter{format: snappyFormat(), r: r}
	case codec.Zstd:
		return &zstdSplitter{r: r}
	}
	return &plainSplitter{r: r}
}

func decodePieces(l *line, from splitter, r *bufio.Reader) error {
	for first := true; ; first = false {
		s, err := l.slot()
		if err != nil {
			return err
		}
		p, err := from.next(s)
		switch {
		case err != nil:
			l.release(s)
			if err == io.EOF {
				return nil
			}
			return err
		case p.stream != nil:
			err = l.copy(p.stream, s)
			if err != nil {
				return err
			}
		case first && atEOF(r):
			if err := l.finish(s, p.work); err != nil {
				return err
			}
		default:
			l.submit(s, p.work)
		}
	}
}

// copy writes what a stream yields, decompressing while earlier parts are being
// written. s is the slot whose content the stream may still read. It no longer
// counts as the line's, because it does not come back by being written.
func (l *line) copy(stream io.ReadCloser, s *slot) error {
	l.held.Add(-1)
	defer l.shop.release(s)
	defer stream.Close()
	for {
		next, err := l.slot()
		if err != nil {
			return err
		}
		n, err := io.ReadFull(stream, next.out[:chunkSize])
		next.out = next.out[:n]
		if n > 0 {
			l.submit(next, nil)
		} else {
			l.release(next)
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return nil
		case err != nil:
			return err
		}
	}
}

func atEOF(r *bufio.Reader) bool {
	_, err := r.Peek(1)
	return err == io.EOF
}

// plainSplitter yields data that is not compressed.
type plainSplitter struct{ r io.Reader }

func (p *plainSplitter) next(s *slot) (piece, error) {
	n, err := io.ReadFull(p.r, s.out[:chunkSize])
	s.out = s.out[:n]
	if n > 0 && err == io.ErrUnexpectedEOF {
		err = nil
	}
	return piece{}, err
}

// corruption is what is wrong with compressed data.
type corruption struct{ what string }

func (c *corruption) Error() string { return c.what }

func corruptf(format string, args ...any) error {
	return &corruption{fmt.Sprintf(format, args...)}
}

// outcome turns what ended a call into its error: a failed read or write as it
// is, everything else that can go wrong while decompressing as Corrupt.
func (c *Compressor) outcome(ctx context.Context, verb string, o sdk.Object, in *codec.Input, err error) error {
	var damage *corruption
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return sdk.Errorf(sdk.Cancelled, "%s %s: %w", verb, o.Name, context.Cause(ctx))
	case in.Err() != nil:
		return fmt.Errorf("%s %s: %w", verb, o.Name, in.Err())
	case errors.As(err, &damage):
		return sdk.Errorf(sdk.Corrupt, "%s %s: %w; restore it from another copy", verb, o.Name, err)
	}
	return fmt.Errorf("%s %s: %w", verb, o.Name, err)
}
