package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

const partialSuffix = ".partial"

// pieceSize is how much of a file is filled or compared at once.
const pieceSize = 256 << 10

// partial is the segment that is being received, in a file of full size whose
// unwritten rest is zero, so that PostgreSQL can recover from it as it is.
type partial struct {
	dir     *walDirectory
	segment wal.Segment
	size    wal.SegmentSize
	file    *os.File
}

func (p *partial) name() string { return p.segment.Name(p.size) }

// openPartial opens the file of a segment, making it if need be. What it holds
// stays: it may be the only copy of that WAL, and the same bytes come again.
func openPartial(dir *walDirectory, segment wal.Segment, size wal.SegmentSize) (*partial, error) {
	p := &partial{dir: dir, segment: segment, size: size}
	path := filepath.Join(dir.path, p.name()+partialSuffix)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, outOfSpace(err))
	}
	p.file = file
	err = p.fill()
	if err == nil {
		err = dir.sync()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return p, nil
}

// fill extends the file with zeros to the size of a segment, which also claims
// the space.
func (p *partial) fill() error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > int64(p.size) {
		return sdk.Errorf(sdk.Corrupt, "%s: a file of %d bytes is no WAL segment of %d; move it away", p.file.Name(), info.Size(), p.size)
	}
	zeros := make([]byte, pieceSize)
	for at := info.Size(); at < int64(p.size); {
		n, err := p.file.WriteAt(zeros[:min(pieceSize, int64(p.size)-at)], at)
		if err != nil {
			return fmt.Errorf("fill %s: %w", p.file.Name(), outOfSpace(err))
		}
		at += int64(n)
	}
	return nil
}

func (p *partial) write(data []byte, offset int64) error {
	if _, err := p.file.WriteAt(data, offset); err != nil {
		return fmt.Errorf("write %s: %w", p.file.Name(), outOfSpace(err))
	}
	return nil
}

// sync makes what was written durable, but not when it was: the time in the
// inode would cost another write, to the journal. After an error the file must not be
// trusted: the kernel may have dropped pages, and a second fsync would not say
// so. Receiving then begins anew and writes them again.
func (p *partial) sync() error {
	for {
		err := syscall.Fdatasync(int(p.file.Fd()))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("fsync %s: %w", p.file.Name(), outOfSpace(err))
		}
		return nil
	}
}

func (p *partial) close() error { return p.file.Close() }

// finish gives the complete segment its name. The next segment's file is there
// before: whoever carries finished segments away never leaves the directory
// without a trace of how far receiving has come.
func (p *partial) finish() error {
	if err := p.sync(); err != nil {
		return errors.Join(err, p.close())
	}
	if err := p.close(); err != nil {
		return err
	}
	if err := touch(filepath.Join(p.dir.path, p.segment.Next().Name(p.size)+partialSuffix)); err != nil {
		return err
	}
	from, to := filepath.Join(p.dir.path, p.name()+partialSuffix), filepath.Join(p.dir.path, p.name())
	_, err := os.Lstat(to)
	switch {
	case errors.Is(err, fs.ErrNotExist): // nobody else makes it: the directory is locked
		err = os.Rename(from, to)
	case err == nil:
		err = p.discardCopy(from, to)
	}
	if err != nil {
		return err
	}
	return p.dir.sync()
}

// discardCopy removes a segment that was received again, if it is the same.
func (p *partial) discardCopy(from, to string) error {
	same, err := sameContent(from, to)
	if err != nil {
		return err
	}
	if !same {
		return sdk.Errorf(sdk.Corrupt, "%s: the server now sends other WAL for this segment than before; both are kept, the new one as %s. "+
			"Is it still the same server?", to, from)
	}
	return os.Remove(from)
}

// touch makes an empty file unless there is one.
func touch(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, outOfSpace(err))
	}
	return file.Close()
}

func sameContent(one, other string) (same bool, err error) {
	a, err := os.Open(one)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := os.Open(other)
	if err != nil {
		return false, err
	}
	defer b.Close()
	left, right := make([]byte, pieceSize), make([]byte, pieceSize)
	for {
		n, errA := io.ReadFull(a, left)
		m, errB := io.ReadFull(b, right)
		if !bytes.Equal(left[:n], right[:m]) {
			return false, nil
		}
		for _, err := range []error{errA, errB} {
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
				return false, err
			}
		}
		if errA != nil || errB != nil {
			return true, nil
		}
	}
}

// outOfSpace marks a full disk as something that passes.
func outOfSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return sdk.Errorf(sdk.Unavailable, "%w: free some space; WAL that could not be stored was not acknowledged to PostgreSQL, which keeps it for the slot", err)
	}
	return err
}
