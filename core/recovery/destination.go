package recovery

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

const (
	pidFile = "postmaster.pid"
	// guardText begins the guard. PostgreSQL reads a process ID there, finds none,
	// shows the line and does not start.
	guardText = "barman: recovery is not complete"
)

// destination is a directory that is being restored into.
type destination struct{ path string }

// hold creates the directory if need be and keeps other recoveries out of it
// until the file is closed.
func (d destination) hold() (*os.File, error) {
	if !filepath.IsAbs(d.path) {
		return nil, sdk.Errorf(sdk.Invalid, "%s: give an absolute path", d.path)
	}
	directory, err := os.Open(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDirectory(d.path); err != nil {
			return nil, err
		}
		directory, err = os.Open(d.path)
	}
	if err != nil {
		return nil, sdk.Errorf(sdk.Denied, "destination: %w", err)
	}
	err = syscall.Flock(int(directory.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(sdk.Errorf(sdk.Busy, "another barman recovers into %s", d.path), directory.Close())
	}
	// Network file systems do not lock directories; there nobody is kept out.
	return directory, nil
}

// prepareAll prepares all directories of a recovery, or none: a tablespace that
// is in use leaves the data directory as it was.
func prepareAll(all []destination, what string) error {
	if err := reclaim(all, what); err != nil {
		return err
	}
	for _, d := range all {
		if err := d.free(); err != nil {
			return err
		}
	}
	for _, d := range all {
		if err := d.prepare(what); err != nil {
			return err
		}
	}
	return nil
}

// free makes sure that nothing but a recovery that did not complete has been in
// the directory.
func (d destination) free() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return sdk.Errorf(sdk.Denied, "destination: %w", err)
	}
	if justBegun(entries) {
		return nil
	}
	guard, err := readOptional(filepath.Join(d.path, pidFile))
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(string(guard), guardText):
		return nil
	case running(guard):
		return sdk.Errorf(sdk.Exists, "%s is the data directory of a running PostgreSQL (its postmaster.pid names a live process): recover into another directory", d.path)
	}
	return sdk.Errorf(sdk.Exists, "%s is not empty: recover into a new or empty directory", d.path)
}

// prepare clears a free directory of what is left in it, and puts up the guard.
func (d destination) prepare(what string) error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return sdk.Errorf(sdk.Denied, "destination: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() == pidFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(d.path, entry.Name())); err != nil {
			return sdk.Errorf(sdk.Denied, "clear what an earlier recovery left: %w", err)
		}
	}
	if err := os.Chmod(d.path, 0o700); err != nil {
		return sdk.Errorf(sdk.Denied, "destination: %w", err)
	}
	return d.guard(what)
}

// guard puts up the guard, with lines for whoever comes after a crash.
func (d destination) guard(what string, lines ...string) error {
	text := fmt.Sprintf("%s: %s; run the same barman recover again\n", guardText, what)
	for _, line := range lines {
		text += line + "\n"
	}
	if err := durable.WriteFile(filepath.Join(d.path, pidFile), []byte(text), 0o600); err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	return nil
}

// justBegun tells whether nothing is there but a guard that was never put up.
func justBegun(entries []fs.DirEntry) bool {
	for _, entry := range entries {
		if !durable.IsTemporary(entry.Name(), pidFile) {
			return false
		}
	}
	return true
}

// complete takes the guard away: from here on PostgreSQL can start.
func (d destination) complete() error {
	if err := durable.SyncDirectory(d.path); err != nil {
		return err
	}
	return durable.Remove(filepath.Join(d.path, pidFile))
}

// running reports whether a postmaster.pid names a live process.
func running(pidFile []byte) bool {
	first, _, _ := strings.Cut(string(pidFile), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 0 {
		return false
	}
	err = syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// makeDirectory creates a directory and those above it, durably.
func makeDirectory(path string) error {
	if err := durable.MakeDirectory(path); err != nil {
		return sdk.Errorf(cmp.Or(sdk.KindOf(err), sdk.Denied), "destination: %w", err)
	}
	return nil
}

// handOver gives everything below root to an owner. PostgreSQL starts only from
// files of its own user, and root restores on behalf of somebody else.
func handOver(root string, owner *syscall.Stat_t) error {
	if os.Geteuid() != 0 || owner == nil || owner.Uid == 0 {
		return nil
	}
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	})
}

// ownerOf returns the owner of a directory, or of the nearest one above it that
// exists.
func ownerOf(path string) (*syscall.Stat_t, error) {
	for {
		info, err := os.Stat(path)
		if err == nil {
			return info.Sys().(*syscall.Stat_t), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == "/" {
			return nil, sdk.Errorf(sdk.Denied, "destination: %w", err)
		}
		path = filepath.Dir(path)
	}
}

func readOptional(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}
