package manifest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
)

// trailer passes on what it reads and computes the SHA-256 of all lines but the
// last, which holds that checksum.
type trailer struct {
	r      io.Reader
	hash   hash.Hash
	held   []byte // from the beginning of what may be the last line
	failed error  // of r
}

func newTrailer(r io.Reader) *trailer { return &trailer{r: r, hash: sha256.New()} }

func (t *trailer) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if err != nil && err != io.EOF {
		t.failed = err
	}
	if tooLong := t.add(p[:n]); tooLong != nil {
		return n, tooLong
	}
	return n, err
}

// add hashes all that is not the last line, as far as is known.
func (t *trailer) add(p []byte) error {
	t.held = append(t.held, p...)
	last := bytes.LastIndexByte(t.held, '\n')
	if last < 0 {
		if len(t.held) > maxValue+readSize {
			return fmt.Errorf("a line is longer than %d bytes", maxValue)
		}
		return nil
	}
	// A line is complete: what comes before it is not the last one.
	if before := bytes.LastIndexByte(t.held[:last], '\n'); before >= 0 {
		t.hash.Write(t.held[:before+1])
		t.held = append(t.held[:0], t.held[before+1:]...)
		last -= before + 1
	}
	if last < len(t.held)-1 {
		t.hash.Write(t.held[:last+1])
		t.held = append(t.held[:0], t.held[last+1:]...)
	}
	return nil
}

// finish returns the checksum of all lines but the last.
func (t *trailer) finish() ([]byte, error) {
	if len(t.held) == 0 || t.held[len(t.held)-1] != '\n' {
		return nil, errors.New("its last line has no end: it was cut off")
	}
	return t.hash.Sum(nil), nil
}
