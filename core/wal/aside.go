package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

// Suffixes of files in the errors directory, by which checks tell them apart.
const (
	suffixUnknown   = "unknown"
	suffixDuplicate = "duplicate"
)

// setAside moves a file to the errors directory, where nothing is overwritten.
func (r *run) setAside(f *file, suffix, reason string) error {
	aside, err := moveAside(f.path(), r.server.Catalogue.Layout().ErrorsDirectory, suffix, time.Now())
	if errors.Is(err, fs.ErrNotExist) {
		f.outcome = Left // taken away meanwhile
		return nil
	}
	if err != nil {
		return fmt.Errorf("WAL file %s cannot be archived (%s) and not be set aside either: %w", f.path(), reason, err)
	}
	f.outcome, f.reason, f.aside = SetAside, reason, aside
	r.server.Logger.Error("a WAL file cannot be archived and was set aside", "file", f.path(), "reason", reason, "kept", aside)
	r.done(f)
	return nil
}

// moveAside gives a file a free name in directory. The time in the name is that
// of now, or of the first second after it that is free.
func moveAside(path, directory, suffix string, now time.Time) (string, error) {
	const attempts = 1000
	for i := range attempts {
		stamp := now.Add(time.Duration(i) * time.Second).UTC().Format("20060102T150405Z")
		to := filepath.Join(directory, filepath.Base(path)+"."+stamp+"."+suffix)
		err := renameNew(path, to)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = durable.SyncDirectory(directory)
		}
		return to, errors.Join(err, durable.SyncDirectory(filepath.Dir(path)))
	}
	return "", sdk.Errorf(sdk.Exists, "%s holds %d files of this name: look at them and remove them", directory, attempts)
}

// renameNew renames a file, unless the new name is taken.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		// A file system that does not know the flag. The lock on archiving keeps
		// others from making the name in between.
		if err := taken(to); err != nil {
			return err
		}
		return os.Rename(from, to)
	case errors.Is(err, unix.EXDEV):
		return copyNew(from, to)
	case err != nil:
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// copyNew moves a regular file to another file system.
func copyNew(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return sdk.Errorf(sdk.Invalid, "it is no regular file, and %s is on another file system: move it away", filepath.Dir(to))
	}
	if err := taken(to); err != nil {
		return err
	}
	if err := durable.CopyFile(from, to, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Remove(from)
}

func taken(path string) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return &fs.PathError{Op: "rename", Path: path, Err: fs.ErrExist}
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}
