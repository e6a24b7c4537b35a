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
	// maxRunPath leaves room in the 107 bytes that a unix socket's path may have
	// for the longest that comes behind it, each number of up to ten digits:
	// /barman-run-N, and go-plugin's /plugin-dirN/pluginN.
	maxRunPath = 107 - (12 + 10) - (11 + 10) - (7 + 10)
)

// RunDirectory is a private directory for the sockets of one process. Its mode
// is what keeps others away from the stages.
//
// The process holds a lock (flock) on the directory itself. The kernel lets go
// of it with the process, which is how others know that they may remove it.
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
// processes left behind. That there is no place for one is an error of kind
// Unavailable.
func NewRunDirectory() (*RunDirectory, error) { return newRunDirectoryIn(candidates()) }

func newRunDirectoryIn(places []string) (*RunDirectory, error) {
	var errs []error
	for _, place := range places {
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

// newRunDirectory makes a directory and locks it. In between another process
// that sweeps may take it for an abandoned one, which is no reason to fail.
func newRunDirectory(place string) (*RunDirectory, error) {
	const attempts = 10
	if !filepath.IsAbs(place) {
		return nil, fmt.Errorf("%s: not an absolute path", place)
	}
	for range attempts {
		path, err := os.MkdirTemp(place, runPrefix)
		if err != nil {
			return nil, err
		}
		d := &RunDirectory{Path: path, lock: lockOf(path)}
		held, err := d.hold()
		if held {
			return d, nil
		}
		if err != nil {
			return nil, errors.Join(err, d.Close())
		}
		// Whoever sweeps removes it.
		if err := d.lock.Close(); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: new directories are removed again and again", place)
}

// lockOf is the lock on a directory.
func lockOf(path string) *flock.Flock {
	return flock.New(path, flock.SetFlag(os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW))
}

// hold locks the directory and reports whether it is this process's now: the
// lock on a directory that somebody has just removed is worth nothing.
func (d *RunDirectory) hold() (bool, error) {
	held, err := d.lock.TryLock()
	if err == nil && held {
		_, err = os.Lstat(d.Path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return held && err == nil, err
}

// Close removes the directory.
func (d *RunDirectory) Close() error {
	return errors.Join(os.RemoveAll(d.Path), d.lock.Close())
}

// sweep removes the run directories of processes that are gone: theirs are the
// ones that nobody holds the lock of. What can't be removed is left to the next
// process.
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
		lock := lockOf(path)
		if held, err := lock.TryLock(); err == nil && held {
			_ = os.RemoveAll(path)
		}
		_ = lock.Close()
	}
}
