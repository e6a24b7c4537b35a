package catalogue

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

func lockFile(s *Server, name string) string {
	return filepath.Join(s.Layout().LockDirectory, ".main-"+name+".lock")
}

func TestHeldLockIsBusyAndNamesTheProcess(t *testing.T) {
	s := newServer(t)
	pid, end := holdLock(t, lockFile(s, LockBackup))

	_, err := s.Lock(LockBackup)
	wantKind(t, err, sdk.Busy, "main", "process "+strconv.Itoa(pid), LockBackup)
	got, held, err := s.Holder(LockBackup)
	if err != nil || !held || got != pid {
		t.Errorf("Holder: %d, %v, %v; expected %d", got, held, err, pid)
	}
	other, err := s.Lock(LockCron)
	if err != nil {
		t.Fatalf("another lock is not free: %v", err)
	}
	if err := other.Release(); err != nil {
		t.Error(err)
	}

	end() // a process that dies gives its locks back
	if _, held, err := s.Holder(LockBackup); held || err != nil {
		t.Errorf("still held: %v", err)
	}
	lock, err := s.Lock(LockBackup)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, lockFile(s, LockBackup)); got != strconv.Itoa(os.Getpid())+"\n" {
		t.Errorf("the lock file holds %q", got)
	}
	if info, err := os.Stat(lockFile(s, LockBackup)); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	_, err = s.Lock(LockBackup)
	wantKind(t, err, sdk.Busy)
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(lockFile(s, LockBackup)); err != nil {
		t.Error("the lock file is gone")
	}
}

func TestSharedLocksExcludeOnlyWhoWantsTheLockForHimself(t *testing.T) {
	s := newServer(t)
	const id = "20260102T100000"
	var shared []*Lock
	for range 2 {
		lock, err := s.LockShared(id)
		if err != nil {
			t.Fatal(err)
		}
		shared = append(shared, lock)
	}
	for _, lock := range shared {
		_, err := s.Lock(id)
		wantKind(t, err, sdk.Busy, id)
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := s.Lock(id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.LockShared(id)
	wantKind(t, err, sdk.Busy, id)
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestLockWaitGetsTheLockWhenItIsFree(t *testing.T) {
	s := newServer(t)
	_, end := holdLock(t, lockFile(s, LockXlogDB))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.LockWait(ctx, LockXlogDB)
	wantKind(t, err, sdk.Cancelled, LockXlogDB)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not wrap the context's error", err)
	}
	time.AfterFunc(30*time.Millisecond, end)
	lock, err := s.LockWait(t.Context(), LockXlogDB)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

func TestFreeLockHasNoHolder(t *testing.T) {
	s := newServer(t)
	if _, held, err := s.Holder(LockBackup); held || err != nil {
		t.Error(held, err)
	}
	if _, err := os.Stat(lockFile(s, LockBackup)); err == nil {
		t.Error("asking created the file")
	}
	write(t, lockFile(s, LockBackup), "garbage")
	if _, held, err := s.Holder(LockBackup); held || err != nil {
		t.Error(held, err)
	}
}

func TestHeldLockWithoutProcessIsDamage(t *testing.T) {
	s := newServer(t)
	holdLock(t, lockFile(s, LockBackup))
	for _, content := range []string{"", "garbage\n", "-5\n", "99999999999999999999\n"} {
		write(t, lockFile(s, LockBackup), content)
		_, held, err := s.Holder(LockBackup)
		wantKind(t, err, sdk.Corrupt, "main")
		if !held {
			t.Error("not held")
		}
		_, err = s.Lock(LockBackup)
		wantKind(t, err, sdk.Busy, "another process")
	}
}

func TestAHolderThatHasYetToWriteItsNumberIsWaitedFor(t *testing.T) {
	s := newServer(t)
	pid, _ := holdLock(t, lockFile(s, LockBackup))
	write(t, lockFile(s, LockBackup), "")
	written := time.AfterFunc(12*time.Millisecond, func() { write(t, lockFile(s, LockBackup), strconv.Itoa(pid)+"\n") })
	defer written.Stop()
	if got, held, err := s.Holder(LockBackup); err != nil || !held || got != pid {
		t.Errorf("%d, %v, %v; expected %d", got, held, err, pid)
	}
}

func TestLockFilesThatAreLinksAreRefused(t *testing.T) {
	s := newServer(t)
	outside := filepath.Join(t.TempDir(), "precious")
	write(t, outside, "precious")
	if err := os.Symlink(outside, lockFile(s, LockBackup)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lock(LockBackup); err == nil {
		t.Error("locked through a link")
	}
	if read(t, outside) != "precious" {
		t.Error("the file behind the link was overwritten")
	}
}

func TestLockNamesNeverLeaveTheDirectory(t *testing.T) {
	s := newServer(t)
	for _, name := range []string{"", "../x", "a/b", "a\x00", "a\\b"} {
		_, err := s.Lock(name)
		wantKind(t, err, sdk.Invalid)
		_, err = s.LockWait(t.Context(), name)
		wantKind(t, err, sdk.Invalid)
		_, _, err = s.Holder(name)
		wantKind(t, err, sdk.Invalid)
	}
}

func TestRunningTasksAreKnownByTheirLocks(t *testing.T) {
	s := newServer(t)
	holdAndGet := func(name string) int {
		pid, _ := holdLock(t, lockFile(s, name))
		return pid
	}
	want := []Process{
		{Task: "sync-backup", Backup: "20240101T000000", PID: holdAndGet("20240101T000000-sync-backup")},
		{Task: LockReceiveWAL, PID: holdAndGet(LockReceiveWAL)},
	}
	holdAndGet("2-backup")               // the backup of a server called main-2
	holdAndGet("20240101T000000")        // one backup's lock is no task
	write(t, lockFile(s, "cron"), "1\n") // not held
	got, err := s.Processes()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	holdAndGet(LockArchiveWAL)
	write(t, lockFile(s, LockArchiveWAL), "garbage")
	got, err = s.Processes()
	wantKind(t, err, sdk.Corrupt, LockArchiveWAL)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestStaleLocksAreRemovedAndHeldOnesStay(t *testing.T) {
	s := newServer(t)
	holdLock(t, lockFile(s, LockBackup))
	write(t, lockFile(s, LockCron), "1\n")
	write(t, filepath.Join(s.Layout().LockDirectory, "visible.lock"), "")
	n, err := RemoveStaleLocks(s.Layout().LockDirectory)
	if n != 1 || err != nil {
		t.Error(n, err)
	}
	names, _ := readNames(s.Layout().LockDirectory)
	if d := cmp.Diff([]string{".main-backup.lock", "main", "visible.lock"}, names); d != "" {
		t.Error(d)
	}
}

func TestLockSurvivesRemovalOfItsFile(t *testing.T) {
	s := newServer(t)
	done := make(chan error)
	go func() {
		for range 200 {
			if _, err := RemoveStaleLocks(s.Layout().LockDirectory); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 50 {
		lock, err := s.LockWait(t.Context(), LockBackup)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := stillNamed(lock.flock, lock.path); err != nil || !same {
			t.Fatalf("the lock is on a file without a name: %v", err)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
