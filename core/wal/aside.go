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
	if f.origin == Pushed {
		return r.refuse(f, suffix, reason)
	}
	aside, err := moveAside(f.path(), f.base, r.server.Catalogue.Layout().ErrorsDirectory, suffix, time.Now())
	if errors.Is(err, fs.ErrNotExist) {
		f.outcome = Left // taken away meanwhile
		return nil
	}
	if err != nil {
		// One file that nobody can use is no reason to keep the others waiting.
		f.outcome, f.reason = Stuck, fmt.Sprintf("%s; and it cannot be set aside: %v", reason, err)
		r.server.Logger.Error("a WAL file can neither be archived nor be set aside; it stays where it is", "file", f.path(), "reason", f.reason)
		r.done(f)
		return nil
	}
	f.outcome, f.reason, f.aside = SetAside, reason, aside
	r.server.Logger.Error("a WAL file cannot be archived and was set aside", "file", f.path(), "reason", reason, "kept", aside)
	r.done(f)
	return nil
}

// moveAside gives a file a free name in directory that begins with base. The
// time in the name is that of now, or of the first second after it that is free.
func moveAside(path, base, directory, suffix string, now time.Time) (string, error) {
	const attempts = 1000
	for i := range attempts {
		stamp := now.Add(time.Duration(i) * time.Second).UTC().Format("20060102T150405Z")
		to := filepath.Join(directory, base+"."+stamp+"."+suffix)
		err := durable.RenameNew(path, to)
		if errors.Is(err, unix.EXDEV) {
			err = copyNew(path, to)
		}
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

// copyNew moves a regular file to another file system.
func copyNew(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return sdk.Errorf(sdk.Invalid, "it is no regular file, and %s is on another file system: move it away", filepath.Dir(to))
	}
	if err := durable.Taken(to); err != nil {
		return err
	}
	if err := durable.CopyFile(from, to, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Remove(from)
}
