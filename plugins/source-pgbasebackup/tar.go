package main

import (
	"fmt"
	"io"

	"github.com/barman-go/barman/sdk"
)

const (
	labelName = "backup_label"
	// maxLabel is far beyond what a backup_label can have.
	maxLabel = 64 << 10
)

// tarScanner follows the structure of a tar archive that passes by in pieces.
// It keeps the content of backup_label and knows whether the archive is whole.
type tarScanner struct {
	header [blockSize]byte
	filled int
	skip   int64 // bytes of the current member still to come, padding included
	label  []byte
	want   int64 // bytes of backup_label still to come
	zeros  int   // empty blocks at the end
}

// write looks at the next piece.
func (s *tarScanner) write(p []byte) error {
	for len(p) > 0 {
		if s.skip > 0 {
			n := min(s.skip, int64(len(p)))
			if s.want > 0 {
				k := min(s.want, n)
				s.label = append(s.label, p[:k]...)
				s.want -= k
			}
			s.skip -= n
			p = p[n:]
			continue
		}
		n := copy(s.header[s.filled:], p)
		s.filled += n
		p = p[n:]
		if s.filled < blockSize {
			return nil
		}
		s.filled = 0
		if err := s.begin(); err != nil {
			return err
		}
	}
	return nil
}

func (s *tarScanner) begin() error {
	m, empty, err := parseHeader(&s.header)
	switch {
	case err != nil:
		return err
	case empty:
		s.zeros++
		return nil
	case s.zeros > 0:
		return fmt.Errorf("%w: %q follows the archive's end", errNotTar, m.name)
	}
	s.skip = m.padded()
	if m.name == labelName && m.kind == typeFile && m.size <= maxLabel {
		s.label, s.want = nil, m.size
	}
	return nil
}

// finish tells how many zero bytes the archive lacks at its end: servers before
// PostgreSQL 15 leave the two empty blocks to the client. An archive that ends
// in the middle of a member is an error.
func (s *tarScanner) finish() (missing int, err error) {
	if s.skip > 0 || s.filled > 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return max(0, 2-s.zeros) * blockSize, nil
}

// wholeTar passes an archive through a tarScanner and completes it.
type wholeTar struct {
	r io.Reader
	// terminated tells that the server ends its archives itself, so that one
	// without an end has been cut off.
	terminated bool
	scanner    tarScanner
	ended      bool
	missing    int
	err        error
}

// Read implements io.Reader.
func (t *wholeTar) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	if t.ended {
		return t.complete(p)
	}
	n, err := t.r.Read(p)
	if scan := t.scanner.write(p[:n]); scan != nil {
		t.err = sdk.Errorf(sdk.Corrupt, "the server's archive is damaged: %w", scan)
		return 0, t.err
	}
	if err != io.EOF {
		t.err = err
		return n, err
	}
	t.ended = true
	t.missing, err = t.scanner.finish()
	if err == nil && t.missing > 0 && t.terminated {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		t.err = sdk.Errorf(sdk.Corrupt, "the server's archive is cut off: %w", err)
		return n, t.err
	}
	if n > 0 {
		return n, nil
	}
	return t.complete(p)
}

func (t *wholeTar) complete(p []byte) (int, error) {
	if t.missing == 0 {
		return 0, io.EOF
	}
	n := min(len(p), t.missing)
	clear(p[:n])
	t.missing -= n
	return n, nil
}
