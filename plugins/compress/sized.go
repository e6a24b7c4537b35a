package main

import (
	"bufio"
	"bytes"
	"io"

	"github.com/barman-go/barman/sdk/codec"
)

// format is how the streams of one codec are taken apart whose chunks say how
// long they are, in a place that other programs do not use.
type format struct {
	codec string
	// head is how much measure needs to see.
	head int
	// measure reads what our encoder says about a chunk: its size when compressed
	// and whether another one follows. ours is false for what other programs
	// made.
	measure func(head []byte) (size int, more, ours bool)
	// decode decompresses the chunk in s.
	decode func(w *worker, s *slot) error
	// stream decompresses what is not ours.
	stream func(r *bufio.Reader) (piece, error)
}

// sizedSplitter finds the chunks of a stream by their sizes.
type sizedSplitter struct {
	format
	r *bufio.Reader
	// more is set when the last chunk said that another one follows.
	more bool
}

func (z *sizedSplitter) next(s *slot) (piece, error) {
	head, err := z.r.Peek(z.head)
	switch {
	case err != nil && err != io.EOF:
		return piece{}, err
	case len(head) == 0 && z.more:
		return piece{}, corruptf("%s: the data ends after a part that says another one follows", z.codec)
	case len(head) == 0:
		return piece{}, io.EOF
	}
	var size int
	var ours bool
	if size, z.more, ours = z.measure(head); !ours {
		return z.stream(z.r)
	}
	n, err := io.ReadFull(z.r, s.in[:size])
	s.in = s.in[:n]
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return piece{}, corruptf("%s: the data ends within a part, after %d of %d bytes", z.codec, n, size)
	}
	if err != nil {
		return piece{}, err
	}
	return piece{work: z.decode}, nil
}

// streamOf returns what decompresses all that is left of a stream. An end
// between two chunks of ours behind what another program made goes unnoticed.
func streamOf(name string) func(r *bufio.Reader) (piece, error) {
	return func(r *bufio.Reader) (piece, error) {
		d, err := codec.NewReader(name, r)
		if err != nil {
			return piece{}, corruptf("%s: %v", name, err)
		}
		return piece{stream: &stream{name: name, r: d, close: func() { _ = d.Close() }}}, nil
	}
}

// decodeChunk returns what decompresses a chunk that is a whole stream.
func decodeChunk(name string) func(*worker, *slot) error {
	return func(_ *worker, s *slot) error {
		d, err := codec.NewReader(name, bytes.NewReader(s.in))
		if err != nil {
			return corruptf("%s: %v", name, err)
		}
		defer d.Close()
		return s.fillOut(name, d)
	}
}

// fillOut fills the slot with all that a decompressor yields: a chunk at most.
func (s *slot) fillOut(name string, d io.Reader) error {
	n, err := io.ReadFull(&stream{name: name, r: d}, s.out[:chunkSize+1])
	s.out = s.out[:n]
	switch err {
	case io.EOF, io.ErrUnexpectedEOF:
		return nil
	case nil:
		return corruptf("%s: a part holds more than %d bytes", name, chunkSize)
	}
	return err
}
