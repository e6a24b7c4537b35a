package catalogue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

// Names of a server's locks; that of one backup is its ID. They are those of
// Barman in Python, so that the two never work on one catalogue at once.
const (
	LockCron       = "cron"
	LockBackup     = "backup"
	LockArchiveWAL = "archive-wal"
	LockReceiveWAL = "receive-wal"
	LockXlogDB     = "xlogdb"
	// LockSyncWAL is held while WAL is copied from another Barman.
	LockSyncWAL = "sync-wal"
	// LockSinks is held by whoever tells sinks what the catalogue says of backups, and
	// LockSyncSink by whoever brings them up to date; Barman in Python has neither.
	LockSinks    = "sinks"
	LockSyncSink = "sync-sink"
)

// Lock is held until Release, or until its process ends.
type Lock struct {
	flock *flock.Flock
	path  string
}

// Lock takes one of the server's locks. When somebody else has it, it returns
// at once with an error of kind Busy that names the process. A lock file that
// cannot be opened is an error of kind Denied or Unknown.
func (s *Server) Lock(name string) (*Lock, error) { return s.lock(name, (*flock.Flock).TryLock) }

// LockShared is Lock for those who only want that nobody takes the lock for
// himself meanwhile, as several may at once: a backup that is being restored is
// not deleted, by Barman in Python neither.
func (s *Server) LockShared(name string) (*Lock, error) {
	return s.lock(name, (*flock.Flock).TryRLock)
}

func (s *Server) lock(name string, try func(*flock.Flock) (bool, error)) (*Lock, error) {
	path, err := s.lockPath(name)
	if err != nil {
		return nil, err
	}
	// Somebody who only asks whether the lock is held has it for an instant:
	// that is not worth failing for.
	const attempts, pause = 3, 5 * time.Millisecond
	for attempt := 1; ; attempt++ {
		lock, err := tryLock(path, try)
		if err != nil {
			return nil, s.errorf(kindOf(err), "lock %s: %w", name, err)
		}
		if lock != nil {
			return lock, nil
		}
		if attempt == attempts {
			return nil, s.busy(name, path)
		}
		time.Sleep(pause)
	}
}

// LockWait is Lock that waits, until ctx ends.
func (s *Server) LockWait(ctx context.Context, name string) (*Lock, error) {
	path, err := s.lockPath(name)
	if err != nil {
		return nil, err
	}
	const pause = 10 * time.Millisecond
	for {
		lock, err := tryLock(path, (*flock.Flock).TryLock)
		if err != nil {
			return nil, s.errorf(kindOf(err), "lock %s: %w", name, err)
		}
		if lock != nil {
			return lock, nil
		}
		select {
		case <-ctx.Done():
			return nil, s.errorf(sdk.KindOf(ctx.Err()), "%w: %w", s.busy(name, path), ctx.Err())
		case <-time.After(pause):
		}
	}
}

func (s *Server) busy(name, path string) error {
	holder := "another process"
	if pid, err := readPID(path); err == nil {
		holder = fmt.Sprintf("process %d", pid)
	}
	return s.errorf(sdk.Busy, "%s holds the lock %q (%s): wait for it to end, or stop it, and try again", holder, name, path)
}

// Holder returns the process that holds a lock. A lock that nobody holds is
// not held, whatever its file says. A lock that is held while its file names no
// process is an error of kind Corrupt.
func (s *Server) Holder(name string) (pid int, held bool, err error) {
	path, err := s.lockPath(name)
	if err != nil {
		return 0, false, err
	}
	// Whoever has just taken the lock writes its number a moment later.
	const attempts, pause = 10, 5 * time.Millisecond
	for attempt := 1; ; attempt++ {
		pid, held, err = holder(path)
		if sdk.KindOf(err) != sdk.Corrupt || attempt == attempts {
			break
		}
		time.Sleep(pause)
	}
	if err != nil {
		return 0, held, s.errorf(kindOf(err), "lock %s: %w", name, err)
	}
	return pid, held, nil
}

func holder(path string) (int, bool, error) {
	if found, err := exists(path); err != nil || !found {
		return 0, false, err
	}
	probe := flock.New(path, flock.SetFlag(os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK), flock.SetPermissions(fileMode))
	free, err := probe.TryRLock()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	if free {
		return 0, false, probe.Unlock()
	}
	pid, err := readPID(path)
	return pid, true, err
}

// Release gives the lock back. The file stays: removing it would let two
// processes hold two locks of one name.
func (l *Lock) Release() error {
	if err := l.flock.Unlock(); err != nil {
		return fmt.Errorf("release %s: %w", l.path, err)
	}
	return nil
}

// lockPath accepts names that are one part of a file name.
func (s *Server) lockPath(name string) (string, error) {
	if name == "" || len(name) > 200 || strings.ContainsAny(name, "/\\") || hasControl(name) {
		return "", s.errorf(sdk.Invalid, "%q cannot be the name of a lock", clip(name))
	}
	return filepath.Join(s.layout.LockDirectory, "."+s.layout.Name+"-"+name+".lock"), nil
}

// tryLock returns nil without an error if somebody else has the lock. A lock
// file that was removed between opening and locking, by whoever cleans the
// directory, locks nothing, and another one is taken.
func tryLock(path string, try func(*flock.Flock) (bool, error)) (*Lock, error) {
	if err := durable.MakeDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	for {
		f := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK), flock.SetPermissions(fileMode))
		ok, err := try(f)
		if err != nil || !ok {
			return nil, err
		}
		same, err := stillNamed(f, path)
		if err == nil && same {
			err = writePID(path)
			if err == nil {
				return &Lock{flock: f, path: path}, nil
			}
		}
		if err := errors.Join(err, f.Unlock()); err != nil {
			return nil, err
		}
	}
}

// stillNamed reports whether the locked file is the one at path.
func stillNamed(f *flock.Flock, path string) (bool, error) {
	locked, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(locked, named), nil
}

// writePID says who holds the lock. It is information only: the lock is the
// kernel's, so nothing depends on this surviving a crash, and a full disk does
// not keep anybody from the lock that deleting backups needs.
func writePID(path string) error {
	err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), fileMode)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	return err
}

func readPID(path string) (int, error) {
	content, err := readFile(path, 64)
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(content))
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 {
		return 0, sdk.Errorf(sdk.Corrupt, "%s holds %q, not the number of a process", path, clip(text))
	}
	return pid, nil
}

// removeStaleLock removes a lock file while holding its lock: who opened it
// before and gets the lock afterwards notices in stillNamed.
func removeStaleLock(path string) (bool, error) {
	lock, err := tryLock(path, (*flock.Flock).TryLock)
	if err != nil || lock == nil {
		return false, err
	}
	if err := errors.Join(os.Remove(path), lock.Release()); err != nil {
		return false, err
	}
	return true, nil
}
