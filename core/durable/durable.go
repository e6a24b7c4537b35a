// Package durable writes files so that a crash at any moment leaves the old
// content or the new one, and what was reported as written survives it.
package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// WriteFile gives path the content: temporary name, fsync, rename, fsync of the
// directory.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	return replace(path, mode, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}

// CopyFile copies a regular file, its time of modification included, under
// another name.
func CopyFile(from, to string, mode fs.FileMode) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	return replace(to, mode, func(f *os.File) error {
		if _, err := io.Copy(f, source); err != nil {
			return err
		}
		return os.Chtimes(f.Name(), info.ModTime(), info.ModTime())
	})
}

const temporarySuffix = ".tmp"

func temporaryPrefix(base string) string { return "." + base + "." }

// IsTemporary tells whether a file of that name may be what is left of writing
// base, when the process was killed.
func IsTemporary(name, base string) bool {
	return strings.HasPrefix(name, temporaryPrefix(base)) && strings.HasSuffix(name, temporarySuffix)
}

func replace(path string, mode fs.FileMode, fill func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), temporaryPrefix(filepath.Base(path))+"*"+temporarySuffix)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = errors.Join(f.Chmod(mode), f.Sync())
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(f.Name())))
	}
	return SyncDirectory(filepath.Dir(path))
}

// Remove removes a file so that it stays removed. A missing one is no error.
func Remove(path string) error {
	if err := ignoreMissing(os.Remove(path)); err != nil {
		return err
	}
	return SyncDirectory(filepath.Dir(path))
}

// SyncDirectory makes the names in a directory durable.
func SyncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
