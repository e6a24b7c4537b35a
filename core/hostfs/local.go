package hostfs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

// Local is the file system of this host.
type Local struct{}

// Remote is empty.
func (Local) Remote() string { return "" }

// Renew implements Host: there is nothing to lose.
func (Local) Renew(context.Context) error { return nil }

// Resolve implements Host.
func (l Local) Resolve(path string) (string, error) {
	path = filepath.Clean(path)
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		return real, nil
	}
	if parent := filepath.Dir(path); parent != path {
		real, err = l.Resolve(parent)
		return filepath.Join(real, filepath.Base(path)), err
	}
	return path, nil
}

// Lstat implements Host.
func (Local) Lstat(path string) (Entry, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Entry{}, err
	}
	e := entry(filepath.Base(path), info)
	e.Mode = info.Mode().Perm()
	return e, nil
}

func entry(name string, info fs.FileInfo) Entry {
	changed := info.Sys().(*syscall.Stat_t).Ctim
	return Entry{Name: name, Type: info.Mode().Type(), Size: info.Size(), ModTime: info.ModTime(), Changed: time.Unix(changed.Unix())}
}

// ReadDir implements Host.
func (Local) ReadDir(path string) ([]Entry, error) {
	found, err := os.ReadDir(path)
	entries := make([]Entry, 0, len(found))
	for _, e := range found {
		entries = append(entries, Entry{Name: e.Name(), Type: e.Type()})
	}
	return entries, err
}

// ReadFile implements Host.
func (Local) ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read from
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = sdk.Errorf(sdk.Corrupt, "%s is longer than %d bytes", path, limit)
	}
	return content, err
}

// WriteFile implements Host.
func (Local) WriteFile(path string, content []byte, mode fs.FileMode) error {
	return durable.WriteFile(path, content, mode)
}

// CopyFile implements Host.
func (Local) CopyFile(from, to string, mode fs.FileMode) error {
	return durable.CopyFile(from, to, mode)
}

// Rename implements Host.
func (Local) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements Host.
func (Local) Remove(path string) error { return durable.Remove(path) }

// RemoveAll implements Host.
func (Local) RemoveAll(path string) error { return os.RemoveAll(path) }

// RemoveEmpty implements Host.
func (Local) RemoveEmpty(path string) { _ = syscall.Rmdir(path) } // one that is not empty stays

// MakeDirectory implements Host.
func (Local) MakeDirectory(path string) error { return durable.MakeDirectory(path) }

// Chmod implements Host.
func (Local) Chmod(path string, mode fs.FileMode) error { return os.Chmod(path, mode) }

// Lock implements Host. Network file systems do not lock directories.
func (Local) Lock(path string) (io.Closer, error) {
	directory, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(directory.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(sdk.Errorf(sdk.Busy, "another barman recovers into %s", path), directory.Close())
	}
	return directory, nil
}

// Running implements Host.
func (Local) Running(pid int) (bool, error) {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM), nil
}

// Owner implements Host.
func (Local) Owner(path string) (Owner, error) {
	for {
		info, err := os.Stat(path)
		if err == nil {
			stat := info.Sys().(*syscall.Stat_t)
			return Owner{stat.Uid, stat.Gid}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == "/" {
			return Owner{}, err
		}
		path = filepath.Dir(path)
	}
}

// GiveTo implements Host. PostgreSQL starts only from files of its own user, and
// root restores on behalf of somebody else.
func (Local) GiveTo(root string, owner Owner) error {
	if os.Geteuid() != 0 || owner.User == 0 {
		return nil
	}
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(owner.User), int(owner.Group))
	})
}

// Walk implements Host.
func (Local) Walk(ctx context.Context, root string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := filepath.WalkDir(root, func(path string, found fs.DirEntry, err error) error {
			if path == root && err == nil {
				return ctx.Err()
			}
			if err == nil {
				err = ctx.Err()
			}
			var info fs.FileInfo
			if err == nil {
				info, err = found.Info()
			}
			switch {
			case errors.Is(err, fs.ErrNotExist) && path != root:
				return nil // the one who walks has removed it
			case err != nil:
				return err
			}
			name, err := filepath.Rel(root, path)
			if err == nil && !yield(entry(name, info), nil) {
				return fs.SkipAll
			}
			return err
		})
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// SyncDirectory implements Host.
func (Local) SyncDirectory(path string) error { return durable.SyncDirectory(path) }

// Sync implements Host.
func (Local) Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return denied(errors.Join(unix.Syncfs(int(f.Fd())), f.Close()))
}
