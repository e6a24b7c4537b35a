package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/dsnet/compress/bzip2"

	"github.com/barman-go/barman/sdk/codec"
)

// A stream without content: the magic numbers of a file and of its end, and a
// checksum of nothing. Decompressors skip it.
const (
	bzip2Empty     = "\x17\x72\x45\x38\x50\x90\x00\x00\x00\x00"
	bzip2MarkSize  = 2 * bzip2EmptySize
	bzip2EmptySize = len("BZh2") + len(bzip2Empty)
)

// Two of them, of different block sizes, are a mark: bzip2More stands before a
// stream that another one of the same object follows, bzip2Last before the last
// one of several. What is inside a stream is never like them, because its bits
// are Huffman codes.
var (
	bzip2More = []byte("BZh2" + bzip2Empty + "BZh9" + bzip2Empty)
	bzip2Last = []byte("BZh9" + bzip2Empty + "BZh2" + bzip2Empty)
)

// bzip2Encoder makes one stream of each chunk.
type bzip2Encoder struct{ level int }

func (e bzip2Encoder) encode(w *worker, out, in []byte, at place) ([]byte, error) {
	b := bytes.NewBuffer(out)
	switch {
	case len(in) == 0: // made at level 2 this would be the beginning of a mark
		b.WriteString("BZh9" + bzip2Empty)
		return b.Bytes(), nil
	case !at.last:
		b.Write(bzip2More)
	case !at.first:
		b.Write(bzip2Last)
	}
	if err := e.compress(w, b, in); err != nil {
		return nil, fmt.Errorf("bzip2: %w", err)
	}
	return b.Bytes(), nil
}

func (e bzip2Encoder) compress(w *worker, out io.Writer, in []byte) error {
	if w.bzip2 == nil {
		var err error
		if w.bzip2, err = bzip2.NewWriter(out, &bzip2.WriterConfig{Level: e.level}); err != nil {
			return err
		}
	} else if err := w.bzip2.Reset(out); err != nil {
		return err
	}
	if _, err := w.bzip2.Write(in); err != nil {
		return err
	}
	return w.bzip2.Close()
}

// bzip2Splitter finds the streams that bzip2Encoder made.
type bzip2Splitter struct{ r *bufio.Reader }

func (z *bzip2Splitter) next(s *slot) (piece, error) {
	mark, err := z.r.Peek(bzip2MarkSize)
	switch {
	case err != nil && err != io.EOF:
		return piece{}, err
	case len(mark) == 0:
		return piece{}, io.EOF
	case bytes.Equal(mark, bzip2More):
		return piece{work: decodeChunk(codec.Bzip2)}, z.upToMark(s)
	case len(mark) == bzip2EmptySize && bytes.HasPrefix(bzip2More, mark):
		return piece{}, corruptf("bzip2: the data ends within the mark of a stream that another one follows")
	case bytes.Equal(mark, bzip2Last):
		// Without it, so that nothing behind it is not taken for a stream.
		if _, err := z.r.Discard(bzip2MarkSize); err != nil {
			return piece{}, err
		}
	}
	return streamOf(codec.Bzip2)(z.r)
}

// upToMark reads a mark and what follows it into the slot, up to the next mark.
func (z *bzip2Splitter) upToMark(s *slot) error {
	for from := bzip2MarkSize; ; {
		buffered, err := z.r.Peek(max(bzip2MarkSize, z.r.Buffered()))
		if err == io.EOF {
			return corruptf("bzip2: the data ends within a stream, or after one that says another one follows")
		}
		if err != nil {
			return err
		}
		end := nextMark(buffered, from)
		found := end >= 0
		if !found {
			end = len(buffered) - bzip2MarkSize + 1
		}
		if len(s.in)+end > slotSize {
			return corruptf("bzip2: a stream is longer than its content allows")
		}
		s.in = append(s.in, buffered[:end]...)
		if _, err := z.r.Discard(end); err != nil || found {
			return err
		}
		from = max(0, from-end)
	}
}

// nextMark returns where the first mark begins, looking from an offset on; -1
// if there is none.
func nextMark(b []byte, from int) int {
	at := -1
	for _, mark := range [][]byte{bzip2More, bzip2Last} {
		if from < len(b) {
			if i := bytes.Index(b[from:], mark); i >= 0 && (at < 0 || from+i < at) {
				at = from + i
			}
		}
	}
	return at
}
