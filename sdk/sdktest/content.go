package sdktest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
)

// content is bytes that can be made again at any time, so that large objects
// are never kept.
type content struct {
	seed uint64
	size int64
	fill filling
}

type filling int

const (
	// stamped is zeros with a stamp at the beginning of every block: cheap to
	// make, and a lost, doubled or displaced block shows.
	stamped filling = iota
	// random can't be compressed.
	random
	// text can.
	text
)

const contentBlock = 64 << 10

func (c content) reader() io.Reader {
	r := &contentReader{content: c, block: make([]byte, contentBlock)}
	if c.fill != stamped {
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], c.seed)
		r.source = rand.NewChaCha8(seed)
	}
	return r
}

type contentReader struct {
	content
	source *rand.ChaCha8
	block  []byte
	rest   []byte
	at     int64
}

func (r *contentReader) next() {
	n := min(r.size-r.at, int64(len(r.block)))
	r.rest = r.block[:n]
	switch r.fill {
	case stamped:
		var stamp [16]byte
		binary.LittleEndian.PutUint64(stamp[:], r.seed)
		binary.LittleEndian.PutUint64(stamp[8:], uint64(r.at)+1)
		copy(r.rest, stamp[:])
	case random, text:
		// ChaCha8's Read has no errors.
		_, _ = r.source.Read(r.rest)
	}
	if r.fill == text {
		for i, b := range r.rest {
			r.rest[i] = "etaoin shrdlu\n\x00A"[b%16]
		}
	}
	r.at += n
}

func (r *contentReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.at == r.size {
			return 0, io.EOF
		}
		r.next()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// verify reads r to EOF and tells how it differs from the content; an error of
// the reader is returned as it is.
func (c content) verify(r io.Reader) (difference string, err error) {
	expected := c.reader()
	got, want := make([]byte, contentBlock), make([]byte, contentBlock)
	at := int64(0)
	for {
		n, err := r.Read(got)
		if n > 0 {
			m, _ := io.ReadFull(expected, want[:n])
			if m < n {
				return fmt.Sprintf("more than %d bytes", c.size), nil
			}
			if !bytes.Equal(got[:n], want[:n]) {
				return fmt.Sprintf("other bytes between %d and %d of %d", at, at+int64(n), c.size), nil
			}
			at += int64(n)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
	}
	if at != c.size {
		return fmt.Sprintf("%d bytes instead of %d", at, c.size), nil
	}
	return "", nil
}

// edgeSizes are sizes around every boundary that bytes cross on their way.
func edgeSizes() []int64 {
	return []int64{
		0, 1, 2, 100, 511, 512, 513, 4095, 4096, 4097, 32<<10 - 1, 32 << 10, 32<<10 + 1, 64 << 10, 256<<10 - 1, 256 << 10, 256<<10 + 1,
		1<<20 - 1, 1 << 20, 1<<20 + 1, 3_000_000, 9 << 20,
	}
}
