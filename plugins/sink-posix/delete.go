package main

import (
	"context"
	"errors"
	"path"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
)

// Delete removes objects, and the directories that are empty then unless they
// are objects, and makes that durable. A directory that holds something stays,
// but is an object no longer.
func (s *Sink) Delete(ctx context.Context, names []string) error {
	changed := map[string]struct{}{}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		directory, err := s.remove(name)
		if err != nil {
			return err
		}
		if directory != "" {
			changed[directory] = struct{}{}
		}
	}
	if s.volatile {
		return nil
	}
	return s.tree.syncDirectories(changed)
}

// remove removes one object and returns the directory whose change is to be made
// durable; empty if nothing changed.
func (s *Sink) remove(name string) (directory string, err error) {
	if !sdk.ValidName(name) {
		return "", sdk.Errorf(sdk.Invalid, "%q is no valid name of an object", name)
	}
	if isTemporary(path.Base(name)) {
		return "", nil
	}
	if s.commits.waits(name) {
		if err := s.commits.flush(); err != nil {
			return "", err
		}
	}
	err = s.tree.with(name, reach{}, func(fd int, base string) error {
		err := unix.Unlinkat(fd, base, 0)
		if errors.Is(err, unix.EISDIR) {
			err = unix.Unlinkat(fd, base, unix.AT_REMOVEDIR)
		}
		return err
	})
	switch {
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		return "", s.unmark(name)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return "", nil
	case err != nil:
		return "", s.tree.fault("delete", name, err)
	}
	return s.tree.prune(path.Dir(name)), nil
}

// unmark makes a directory an implied one.
func (s *Sink) unmark(name string) error {
	err := s.tree.within(name, reach{}, func(fd int) error {
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil || stat.Mode&objectMark == 0 {
			return err
		}
		if err := unix.Fchmod(fd, stat.Mode&0o777); err != nil || s.volatile {
			return err
		}
		return unix.Fsync(fd)
	})
	return s.tree.fault("delete", name, err)
}
