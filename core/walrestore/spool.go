package walrestore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/core/durable"
	corewal "github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

const (
	partSuffix = ".part"
	wantedFile = "wanted"
	lockFile   = "lock"
	failedFile = "failed"
	logFile    = "log"
)

// spool is a directory with WAL that was fetched ahead.
type spool struct{ path string }

// openSpool returns the spool of what asks for WAL in the same way, below a
// directory that may be shared. It is made when it is missing. Where others could
// put files is no place for it, which is an error of kind Denied.
func openSpool(below string, key ...string) (spool, error) {
	if err := os.MkdirAll(below, 0o700); err != nil {
		return spool{}, err
	}
	path := filepath.Join(below, fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(key, "\x00"))))[:20])
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return spool{}, err
	}
	if err := trusted(below, 0, os.Geteuid()); err != nil {
		return spool{}, err
	}
	return spool{path: path}, trusted(path, os.Geteuid())
}

// trusted refuses a directory that belongs to somebody else, or that others can
// write to other than as in /tmp.
func trusted(path string, owners ...int) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return sdk.Errorf(sdk.Denied, "%s is not a directory", path)
	}
	ours := false
	for _, owner := range owners {
		ours = ours || int(info.Sys().(*syscall.Stat_t).Uid) == owner
	}
	if !ours {
		return sdk.Errorf(sdk.Denied, "%s belongs to another user: choose another --spool-dir", path)
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return sdk.Errorf(sdk.Denied, "others may write to %s: choose another --spool-dir", path)
	}
	return nil
}

func (s spool) file(name string) string { return filepath.Join(s.path, name) }

// want notes what PostgreSQL asks for, for the prefetcher to see.
func (s spool) want(name wal.Name) error {
	return os.WriteFile(s.file(wantedFile), []byte(name.String()+"\n"), 0o600)
}

// wanted returns what was asked for last, and when. It may just be written: then
// the name is zero.
func (s spool) wanted() (wal.Name, time.Time) {
	content, err := os.ReadFile(s.file(wantedFile))
	if err != nil {
		return wal.Name{}, time.Time{}
	}
	info, err := os.Stat(s.file(wantedFile))
	if err != nil {
		return wal.Name{}, time.Time{}
	}
	name, err := wal.ParseName(strings.TrimSuffix(string(content), "\n"))
	if err != nil || name.Kind != wal.KindSegment {
		return wal.Name{}, info.ModTime()
	}
	return name, info.ModTime()
}

// newPart begins a segment, which is not there before it has its own name. That
// it is on its way can be seen.
func (s spool) newPart(name wal.Name) (*os.File, error) {
	return os.OpenFile(s.file(name.String()+partSuffix), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
}

// has tells whether a segment is there.
func (s spool) has(name wal.Name) bool {
	_, err := os.Lstat(s.file(name.String()))
	return err == nil
}

// segments lists the segments in the order of their names.
func (s spool) segments() ([]wal.Name, error) {
	entries, err := os.ReadDir(s.path)
	if err != nil {
		return nil, err
	}
	var names []wal.Name
	for _, entry := range entries {
		if name, err := wal.ParseName(entry.Name()); err == nil && name.Kind == wal.KindSegment {
			names = append(names, name)
		}
	}
	return names, nil
}

// take moves a segment to where PostgreSQL wants it and returns its size; 0 if
// there is none that can be handed out. system is the cluster's system identifier,
// 0 for any.
func (s spool) take(name wal.Name, destination string, system uint64) (wal.SegmentSize, error) {
	path := s.file(name.String())
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	header, err := check(name, f)
	if err == nil && system != 0 && header.SystemID != system {
		err = sdk.Errorf(sdk.Corrupt, "WAL file %s in the spool is of another cluster", name)
	}
	if err != nil {
		return 0, errors.Join(err, os.Remove(path))
	}
	err = os.Rename(path, destination)
	if errors.Is(err, syscall.EXDEV) {
		if err = copyOver(f, destination); err == nil {
			err = os.Remove(path)
		}
	}
	if err != nil {
		return 0, err
	}
	return header.SegmentSize, nil
}

// check looks at a segment's first page and its size. The bytes behind were
// looked at when it was fetched.
func check(name wal.Name, f *os.File) (wal.PageHeader, error) {
	content := corewal.NewContent(name)
	if _, err := io.CopyN(content, f, wal.LongPageHeaderSize); err != nil {
		return wal.PageHeader{}, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() != int64(content.Header.SegmentSize)) {
		err = sdk.Errorf(sdk.Corrupt, "WAL file %s in the spool has %d bytes, expected %d", name, info.Size(), content.Header.SegmentSize)
	}
	return content.Header, err
}

// copyOver copies a file that lies on another file system.
func copyOver(from *os.File, to string) error {
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r, err := durable.NewReplacement(to, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(r, from); err != nil {
		return errors.Join(err, r.Abort())
	}
	return r.Publish()
}

// arriving tells whether a segment is being fetched right now, and how much of
// it is there.
func (s spool) arriving(name wal.Name) (bool, int64) {
	info, err := os.Lstat(s.file(name.String() + partSuffix))
	if err != nil || !s.locked() {
		return false, 0
	}
	return true, info.Size()
}

// arrivalTime is how long a segment on its way may make no progress before it is
// fetched directly.
const arrivalTime = 10 * time.Second

// await waits while a segment is being fetched.
func (s spool) await(name wal.Name, done <-chan struct{}) {
	size, since := int64(-1), time.Now()
	for time.Since(since) < arrivalTime {
		there, now := s.arriving(name)
		if !there {
			return
		}
		if now != size {
			size, since = now, time.Now()
		}
		select {
		case <-done:
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// lock makes this process the prefetcher; nil if there is another one.
func (s spool) lock(patience time.Duration) (*os.File, error) {
	f, err := os.OpenFile(s.file(lockFile), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		if time.Since(begun) > patience {
			return nil, f.Close()
		}
	}
}

// locked tells whether a prefetcher is at work.
func (s spool) locked() bool {
	f, err := os.OpenFile(s.file(lockFile), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close() // lets go of the lock
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// failedLately tells whether a prefetcher has just failed, so that the next one
// would do so as well.
func (s spool) failedLately() bool {
	info, err := os.Lstat(s.file(failedFile))
	return err == nil && time.Since(info.ModTime()) < 30*time.Second
}

// clear removes the segments that keep refuses, and what killed prefetchers were
// about to fetch.
func (s spool) clear(keep func(wal.Name) bool) error {
	entries, err := os.ReadDir(s.path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		base, part := strings.CutSuffix(entry.Name(), partSuffix)
		name, err := wal.ParseName(base)
		if err != nil || !part && keep(name) {
			continue
		}
		if err := os.Remove(s.file(entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
