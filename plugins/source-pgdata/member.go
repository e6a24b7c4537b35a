package main

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/barman-go/barman/sdk"
)

// member is a file or directory on its way into an archive.
type member struct {
	oid     uint32 // of the tablespace that it is in, 0 for the data directory
	name    string // below that directory, "." for itself
	path    string // where it is; empty for content that is in memory
	content []byte
	dir     bool

	mode     fs.FileMode
	modified time.Time
	size     int64
	file     io.ReadCloser // once it is open
}

// inManifest is the member's name below the data directory of a recovered server.
func (m *member) inManifest() string {
	if m.oid == 0 {
		return m.name
	}
	return fmt.Sprintf("pg_tblspc/%d/%s", m.oid, m.name)
}

// open opens a file. One that is no more, or that is no regular file, is not
// part of the backup: what happened to it during the backup is in the WAL.
func (m *member) open() (present bool, err error) {
	switch {
	case m.dir:
		return true, nil
	case m.path == "":
		m.file, m.size = io.NopCloser(bytes.NewReader(m.content)), int64(len(m.content))
		return true, nil
	}
	// Nobody waits for the other end of a pipe.
	f, err := os.OpenFile(m.path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENXIO) {
		return false, nil
	}
	if err != nil {
		return false, unreadable(err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false, errors.Join(err, f.Close())
	}
	m.file, m.mode, m.modified, m.size = f, info.Mode().Perm(), info.ModTime(), info.Size()
	return true, nil
}

// unreadable gives an error of the file system its kind.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return sdk.Errorf(sdk.Denied, "%w: run barman as the user that PostgreSQL runs as", err)
	}
	return err
}

// content reads exactly as many bytes of a file as it had when it was opened. One
// that has become shorter since is filled up with zeros, and what has been added is
// left out: the WAL of the backup brings such files to what they should be.
type content struct {
	member *member
	left   int64
	ended  bool // the file has no more
	sum    hash.Hash
}

func newContent(m *member, sum hash.Hash) *content {
	return &content{member: m, left: m.size, sum: sum}
}

// Read implements io.Reader; p is filled unless that is the end.
func (c *content) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && c.left > 0 {
		piece := p[n:min(int64(len(p)), int64(n)+c.left)]
		read := 0
		if c.ended {
			clear(piece)
			read = len(piece)
		} else {
			var err error
			read, err = c.member.file.Read(piece)
			switch {
			case errors.Is(err, io.EOF):
				c.ended = true
			case err != nil:
				return n, fmt.Errorf("read %s: %w", c.member.path, err)
			}
		}
		if c.sum != nil {
			c.sum.Write(piece[:read])
		}
		n += read
		c.left -= int64(read)
	}
	if n == 0 && c.left == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
