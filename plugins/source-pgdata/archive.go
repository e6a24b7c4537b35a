package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"hash"
	"io"
	"strings"

	"github.com/barman-go/barman/sdk/manifest"
)

const (
	// blockSize is the unit of a tar archive.
	blockSize = 512
	// archiveEnd is how many bytes of zeros end one.
	archiveEnd = 2 * blockSize
)

// archive is a tar archive that comes into being while it is read. Its names are
// those of Barman in Python: "." for the directory itself, "./name" for what is
// directly in it, "directory/name" below.
type archive struct {
	ctx    context.Context
	packer *packer
	oid    uint32
	number int
	limit  int64 // of bytes, 0 for none
	from   <-chan *member

	buffer  []byte   // headers and padding that are to come next
	current *content // the file that comes after them
	written int64
	left    *member // for the next archive
	ended   bool
	err     error
}

// Read implements io.Reader; p is filled unless that is the end.
func (a *archive) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && a.err == nil {
		switch {
		case len(a.buffer) > 0:
			k := copy(p[n:], a.buffer)
			a.buffer = a.buffer[k:]
			n += k
		case a.current != nil:
			k, err := a.current.Read(p[n:])
			n += k
			if errors.Is(err, io.EOF) {
				err = a.complete()
			}
			a.err = err
		case a.ended:
			return n, io.EOF
		default:
			a.err = a.proceed()
		}
	}
	return n, a.err
}

// complete ends a file.
func (a *archive) complete() error {
	c := a.current
	a.current = nil
	a.buffer = zeros[:padding(c.member.size)]
	return errors.Join(c.member.file.Close(), a.packer.list(c))
}

// proceed goes to the next member, or to the end.
func (a *archive) proceed() error {
	m := a.left
	a.left = nil
	if m == nil {
		var err error
		if m, err = next(a.ctx, a.from); err != nil {
			return err
		}
		if m == nil {
			return a.drained()
		}
	}
	if m.oid != a.oid {
		a.left = m
		return a.end()
	}
	if m.file == nil {
		present, err := m.open()
		if err != nil || !present {
			return err
		}
	}
	header, err := headerOf(m)
	if err != nil {
		return err
	}
	size := int64(len(header)) + padded(m)
	if a.limit > 0 && a.written > 0 && a.written+size+archiveEnd > a.limit {
		a.left = m
		return a.end()
	}
	a.written += size
	a.buffer = header
	if !m.dir {
		a.current = newContent(m, a.packer.checksum())
	}
	return nil
}

// drained goes on with what comes last, or ends the archive.
func (a *archive) drained() error {
	if a.from == (<-chan *member)(a.packer.last) {
		return a.end()
	}
	a.packer.drain()
	select {
	case <-a.packer.drained:
	case <-a.ctx.Done():
		return context.Cause(a.ctx)
	}
	if !a.packer.goesOn(a) {
		return a.end()
	}
	a.from = a.packer.last
	return nil
}

func (a *archive) end() error {
	a.packer.closed(a)
	a.ended = true
	a.buffer = zeros[:]
	return nil
}

// close gives up what an archive that was not read to its end holds open.
func (a *archive) close() {
	for _, m := range []*member{a.left, a.reading()} {
		if m != nil && m.file != nil {
			_ = m.file.Close() // it was only read from
		}
	}
}

func (a *archive) reading() *member {
	if a.current == nil {
		return nil
	}
	return a.current.member
}

// headerOf makes the header of a member, with extensions (pax) where its name
// does not fit.
func headerOf(m *member) ([]byte, error) {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: m.name, Mode: int64(m.mode), Size: m.size, ModTime: m.modified.Truncate(1e9), Format: tar.FormatPAX}
	if m.name != "." && !strings.Contains(m.name, "/") {
		h.Name = "./" + m.name
	}
	if m.dir {
		h.Typeflag, h.Size = tar.TypeDir, 0
		h.Name += "/"
	}
	var out bytes.Buffer
	err := tar.NewWriter(&out).WriteHeader(h)
	return out.Bytes(), err
}

var zeros [archiveEnd]byte

// padded is the number of bytes that a member's content takes.
func padded(m *member) int64 {
	if m.dir {
		return 0
	}
	return m.size + int64(padding(m.size))
}

func padding(size int64) int { return int(-size & (blockSize - 1)) }

// checksum begins the checksum of a file for the manifest.
func (p *packer) checksum() hash.Hash {
	if p.listing == nil || p.listing.algorithm == manifest.None {
		return nil
	}
	return p.listing.algorithm.New()
}

func (p *packer) list(c *content) error {
	if p.listing == nil {
		return nil
	}
	return p.listing.add(c)
}
