package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/barman-go/barman/sdk"
)

const (
	// maxWindow is the largest window a frame may ask for, the limit of the
	// zstd tool without --long=31. Only frames that ask for it cost it.
	maxWindow = 128 << 20
	// sampleSize is how much of a chunk zstdEncoder.choose looks at.
	sampleSize = 32 << 10
	// fastAllowance is how many percent larger the sample may become with the
	// fast encoder. A sample lacks the history that its chunk has, which the fast
	// encoder profits from more: with 3 % both size and time are least on table
	// data.
	fastAllowance = 3
	// minSampled is the size of a chunk worth choosing for.
	minSampled = 512 << 10
)

// moreFollows is an empty raw block that is not its frame's last (RFC 8878,
// section 3.1.1.2). At the beginning of a frame it tells that another frame
// belongs to the same object. Decoders skip it.
var moreFollows = [3]byte{}

// zstdEncoder makes one zstd frame of each chunk.
type zstdEncoder struct {
	usual *zstd.Encoder
	// fast is a quicker encoder for chunks that usual does not make smaller; nil
	// when there is none.
	fast *zstd.Encoder
}

func newZstdEncoder(level, workers int) (*zstdEncoder, error) {
	speed := zstd.EncoderLevelFromZstd(level)
	usual, err := newZstdWriter(speed, workers)
	if err != nil {
		return nil, err
	}
	e := &zstdEncoder{usual: usual}
	if speed == zstd.SpeedDefault {
		e.fast, err = newZstdWriter(zstd.SpeedFastest, workers)
	}
	return e, err
}

func newZstdWriter(speed zstd.EncoderLevel, workers int) (*zstd.Encoder, error) {
	w, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(speed),
		zstd.WithEncoderConcurrency(workers),
		zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(chunkSize),
		zstd.WithSingleSegment(true),
		zstd.WithZeroFrames(true),
	)
	if err != nil {
		return nil, fmt.Errorf("set up zstd: %w", err)
	}
	return w, nil
}

func (e *zstdEncoder) encode(_ *worker, out, in []byte, at place) ([]byte, error) {
	if at.last {
		return e.choose(out, in).EncodeAll(in, out), nil
	}
	start := len(out)
	out = e.choose(out, in).EncodeAll(in, append(out, moreFollows[:]...))
	frame := out[start:]
	var h zstd.Header
	if err := h.Decode(frame[len(moreFollows):]); err != nil {
		return nil, fmt.Errorf("zstd made a frame that it cannot read: %w", err)
	}
	copy(frame, frame[len(moreFollows):len(moreFollows)+h.HeaderSize])
	copy(frame[h.HeaderSize:], moreFollows[:])
	return out, nil
}

// choose returns the encoder for a chunk. For much of a database's data the
// fast encoder does as well as the usual one, in half the time: for random
// keys and hashes, on which longer searches find nothing, even better. Which
// it is shows a sample, taken from the middle, so the choice depends on the
// chunk alone. out is scratch space.
func (e *zstdEncoder) choose(out, in []byte) *zstd.Encoder {
	if e.fast == nil || len(in) < minSampled {
		return e.usual
	}
	sample := in[len(in)/2:][:sampleSize]
	scratch := out[len(out):]
	usual, fast := len(e.usual.EncodeAll(sample, scratch)), len(e.fast.EncodeAll(sample, scratch))
	if fast <= usual+usual*fastAllowance/100 {
		return e.fast
	}
	return e.usual
}

// zstdDecoder decompresses whole frames; a worker has one.
type zstdDecoder struct{ d *zstd.Decoder }

func (z *zstdDecoder) decode(out, in []byte) ([]byte, error) {
	if z.d == nil {
		d, err := zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecodeAllCapLimit(true),
			zstd.WithDecoderMaxMemory(slotSize),
		)
		if err != nil {
			return nil, fmt.Errorf("set up zstd: %w", err)
		}
		z.d = d
	}
	out, err := z.d.DecodeAll(in, out)
	if err != nil {
		return nil, corruptf("zstd: %v", err)
	}
	return out, nil
}

// zstdSplitter finds the frames of a zstd stream.
type zstdSplitter struct {
	r *bufio.Reader
	// more is set when the last frame said that another one follows.
	more bool
}

