package main

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/pierrec/lz4/v4"
)

// lz4Splitter finds the frames and blocks of an lz4 stream.
type lz4Splitter struct {
	r *bufio.Reader
	// blockSize is the greatest size of a block in the frame being read; 0
	// between frames.
	blockSize int
}

func (z *lz4Splitter) next(s *slot) (piece, error) {
	for {
		if z.blockSize == 0 {
			p, err := z.begin()
			if err != nil || p.stream != nil {
				return p, err
			}
			continue
		}
		size := z.blockSize
		if err := z.blocks(s); err != nil {
			return piece{}, err
		}
		if len(s.in) > 0 {
			return piece{work: func(_ *worker, s *slot) error { return lz4Blocks(s, size) }}, nil
		}
	}
}

// begin reads a frame header. Frames like ours are taken apart; for all others
// the piece is a stream. At the end of the data the error is io.EOF.
func (z *lz4Splitter) begin() (piece, error) {
	head, err := z.r.Peek(lz4MaxHeader)
	switch {
	case err != nil && err != io.EOF:
		return piece{}, err
	case len(head) == 0:
		return piece{}, io.EOF
	case len(head) < 7:
		return piece{}, corruptf("lz4: the data ends within a frame header")
	}
	magic := binary.LittleEndian.Uint32(head)
	if magic&^0xf == 0x184d2a50 {
		return piece{}, z.skip(8 + int64(binary.LittleEndian.Uint32(head[4:])))
	}
	if magic != lz4Magic {
		return piece{}, corruptf("lz4: no frame begins where one should, but % x", head[:4])
	}
	flags, size := head[4], lz4HeaderSize(head[4])
	if len(head) < size {
		return piece{}, corruptf("lz4: the data ends within a frame header")
	}
	code := head[5] >> 4
	if flags != lz4VersionOne|lz4Independent|lz4BlockChecksum || code < 4 || code > 6 {
		frame := &lz4Frame{r: z.r, remaining: size, flags: flags}
		return piece{stream: &stream{name: "lz4", r: lz4.NewReader(frame), close: func() {}}}, nil
	}
	if head[5]&0x8f != 0 || head[6] != lz4HeaderChecksum(head[4:6]) {
		return piece{}, corruptf("lz4: a frame header is damaged")
	}
	if _, err := z.r.Discard(size); err != nil {
		return piece{}, err
	}
	z.blockSize = 1 << (2*code + 8)
	return piece{}, nil
}

func lz4HeaderSize(flags byte) int {
	size := 4 + 2 + 1
	if flags&lz4HasSize != 0 {
		size += 8
	}
	if flags&lz4HasDictionary != 0 {
		size += 4
	}
	return size
}

func (z *lz4Splitter) skip(size int64) error {
	n, err := io.CopyN(io.Discard, z.r, size)
	if err == io.EOF {
		return corruptf("lz4: the data ends within a skippable frame, %d of %d bytes", n, size)
	}
	return err
}

// blocks reads as many blocks into the slot, with their sizes and checksums, as
// are sure to fit when decompressed, or those up to the frame's end mark.
func (z *lz4Splitter) blocks(s *slot) error {
	for room := chunkSize; room >= z.blockSize; room -= z.blockSize {
		at := len(s.in)
		s.in = s.in[:at+4]
		if _, err := io.ReadFull(z.r, s.in[at:]); err != nil {
			return lz4Cut(err)
		}
		head := binary.LittleEndian.Uint32(s.in[at:])
		if head == 0 {
			s.in = s.in[:at]
			z.blockSize = 0
			return nil
		}
		size := int(head &^ lz4Uncompressed)
		if size > z.blockSize {
			return corruptf("lz4: a block of %d bytes in a frame of blocks of %d bytes", size, z.blockSize)
		}
		s.in = s.in[:at+4+size+4]
		if _, err := io.ReadFull(z.r, s.in[at+4:]); err != nil {
			return lz4Cut(err)
		}
	}
	return nil
}

// lz4Cut is what the end of the data within a frame means.
func lz4Cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return corruptf("lz4: the data ends within a frame")
	}
	return err
}

// lz4Blocks decompresses the blocks that lz4Splitter.blocks read.
func lz4Blocks(s *slot, blockSize int) error {
	for in := s.in; len(in) > 0; {
		head := binary.LittleEndian.Uint32(in)
		size := int(head &^ lz4Uncompressed)
		data, sum := in[4:4+size], binary.LittleEndian.Uint32(in[4+size:])
		in = in[8+size:]
		if sum != xxh32(data) {
			return corruptf("lz4: a block's checksum is wrong")
		}
		if head&lz4Uncompressed != 0 {
			s.out = append(s.out, data...)
			continue
		}
		at := len(s.out)
		n, err := lz4.UncompressBlock(data, s.out[at:at+blockSize])
		if err != nil {
			return corruptf("lz4: a block cannot be decompressed: %v", err)
		}
		s.out = s.out[:at+n]
	}
	return nil
}

// lz4Frame reads the bytes of exactly one frame, up to io.EOF at its end.
type lz4Frame struct {
	r *bufio.Reader
	// remaining is what is left of the header, or of the current block.
	remaining int
	flags     byte
	last      bool
}

func (f *lz4Frame) Read(p []byte) (int, error) {
	if f.remaining == 0 && f.last {
		return 0, io.EOF
	}
	if f.remaining == 0 {
		if err := f.block(); err != nil {
			return 0, lz4Cut(err)
		}
	}
	n, err := f.r.Read(p[:min(len(p), f.remaining)])
	f.remaining -= n
	return n, lz4Cut(err)
}

// block looks at the size of the next block, or the end mark.
func (f *lz4Frame) block() error {
	b, err := f.r.Peek(4)
	if err != nil {
		return err
	}
	head := binary.LittleEndian.Uint32(b)
	f.remaining = len(b)
	switch {
	case head == 0:
		f.last = true
		if f.flags&lz4ContentChecked != 0 {
			f.remaining += 4
		}
		return nil
	case f.flags&lz4BlockChecksum != 0:
		f.remaining += 4
	}
	f.remaining += int(head &^ lz4Uncompressed)
	return nil
}
