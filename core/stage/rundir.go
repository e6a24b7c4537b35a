package stage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gofrs/flock"

	"github.com/barman-go/barman/sdk"
)

const (
	runPrefix = "barman-run-"
	lockName  = "lock"
	// maxRunPath leaves room in the 107 bytes that a unix socket's path may have
	// for the longest that comes behind it, each number of up to ten digits:
	// /barman-run-N, and go-plugin's /plugin-dirN/pluginN.
	maxRunPath = 107 - (12 + 10) - (11 + 10) - (7 + 10)
)

// RunDirectory is a private directory for the sockets of one process. Its mode
// is what keeps others away from the stages.
type RunDirectory struct {
	// Path is the directory.
	Path string
	lock *flock.Flock
}

// candidates are the places for run directories, the first that can be written
// is taken.
func candidates() []string {
	return []string{os.Getenv("BARMAN_RUN_DIR"), os.Getenv("XDG_RUNTIME_DIR"), os.Getenv("TMPDIR"), "/run/barman", "/dev/shm", "/tmp"}
}

// NewRunDirectory makes a run directory and removes those that killed
// processes left behind.
func NewRunDirectory() (*RunDirectory, error) {
	var errs []error
	for _, place := range candidates() {
		if place == "" {
			continue
		}
		if len(place) > maxRunPath {
			errs = append(errs, fmt.Errorf("%s: longer than %d bytes", place, maxRunPath))
			continue
		}
		d, err := newRunDirectory(place)
		if err == nil {
			sweep(place)
			return d, nil
		}
		errs = append(errs, err)
	}
	return nil, sdk.Errorf(sdk.Unavailable, "no place for a run directory; set BARMAN_RUN_DIR to a directory that can be written: %w", errors.Join(errs...))
}

func newRunDirectory(place string) (*RunDirectory, error) {
	path, err := os.MkdirTemp(place, runPrefix)
	if err != nil {
		return nil, err
	}
	d := &RunDirectory{Path: path, lock: flock.New(filepath.Join(path, lockName), flock.SetPermissions(0o600))}
	if _, err := d.lock.TryLock(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return d, nil
}

// Close removes the directory.
func (d *RunDirectory) Close() error {
	return errors.Join(os.RemoveAll(d.Path), d.lock.Close())
}

// sweep removes the run directories of processes that are gone: theirs are the
// ones that nobody holds the lock of. What can't be removed is left.
func sweep(place string) {
	entries, err := os.ReadDir(place)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), runPrefix) {
			continue
		}
		info, err := entry.Info()
		if err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
			continue
		}
		path := filepath.Join(place, entry.Name())
		// A directory without a lock file is being made right now.
		if _, err := os.Stat(filepath.Join(path, lockName)); err != nil {
			continue
		}
		lock := flock.New(filepath.Join(path, lockName), flock.SetFlag(os.O_RDWR))
		if held, err := lock.TryLock(); err != nil || !held {
			continue
		}
		_ = os.RemoveAll(path)
		_ = lock.Close()
	}
}
