package main

import (
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/barman-go/barman/sdk"
)

const (
	labelName = "backup_label"
	// maxLabel is far beyond what a backup_label can have.
	maxLabel = 64 << 10
	// archiveEnd is how many bytes of zeros end an archive.
	archiveEnd = 2 * blockSize
)

// tarScanner follows the structure of a tar archive that passes by block by
// block. It keeps the content of backup_label, knows whether the archive is
// whole, and takes the links of tablespaces out.
//
// They lead to where the tablespaces are on the server. Whoever unpacks the
// archive makes them to where they are to be, before or afterwards: GNU tar puts
// links of the archive in their place, and then the recovered cluster writes
// into the tablespaces of the original one. This is the archive that
// pg_basebackup gets by asking for a tablespace map, but for the map.
type tarScanner struct {
	skip  int64 // bytes of the current member still to come, padding included
	torn  bool  // the archive ends in the middle of a header
	label []byte
	want  int64 // bytes of backup_label still to come
	zeros int   // empty blocks at the end

	limit  int64 // of bytes in an archive, 0 for none
	passed int64 // bytes that were kept of this archive
}

// write looks at the next piece, whole blocks unless it is the last, and moves
// what is to be kept to its beginning. What comes behind taken belongs to another
// archive, because this one is full.
func (s *tarScanner) write(p []byte) (kept, taken int, err error) {
	for rest := p; len(rest) > 0; {
		n := int64(len(rest))
		if s.skip > 0 {
			n = min(s.skip, n)
			if s.want > 0 {
				k := min(s.want, n)
				s.label = append(s.label, rest[:k]...)
				s.want -= k
			}
			s.skip -= n
		} else {
			if n < blockSize {
				s.torn = true
				return kept, len(p), nil
			}
			n = blockSize
			verdict, err := s.begin((*[blockSize]byte)(rest))
			if err != nil {
				return kept, len(p), err
			}
			if verdict == next {
				s.passed = 0
				return kept, len(p) - len(rest), nil
			}
			if verdict == drop {
				rest = rest[n:]
				continue
			}
		}
		if len(p)-len(rest) != kept {
			copy(p[kept:], rest[:n])
		}
		kept += int(n)
		s.passed += n
		rest = rest[n:]
	}
	return kept, len(p), nil
}

// verdict is what becomes of a member.
type verdict int

const (
	keep verdict = iota
	drop         // it is the link of a tablespace
	next         // it begins the next archive
)

// begin takes a header, unless it belongs to the next archive.
func (s *tarScanner) begin(header *[blockSize]byte) (verdict, error) {
	m, empty, err := parseHeader(header)
	switch {
	case err != nil:
		return drop, err
	case empty:
		s.zeros++
		return keep, nil
	case s.zeros > 0:
		return drop, fmt.Errorf("%w: %q follows the archive's end", errNotTar, m.name)
	case m.kind == typeSymlink && path.Dir(m.name) == "pg_tblspc":
		return drop, nil
	case s.limit > 0 && s.passed > 0 && s.passed+blockSize+m.padded()+archiveEnd > s.limit:
		return next, nil
	}
	s.skip = m.padded()
	if m.name == labelName && m.kind == typeFile && m.size <= maxLabel {
		s.label, s.want = nil, m.size
	}
	return keep, nil
}

// finish tells how many zero bytes the archive lacks at its end: servers before
// PostgreSQL 15 leave the two empty blocks to the client. An archive that ends
// in the middle of a member is an error.
func (s *tarScanner) finish() (missing int, err error) {
	if s.skip > 0 || s.torn {
		return 0, io.ErrUnexpectedEOF
	}
	return max(0, archiveEnd-s.zeros*blockSize), nil
}

// wholeTar passes an archive through a tarScanner and completes it. A long one it
// passes as several: Read ends with each of them, another goes to the next.
type wholeTar struct {
	r io.Reader
	// terminated tells that the server ends its archives itself, so that one
	// without an end has been cut off.
	terminated bool
	scanner    tarScanner
	block      [blockSize]byte
	rest       []byte // of block, for a reader that takes less
	held       []byte // was read, and belongs to the next archive
	full       bool   // this archive has ended because there is to be another
	ended      bool
	missing    int
	err        error
}

// another begins the archive that goes on where the one that was read to its end
// was full; without one it returns false.
func (t *wholeTar) another() bool {
	if !t.full || t.err != nil {
		return false
	}
	t.full, t.ended = false, false
	return true
}

// Read implements io.Reader.
func (t *wholeTar) Read(p []byte) (int, error) {
	for len(p) > 0 {
		switch {
		case len(t.rest) > 0:
			n := copy(p, t.rest)
			t.rest = t.rest[n:]
			return n, nil
		case t.err != nil:
			return 0, t.err
		case t.ended:
			return t.complete(p)
		case len(p) < blockSize:
			t.rest = t.block[:t.read(t.block[:])]
			continue
		}
		if n := t.read(p[:len(p)/blockSize*blockSize]); n > 0 {
			return n, nil
		}
	}
	return 0, nil
}

// read fills p, which is of whole blocks, and returns how much of it is to be
// passed on; what else there is to tell it leaves in t.
func (t *wholeTar) read(p []byte) int {
	n := copy(p, t.held)
	t.held = t.held[n:]
	var err error
	if n < len(p) {
		var more int
		more, err = io.ReadFull(t.r, p[n:])
		n += more
	}
	kept, taken, damage := t.scanner.write(p[:n])
	if damage != nil {
		t.err = sdk.Errorf(sdk.Corrupt, "the server's archive is damaged: %w", damage)
		return 0
	}
	if taken < n {
		t.held = slices.Concat(p[taken:n], t.held)
		t.full, t.ended, t.missing = true, true, archiveEnd
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			t.err = err
		}
		return kept
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		t.err = err
		return kept
	}
	t.ended = true
	t.missing, err = t.scanner.finish()
	if err == nil && t.missing > 0 && t.terminated {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		t.err = sdk.Errorf(sdk.Corrupt, "the server's archive is cut off: %w", err)
	}
	return kept
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
