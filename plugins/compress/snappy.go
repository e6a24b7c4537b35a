package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"

	"github.com/barman-go/barman/sdk/codec"
)

// The framing format of snappy (framing_format.txt of the snappy project): a
// stream is a sequence of chunks, and the first one, which may be repeated,
// identifies it. Of each chunk of an object we write an identifier and, in a
// chunk of a kind that decompressors skip, "BM", a byte of flags and the size of
// it all; then the data.
const (
	snappyIdentifierSize = 10
	snappyHeaderSize     = snappyIdentifierSize + 4 + 2 + 1 + 4
	snappySkippable      = 0xb4 // one of 0x80 to 0xfd
	snappyMore           = 1    // flag: more of the same object follows
	snappyBlock          = 64 << 10
)

var snappyHeader = [snappyHeaderSize]byte{0xff, 6, 0, 0, 's', 'N', 'a', 'P', 'p', 'Y', snappySkippable, 7, 0, 0, 'B', 'M'}

type snappyEncoder struct{}

func (snappyEncoder) encode(w *worker, out, in []byte, at place) ([]byte, error) {
	start := len(out)
	// The library writes an identifier of its own: its place is the header's end.
	b := bytes.NewBuffer(append(out, snappyHeader[:snappyHeaderSize-snappyIdentifierSize]...))
	if w.snappy == nil {
		w.snappy = s2.NewWriter(nil, s2.WriterSnappyCompat(), s2.WriterBlockSize(snappyBlock), s2.WriterConcurrency(1))
	}
	w.snappy.Reset(b)
	if _, err := w.snappy.Write(in); err != nil {
		return nil, fmt.Errorf("snappy: %w", err)
	}
	if err := w.snappy.Close(); err != nil {
		return nil, fmt.Errorf("snappy: %w", err)
	}
	out = b.Bytes()
	if len(in) == 0 { // then the library writes nothing at all
		out = append(out, snappyHeader[:snappyIdentifierSize]...)
	}
	header := out[start:]
	copy(header, snappyHeader[:])
	if !at.last {
		header[16] = snappyMore
	}
	binary.LittleEndian.PutUint32(header[17:], uint32(len(header)))
	return out, nil
}

func snappyFormat() format {
	return format{codec: codec.Snappy, head: snappyHeaderSize, measure: snappySize, decode: snappyDecode, stream: snappyStream}
}

func snappyDecode(w *worker, s *slot) error {
	if w.unsnappy == nil {
		w.unsnappy = s2.NewReader(nil, s2.ReaderMaxBlockSize(snappyBlock))
	}
	w.unsnappy.Reset(bytes.NewReader(s.in))
	return s.fillOut(codec.Snappy, w.unsnappy)
}

// snappyStream reads what is not ours. An identifier alone is the beginning of a
// stream that was cut off, or one without content: better an empty object that
// cannot be read than an incomplete one that seems empty.
func snappyStream(r *bufio.Reader) (piece, error) {
	if head, err := r.Peek(snappyIdentifierSize + 1); err == io.EOF && len(head) == snappyIdentifierSize {
		return piece{}, corruptf("snappy: the data ends after the stream's identifier")
	}
	return streamOf(codec.Snappy)(r)
}

// snappySize reads what snappyEncoder says.
func snappySize(head []byte) (size int, more, ours bool) {
	if len(head) < snappyHeaderSize || !bytes.Equal(head[:16], snappyHeader[:16]) {
		return 0, false, false
	}
	size = int(binary.LittleEndian.Uint32(head[17:]))
	return size, head[16]&snappyMore != 0, size >= snappyHeaderSize && size <= slotSize
}
