package durable

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// RenameNew renames a file unless the new name is taken, which is an error that
// is fs.ErrExist. It does not make the names durable. Another file system is an
// error that is unix.EXDEV.
func RenameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return linkNew(from, to)
	case err != nil:
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// linkNew is RenameNew for file systems that do not know the flag, such as NFS.
// A crash in between leaves both names. What cannot be linked, a directory for
// one, is renamed after a look, and another process could take the name in
// between.
func linkNew(from, to string) error {
	err := os.Link(from, to)
	switch {
	case err == nil:
		return os.Remove(from)
	case errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EXDEV):
		return err
	}
	if err := Taken(to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// Taken returns an error that is fs.ErrExist if a name is taken.
func Taken(path string) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return &fs.PathError{Op: "rename", Path: path, Err: fs.ErrExist}
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}
