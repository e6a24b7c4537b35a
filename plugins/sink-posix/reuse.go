package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// writer returns what writes the content of a restored file.
func (s *Sink) writer(f *os.File) writer {
	early := &earlyWriter{file: f, off: s.volatile}
	if !s.reuse {
		return early
	}
	return &reviser{early: early}
}

// reopened opens a file that is there already, to be compared and corrected. One
// that has other names, or cannot be opened, gives way to a new one: what is
// written must not show up elsewhere, in the store for one.
func reopened(fd int, base, label string) (*os.File, error) {
	var before unix.Stat_t
	if err := unix.Fstatat(fd, base, &before, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	if before.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, unix.EEXIST
	}
	if before.Nlink == 1 {
		file, err := retryOpen(fd, base, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil {
			// Where an earlier process could not write a page out, the kernel may still show
			// it as if it had: what is compared has to come from the device.
			_ = unix.Fadvise(file, 0, 0, unix.FADV_DONTNEED)
			return os.NewFile(uintptr(file), label), nil
		}
	}
	if err := unix.Unlinkat(fd, base, 0); err != nil {
		return nil, err
	}
	return create(fd, base, label)
}

// finished tells whether a file has its mode and time already.
func finished(f *os.File, mode fs.FileMode, modified time.Time) bool {
	var now unix.Stat_t
	if unix.Fstat(int(f.Fd()), &now) != nil {
		return false
	}
	if mode == 0 {
		mode = fileMode
	}
	return fs.FileMode(now.Mode&0o7777) == mode.Perm() && time.Unix(now.Mtim.Unix()).Equal(modified)
}

// reviser writes a file that may have its content already: it only reads as long
// as both are the same.
type reviser struct {
	early  *earlyWriter
	buffer []byte
	// differs is set at the first byte that is not what comes.
	differs bool
}

func (r *reviser) Write(p []byte) (int, error) {
	if !r.differs {
		same, err := r.same(p)
		if err != nil {
			return 0, err
		}
		if same {
			r.early.written += int64(len(p))
			r.early.begun = r.early.written
			return len(p), nil
		}
		if _, err := r.early.file.Seek(r.early.written, io.SeekStart); err != nil {
			return 0, err
		}
		r.differs = true
	}
	return r.early.Write(p)
}

// same tells whether the file goes on with p.
func (r *reviser) same(p []byte) (bool, error) {
	info, err := r.early.file.Stat()
	if err != nil || info.Size() < r.early.written+int64(len(p)) {
		return false, err // a new file cannot even be read
	}
	if len(r.buffer) < len(p) {
		r.buffer = make([]byte, len(p))
	}
	n, err := r.early.file.ReadAt(r.buffer[:len(p)], r.early.written)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return n == len(p) && bytes.Equal(r.buffer[:n], p), nil
}

// end cuts off what the file has too much.
func (r *reviser) end() error {
	info, err := r.early.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > r.early.written {
		if err := r.early.file.Truncate(r.early.written); err != nil {
			return err
		}
	}
	return r.early.end()
}
