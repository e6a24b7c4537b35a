// Package durable writes files so that a crash at any moment leaves the old
// content or the new one, and what was reported as written survives it.
//
// A process that is killed may leave a temporary file behind, whose name nothing
// reads and IsTemporary recognises. The next one to write the same file removes
// it.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/barman-go/barman/sdk"
)

// WriteFile gives path the content, replacing a file that is there.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	return replace(path, mode, func(r *Replacement) error {
		_, err := r.Write(content)
		return err
	})
}

// CopyFile copies a regular file, its time of modification included, under
// another name, replacing a file that is there. Anything else than a regular
// file is an error of kind Invalid.
func CopyFile(from, to string, mode fs.FileMode) (err error) {
	source, err := os.OpenFile(from, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would block for ever
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return sdk.Errorf(sdk.Invalid, "%s is not a regular file", from)
	}
	return replace(to, mode, func(r *Replacement) error {
		if _, err := io.Copy(r.file, source); err != nil {
			return err
		}
		return r.SetModTime(info.ModTime())
	})
}

func replace(path string, mode fs.FileMode, fill func(*Replacement) error) error {
	r, err := NewReplacement(path, mode)
	if err != nil {
		return err
	}
	if err := fill(r); err != nil {
		return errors.Join(err, r.Abort())
	}
	return r.Commit()
}

// Remove removes a file so that it stays removed. A missing one is no error.
func Remove(path string) error {
	if err := ignoreMissing(os.Remove(path)); err != nil {
		return err
	}
	return SyncDirectory(filepath.Dir(path))
}

// MakeDirectory creates a directory of mode 0700, and those above it that are
// missing. One that exists stays as it is. Something else of that name is an
// error of kind Invalid.
func MakeDirectory(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return sdk.Errorf(sdk.Invalid, "%s exists and is not a directory: move it away", path)
	}
	if err == nil {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := MakeDirectory(parent); err != nil {
			return err
		}
	}
	err = os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		// Somebody else was faster, unless it is a symbolic link to nothing.
		_, err = os.Stat(path)
	}
	if err != nil {
		return err
	}
	return SyncDirectory(parent)
}

// SyncDirectory makes the names in a directory durable.
func SyncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return errors.Join(fmt.Errorf("fsync directory: %w", err), d.Close())
	}
	return d.Close()
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