func (z *zstdSplitter) next(s *slot) (piece, error) {
	h, err := z.header()
	if err != nil {
		return piece{}, err
	}
	frame := &zstdFrame{r: z.r, remaining: h.HeaderSize, checksum: h.HasCheckSum}
	if !h.HasFCS || h.FrameContentSize > chunkSize {
		z.more = false
		return z.stream(h, frame)
	}
	n, err := io.ReadFull(frame, s.in[:slotSize])
	s.in = s.in[:n]
	switch {
	case err == nil && !frame.complete():
		z.more = false
		return z.stream(h, io.MultiReader(bytes.NewReader(s.in), frame))
	case err != nil && err != io.ErrUnexpectedEOF:
		return piece{}, err
	}
	z.more = frame.more
	return piece{work: func(w *worker, s *slot) error { return s.replaceOut(w.zstd.decode(s.out[:0], s.in)) }}, nil
}

// header returns the header of the next frame, which it leaves to be read, and
// io.EOF at the end of the stream. Skippable frames are skipped.
func (z *zstdSplitter) header() (h zstd.Header, err error) {
	for {
		head, err := z.r.Peek(zstd.HeaderMaxSize)
		switch {
		case err != nil && err != io.EOF:
			return h, err
		case len(head) == 0 && z.more:
			return h, corruptf("zstd: the data ends after a frame that says another one follows")
		case len(head) == 0:
			return h, io.EOF
		}
		if err := h.Decode(head); err == io.ErrUnexpectedEOF {
			return h, corruptf("zstd: the data ends within a frame header")
		} else if err != nil {
			return h, corruptf("zstd: no frame begins where one should: %v", err)
		}
		if !h.Skippable {
			return h, nil
		}
		size := int64(h.HeaderSize) + int64(h.SkippableSize)
		if n, err := io.CopyN(io.Discard, z.r, size); err == io.EOF {
			return h, corruptf("zstd: the data ends within a skippable frame, %d of %d bytes", n, size)
		} else if err != nil {
			return h, err
		}
	}
}

// stream decompresses one frame without having it in memory.
func (z *zstdSplitter) stream(h zstd.Header, frame io.Reader) (piece, error) {
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	if window > maxWindow {
		return piece{}, sdk.Errorf(sdk.Invalid,
			"the zstd frame needs a window of %d bytes, more than %d; decompress it with: zstd -d --long=31", window, maxWindow)
	}
	d, err := zstd.NewReader(frame,
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecodeBuffersBelow(0),
	)
	if err != nil {
		return piece{}, corruptf("zstd: %v", err)
	}
	return piece{stream: &stream{name: "zstd", r: d, close: d.Close}}, nil
}

// zstdFrame reads the bytes of exactly one frame, up to io.EOF at its end.
type zstdFrame struct {
	r *bufio.Reader
	// remaining is what is left of the header, or of the current block.
	remaining int
	checksum  bool
	blocks    int
	last      bool
	// more is set when the frame says that another one follows.
	more bool
}

func (f *zstdFrame) complete() bool { return f.last && f.remaining == 0 }

func (f *zstdFrame) Read(p []byte) (int, error) {
	if f.complete() {
		return 0, io.EOF
	}
	if f.remaining == 0 {
		if err := f.block(); err != nil {
			return 0, err
		}
	}
	n, err := f.r.Read(p[:min(len(p), f.remaining)])
	f.remaining -= n
	if err == io.EOF {
		err = corruptf("zstd: the data ends within a frame, after %d blocks", f.blocks)
	}
	return n, err
}

// block looks at the header of the next block (RFC 8878, section 3.1.1.2): a
// little-endian number of last block flag, type in two bits, and size.
func (f *zstdFrame) block() error {
	b, err := f.r.Peek(3)
	if err == io.EOF {
		return corruptf("zstd: the data ends within a frame, after %d blocks", f.blocks)
	}
	if err != nil {
		return err
	}
	head := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	f.last = head&1 == 1
	kind, size := head>>1&3, head>>3
	const (
		raw = iota
		rle
		compressed
		reserved
	)
	switch kind {
	case reserved:
		return corruptf("zstd: block %d of a frame has the reserved type", f.blocks)
	case rle:
		size = 1
	}
	f.more = f.more || f.blocks == 0 && kind == raw && size == 0 && !f.last
	f.blocks++
	f.remaining = len(b) + size
	if f.last && f.checksum {
		f.remaining += 4
	}
	return nil
}

// stream is a decompressing reader whose errors are corruption.
type stream struct {
	name  string
	r     io.Reader
	close func()
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		err = corruptf("%s: %v", s.name, err)
	}
	return n, err
}

func (s *stream) Close() error {
	s.close()
	return nil
}
