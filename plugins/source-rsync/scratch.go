package main

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
)

// scratch is a directory for lists, and for files that do not stay here. A lock
// tells whether its owner lives.
type scratch struct {
	directory string
	lock      *os.File
}

const scratchPattern = ".rsync-scratch-*"

// newScratch makes one, and removes those that killed processes have left.
func newScratch(place string) (scratch, error) {
	if err := sweep(place); err != nil {
		return scratch{}, err
	}
	directory, err := os.MkdirTemp(place, scratchPattern)
	if err != nil {
		return scratch{}, sdk.Errorf(sdk.Denied, "scratch space: %w: barman must be able to write there, or name another place in scratch_directory", err)
	}
	s := scratch{directory: directory}
	if s.lock, err = lock(directory); err != nil {
		return scratch{}, errors.Join(err, os.Remove(directory))
	}
	return s, nil
}

func (s scratch) remove() error { return errors.Join(os.RemoveAll(s.directory), s.lock.Close()) }

// lock locks a directory as long as the file is open.
func lock(directory string) (*os.File, error) {
	f, err := os.Open(directory)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func sweep(place string) error {
	left, err := filepath.Glob(filepath.Join(escape(place), scratchPattern))
	if err != nil {
		return err
	}
	for _, directory := range left {
		held, err := lock(directory)
		if err != nil {
			continue // in use, or gone
		}
		if err := errors.Join(os.RemoveAll(directory), held.Close()); err != nil {
			return err
		}
	}
	return nil
}

// escape makes a path one that filepath.Glob takes literally.
func escape(path string) string {
	var escaped []rune
	for _, r := range path {
		if r == '*' || r == '?' || r == '[' || r == '\\' {
			escaped = append(escaped, '\\')
		}
		escaped = append(escaped, r)
	}
	return string(escaped)
}
