package removal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/pgtest"
)

func TestOfTwoDeletionsAtOnceOneIsBusyAndNothingElseIsLost(t *testing.T) {
	s := newSite(t, "")
	s.backup(1, 2)
	s.backup(2, 5)
	s.backup(3, 7)
	s.archive(1, 9)
	var errs [2]error
	var both sync.WaitGroup
	for i := range errs {
		both.Go(func() { _, errs[i] = s.delete(1) })
	}
	both.Wait()
	for _, err := range errs {
		if kind := sdk.KindOf(err); err != nil && kind != sdk.Busy && kind != sdk.NotFound {
			t.Error(err)
		}
	}
	if errors.Join(errs[0], errs[1]) == nil {
		t.Error("both say that they have deleted it")
	}
	s.wantBackups(2, 3)
	s.wantWAL(5, 9)
}

func TestADeletionNeedsNoRoomOnAFullDisk(t *testing.T) {
	for name, meta := range map[string]bool{"before 3.13": false, "from 3.13 on": true} {
		t.Run(name, func(t *testing.T) {
			s := &site{t: t, copy: t.TempDir()}
			small := pgtest.Tmpfs(t, 1<<20)
			s.Server = plugintest.OpenServer(t, small, "")
			s.backup(1, 2)
			s.archive(1, 9)
			if meta {
				from, to := filepath.Join(s.Catalogue.Directory(day(1)), "backup.info"), filepath.Join(small, "main", "meta", string(day(1))+"-backup.info")
				if err := errors.Join(os.Mkdir(filepath.Dir(to), 0o700), os.Rename(from, to)); err != nil {
					t.Fatal(err)
				}
			}
			big := filepath.Join(s.Catalogue.Directory(day(1)), "data", "big")
			if err := os.WriteFile(big, make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			if _, err := s.delete(1); err != nil {
				t.Fatal(err)
			}
			for _, directory := range []string{"base", "meta"} {
				if left, err := filepath.Glob(filepath.Join(small, "main", directory, "*")); err != nil || len(left) > 0 {
					t.Errorf("%v, %v", left, err)
				}
			}
			if has, err := s.Catalogue.HasWAL(walName(t, segment(1))); err != nil || has {
				t.Errorf("%v, %v", has, err)
			}
		})
	}
}

func TestADeletionOnAReadOnlyDiskChangesNothing(t *testing.T) {
	s := &site{t: t, copy: t.TempDir()}
	disk := pgtest.Tmpfs(t, 1<<20)
	s.Server = plugintest.OpenServer(t, disk, "retention {\n policy = \"REDUNDANCY 1\"\n}\n")
	s.backup(1, 2)
	s.backup(2, 5)
	s.archive(1, 9)
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.delete(1); !errors.Is(err, syscall.EROFS) && (err == nil || !strings.Contains(err.Error(), "read-only")) {
		t.Errorf("%v", err)
	}
	if verdicts, err := Judge(s.Server.Server, s.entries(), time.Now()); err != nil || verdicts[day(1)] != retention.Obsolete {
		t.Errorf("%v, %v", verdicts, err)
	}
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Catalogue.Get(day(1)); err != nil || b.State != catalogue.StateDone {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestWhatAKilledDeletionLeftIsClearedAwayByTheNext(t *testing.T) {
	s := newSite(t, "")
	s.backup(1, 2)
	s.backup(2, 5)
	s.archive(1, 9)
	if err := s.Catalogue.Withdraw(day(1)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.Catalogue.Directory(day(3)), 0o700); err != nil {
		t.Fatal(err)
	}
	if due, err := Due(s.Server.Server, time.Now()); err != nil || !due {
		t.Errorf("%v, %v", due, err)
	}
	if _, err := Enforce(t.Context(), s.Server.Server, Options{DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Catalogue.Directory(day(3))); err != nil {
		t.Errorf("a dry run has removed something: %v", err)
	}
	if _, err := Enforce(t.Context(), s.Server.Server, Options{}); err != nil {
		t.Fatal(err)
	}
	s.wantBackups(2)
}

func TestABackupWhoseDataIsGoneCountsForNothing(t *testing.T) {
	s := newSite(t, "retention {\n policy = \"REDUNDANCY 1\"\n minimum_redundancy = 1\n}\n")
	s.backup(1, 2)
	s.backup(2, 5)
	s.archive(1, 9)
	if err := os.RemoveAll(filepath.Join(s.Catalogue.Directory(day(2)), "data")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.delete(1); sdk.KindOf(err) != sdk.Denied {
		t.Errorf("the last backup that is any good: %v", err)
	}
	if _, err := Enforce(t.Context(), s.Server.Server, Options{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.log.String(), "the data of a backup is gone") {
		t.Errorf("nobody was told:\n%s", s.log)
	}
	if _, err := s.delete(2); err != nil {
		t.Error(err)
	}
	s.wantBackups(1)
	s.wantWAL(1, 9)
}

func TestFilesWithoutABackupAreToldOfAndStay(t *testing.T) {
	s := newSite(t, "")
	s.backup(1, 2)
	if err := os.Remove(filepath.Join(s.Catalogue.Directory(day(1)), "backup.info")); err != nil {
		t.Fatal(err)
	}
	if _, err := Enforce(t.Context(), s.Server.Server, Options{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.log.String(), "no backup.info") || !strings.Contains(s.log.String(), s.Catalogue.Directory(day(1))) {
		t.Errorf("nobody was told:\n%s", s.log)
	}
	if _, err := s.delete(1); sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("%v", err)
	}
	s.wantBackups(1)
}

func TestABackupThatIsBeingCopiedIsNotDeleted(t *testing.T) {
	s := newSite(t, "")
	s.backup(1, 2, func(b *catalogue.Backup) { b.State = catalogue.StateSyncing })
	lock, err := s.Catalogue.Lock(string(day(1)) + "-sync-backup")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.delete(1); sdk.KindOf(err) != sdk.Busy {
		t.Errorf("%v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.delete(1); err != nil {
		t.Error(err)
	}
	s.wantBackups()
}

func TestBackupsThatNameEachOtherAsParentsAreDeletedAllTheSame(t *testing.T) {
	s := newSite(t, "")
	s.backup(1, 2, func(b *catalogue.Backup) { b.ParentID = day(2) })
	s.backup(2, 4, func(b *catalogue.Backup) { b.ParentID = day(1) })
	if _, err := s.delete(1); err != nil {
		t.Error(err)
	}
	s.wantBackups()
}

func TestAnUnreadableArchiveIndexStopsADeletionThatGoesOnLater(t *testing.T) {
	s := newSite(t, "")
	s.backup(1, 2)
	s.backup(2, 5)
	s.archive(1, 9)
	index := filepath.Join(s.Server.Server.Config.Directories.Backup, "wals", "xlog.db")
	content, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(index), os.Mkdir(index, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.delete(1); err == nil || !strings.Contains(err.Error(), index) {
		t.Errorf("%v", err)
	}
	if b, err := s.Catalogue.Get(day(1)); err != nil || b.State != catalogue.StateFailed {
		t.Errorf("%+v, %v", b, err)
	}
	if err := errors.Join(os.Remove(index), os.WriteFile(index, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Enforce(t.Context(), s.Server.Server, Options{}); err != nil {
		t.Fatal(err)
	}
	s.wantBackups(2)
	s.wantWAL(5, 9)
}

func TestTheFirstBackupMakesOlderWALUseless(t *testing.T) {
	s := newSite(t, "")
	s.archive(1, 9)
	purge := func(n, want int) {
		t.Helper()
		if files, err := Purge(t.Context(), s.Server.Server, day(n)); err != nil || files != want {
			t.Errorf("backup of day %d: %d files went, %v", n, files, err)
		}
	}
	s.backup(2, 4, failed, func(b *catalogue.Backup) { b.BeginWAL, b.EndWAL, b.Timeline = "", "", 0 })
	purge(2, 0)
	s.backup(3, 4)
	s.backup(4, 7)
	purge(4, 0) // there is an older one
	damaged := filepath.Join(s.Catalogue.Directory(day(1)), "backup.info")
	s.write(damaged, "what is this\n")
	purge(3, 0)
	if err := os.RemoveAll(filepath.Dir(damaged)); err != nil {
		t.Fatal(err)
	}
	lock, err := s.Catalogue.Lock(catalogue.LockBackup)
	if err != nil {
		t.Fatal(err)
	}
	purge(3, 0)
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	s.wantWAL(1, 9)
	purge(3, 3)
	s.wantWAL(4, 9)
	purge(3, 0)
}

func TestADeletionThatBarmanInPythonHasBegunIsFinishedByAPolicyOnly(t *testing.T) {
	for policy, left := range map[string][]int{"": {1, 2}, "retention {\n policy = \"REDUNDANCY 2\"\n minimum_redundancy = 2\n}\n": {1}} {
		s := newSite(t, policy)
		s.backup(1, 2)
		s.backup(2, 5)
		if err := s.Catalogue.Annotate(day(2), catalogue.AnnotationDelete, catalogue.Deleting); err != nil {
			t.Fatal(err)
		}
		if policy != "" { // what is being deleted does not count
			if _, err := s.delete(1); sdk.KindOf(err) != sdk.Denied {
				t.Errorf("%v", err)
			}
		}
		if due, err := Due(s.Server.Server, time.Now()); err != nil || due != (policy != "") {
			t.Errorf("with the policy %q: %v, %v", policy, due, err)
		}
		if _, err := Enforce(t.Context(), s.Server.Server, Options{}); err != nil {
			t.Fatal(err)
		}
		s.wantBackups(left...)
	}
}
