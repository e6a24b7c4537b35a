package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const temporarySuffix = ".tmp"

func temporaryPrefix(base string) string { return "." + base + "." }

// IsTemporary tells whether a file of that name may be what is left of writing
// base, when the process was killed. It may be removed when nobody else writes.
func IsTemporary(name, base string) bool {
	return strings.HasPrefix(name, temporaryPrefix(base)) && strings.HasSuffix(name, temporarySuffix)
}

// Replacement is a file on its way to take another's place. Nothing is visible
// under the other's name before Commit.
type Replacement struct {
	file *os.File
	path string
	mode fs.FileMode
}

// NewReplacement begins a file beside path, of mode 0600 until it is committed.
// The caller ends with Commit or Abort. What killed processes left of writing
// path is removed.
func NewReplacement(path string, mode fs.FileMode) (*Replacement, error) {
	sweep(path)
	for {
		f, err := os.CreateTemp(filepath.Dir(path), temporaryPrefix(filepath.Base(path))+"*"+temporarySuffix)
		if err != nil {
			return nil, err
		}
		ours, err := hold(f)
		if err != nil {
			return nil, errors.Join(err, f.Close(), ignoreMissing(os.Remove(f.Name())))
		}
		if ours {
			return &Replacement{file: f, path: path, mode: mode}, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// hold locks a temporary file, which tells others that its process lives. It is
// not ours if somebody took it for a leftover in the moment before.
func hold(f *os.File) (ours bool, err error) {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		// Where there are no locks nobody sweeps either.
		return true, nil
	}
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	return info.Sys().(*syscall.Stat_t).Nlink > 0, nil
}

// sweep removes the temporary files of path that no process holds. It is a
// courtesy: what it can't remove stays, and nothing reads it.
func sweep(path string) {
	directory, base := filepath.Split(path)
	d, err := os.Open(filepath.Clean(directory))
	if err != nil {
		return
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			if IsTemporary(name, base) {
				removeUnlessHeld(filepath.Join(directory, name))
			}
		}
		if err != nil {
			return
		}
	}
}

// SweepUp removes a file if it is what a killed process left of writing any file.
// It must be in a directory where only this package makes hidden files with its
// suffix. What cannot be removed stays, and nothing reads it.
func SweepUp(path string) {
	if name := filepath.Base(path); strings.HasPrefix(name, ".") && strings.HasSuffix(name, temporarySuffix) {
		removeUnlessHeld(path)
	}
}

func removeUnlessHeld(path string) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		_ = os.Remove(path)
	}
}

// Write appends to the file.
func (r *Replacement) Write(p []byte) (int, error) { return r.file.Write(p) }

// ReadAt reads what was written.
func (r *Replacement) ReadAt(p []byte, at int64) (int, error) { return r.file.ReadAt(p, at) }

// SetModTime sets the file's time of modification, once all is written.
func (r *Replacement) SetModTime(t time.Time) error { return os.Chtimes(r.file.Name(), t, t) }

// Temporary is the file's path until it is committed.
func (r *Replacement) Temporary() string { return r.file.Name() }

// Commit makes the file durable under its name: fsync, rename, fsync of the
// directory. After an error the old file is there, and the new one gone; if only
// the last step failed, the new one may be there.
func (r *Replacement) Commit() error {
	err := r.finish(os.Rename)
	if errors.Is(err, fs.ErrExist) { // a directory
		return errors.Join(err, r.Abort())
	}
	return err
}

// CommitNew is Commit for a name that must be free. If it is taken the error is
// fs.ErrExist, and the file, which is durable then, goes on to exist beside it:
// the caller decides what becomes of it, and ends with Commit or Abort.
func (r *Replacement) CommitNew() error { return r.finish(RenameNew) }

func (r *Replacement) finish(rename func(from, to string) error) error {
	err := r.file.Chmod(r.mode)
	if err == nil {
		err = r.file.Sync()
	}
	if err != nil {
		return errors.Join(err, r.Abort())
	}
	// It is held until it has its name, or it could be swept away.
	switch err := rename(r.file.Name(), r.path); {
	case errors.Is(err, fs.ErrExist):
		return err
	case err != nil:
		return errors.Join(err, r.Abort())
	}
	if err := r.file.Close(); err != nil {
		return err
	}
	return SyncDirectory(filepath.Dir(r.path))
}

// Publish gives the file its name without making it durable: for what can be had
// again after a crash of the machine. After an error the old file is there.
func (r *Replacement) Publish() error {
	if err := r.file.Chmod(r.mode); err != nil {
		return errors.Join(err, r.Abort())
	}
	if err := os.Rename(r.file.Name(), r.path); err != nil {
		return errors.Join(err, r.Abort())
	}
	return r.file.Close()
}

// Abort leaves the old file as it is.
func (r *Replacement) Abort() error {
	return errors.Join(r.file.Close(), ignoreMissing(os.Remove(r.file.Name())))
}
