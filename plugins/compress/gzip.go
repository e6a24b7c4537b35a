package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"github.com/barman-go/barman/sdk/codec"
)

// Every member that we write has this header (RFC 1952, section 2.3): deflate,
// an extra field, no time, unknown system. The extra field holds one subfield,
// "BM": a byte of flags and the size of the whole member, so that members can
// be found without inflating them.
const (
	gzipHeaderSize  = 10 + 2 + 4 + 5
	gzipTrailerSize = 8
	gzipMore        = 1 // flag: another member of the same object follows
)

var gzipHeader = [gzipHeaderSize]byte{0x1f, 0x8b, 8, 4, 9: 255, 10: 9, 12: 'B', 13: 'M', 14: 5}

// gzipEncoder makes one gzip member of each chunk.
type gzipEncoder struct{ level int }

func (g gzipEncoder) encode(w *worker, out, in []byte, at place) ([]byte, error) {
	start := len(out)
	out, err := w.deflate.append(append(out, gzipHeader[:]...), in, g.level)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(in))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(in)))
	member := out[start:]
	if !at.last {
		member[16] = gzipMore
	}
	binary.LittleEndian.PutUint32(member[17:], uint32(len(member)))
	return out, nil
}

// gzipWhole makes one member of an object, as readers want it that know no more
// than one: each chunk becomes deflated blocks that end on a byte (RFC 1951,
// section 3.2.4), and refer to nothing before them.
type gzipWhole struct{ level int }

func (g gzipWhole) encode(w *worker, out, in []byte, at place) ([]byte, error) {
	if at.first {
		out = append(out, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)
	}
	out, err := w.deflate.appendBlocks(out, in, g.level, at.last)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	if at.last {
		out = binary.LittleEndian.AppendUint32(out, at.sum)
		out = binary.LittleEndian.AppendUint32(out, at.size)
	}
	return out, nil
}

// deflater is a worker's flate.Writer, of the level of its only user.
type deflater struct{ w *flate.Writer }

func (d *deflater) append(out, in []byte, level int) ([]byte, error) {
	return d.appendBlocks(out, in, level, true)
}

// appendBlocks leaves the stream open for further blocks unless these are the last.
func (d *deflater) appendBlocks(out, in []byte, level int, last bool) ([]byte, error) {
	b := bytes.NewBuffer(out)
	if d.w == nil {
		w, err := flate.NewWriter(b, level)
		if err != nil {
			return nil, err
		}
		d.w = w
	} else {
		d.w.Reset(b)
	}
	if _, err := d.w.Write(in); err != nil {
		return nil, err
	}
	end := d.w.Flush
	if last {
		end = d.w.Close
	}
	if err := end(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// inflater is a worker's decompressor of members.
type inflater struct{ r io.ReadCloser }

// decode inflates one whole member.
func (i *inflater) decode(out, member []byte) ([]byte, error) {
	if len(member) < gzipHeaderSize+gzipTrailerSize {
		return nil, corruptf("gzip: a member of %d bytes is too small", len(member))
	}
	trailer := member[len(member)-gzipTrailerSize:]
	data := bytes.NewReader(member[gzipHeaderSize : len(member)-gzipTrailerSize])
	if i.r == nil {
		i.r = flate.NewReader(data)
	} else if err := i.r.(flate.Resetter).Reset(data, nil); err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	n, err := io.ReadFull(i.r, out[:cap(out)])
	out = out[:n]
	switch {
	case err == nil:
		return nil, corruptf("gzip: a member holds more than %d bytes, which its size does not allow", n)
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return nil, corruptf("gzip: %v", err)
	case data.Len() > 0:
		return nil, corruptf("gzip: a member's data ends %d bytes before the member", data.Len())
	case binary.LittleEndian.Uint32(trailer[4:]) != uint32(n):
		return nil, corruptf("gzip: a member holds %d bytes instead of %d", n, binary.LittleEndian.Uint32(trailer[4:]))
	case binary.LittleEndian.Uint32(trailer) != crc32.ChecksumIEEE(out):
		return nil, corruptf("gzip: a member's checksum is wrong")
	}
	return out, nil
}

// gzipFormat is how gzip's members are found.
func gzipFormat() format {
	return format{
		codec: codec.Gzip, head: gzipHeaderSize, measure: gzipMemberSize, stream: gzipStream,
		decode: func(w *worker, s *slot) error { return s.replaceOut(w.inflate.decode(s.out[:0], s.in)) },
	}
}

// gzipMemberSize reads what gzipEncoder says about a member.
func gzipMemberSize(head []byte) (size int, more, ours bool) {
	if len(head) < gzipHeaderSize || !bytes.Equal(head[:16], gzipHeader[:16]) {
		return 0, false, false
	}
	size = int(binary.LittleEndian.Uint32(head[17:]))
	return size, head[16]&gzipMore != 0, size >= gzipHeaderSize+gzipTrailerSize && size <= slotSize
}

// gzipStream decompresses one member of unknown size.
func gzipStream(r *bufio.Reader) (piece, error) {
	d, err := gzip.NewReader(r)
	if err != nil {
		return piece{}, corruptf("gzip: %v", err)
	}
	d.Multistream(false)
	return piece{stream: &stream{name: codec.Gzip, r: d, close: func() {}}}, nil
}
