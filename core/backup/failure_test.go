package backup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/sdk"
)

// leave makes a backup in a state, with data and what a killed process was
// writing.
func (s *site) leave(state catalogue.State, at time.Time) *catalogue.Backup {
	s.t.Helper()
	b, err := s.Catalogue.Create(at)
	if err != nil {
		s.t.Fatal(err)
	}
	b.State = state
	if state != catalogue.StateEmpty {
		b.BeginWAL, b.EndWAL = "000000010000000000000002", "000000010000000000000002"
	}
	if err := s.Catalogue.Save(b); err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"data/base.tar", "16400/PG_15/1", "." + catalogue.ReceiptsName + ".123.tmp", ".backup.info.456.tmp"} {
		path := filepath.Join(s.Catalogue.Directory(b.ID), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return b
}

var long = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestReapMarksOnlyWhatAKilledProcessLeft(t *testing.T) {
	s := newSite(t, "")
	kept := map[catalogue.BackupID]catalogue.State{}
	var stale []*catalogue.Backup
	for i, state := range []catalogue.State{
		catalogue.StateEmpty, catalogue.StateStarted, catalogue.StateWaitingForWALs, catalogue.StateDone, catalogue.StateFailed, catalogue.StateSyncing,
	} {
		b := s.leave(state, long.Add(time.Duration(i)*time.Hour))
		if i < 2 {
			stale = append(stale, b)
			continue
		}
		kept[b.ID] = state
	}
	for range 2 {
		if err := Reap(s.Server.Server); err != nil {
			t.Fatal(err)
		}
		for _, b := range stale {
			s.wantFailed(b, "was killed")
		}
	}
	for id, state := range kept {
		b, err := s.Catalogue.Get(id)
		if err != nil || b.State != state {
			t.Errorf("%s is %s, expected %s; %v", id, b.State, state, err)
		}
		if got := s.files("base/" + string(id)); len(got) != 5 {
			t.Errorf("of %s there is %q", id, got)
		}
	}
}

func TestReapLeavesARunningBackupAlone(t *testing.T) {
	s := newSite(t, "")
	running := s.leave(catalogue.StateStarted, long)
	lock, err := s.Catalogue.Lock(catalogue.LockBackup)
	if err != nil {
		t.Fatal(err)
	}
	if err := Reap(s.Server.Server); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Catalogue.Get(running.ID); err != nil || b.State != catalogue.StateStarted {
		t.Errorf("%v, %v", b, err)
	}
	if got := s.files("base/" + string(running.ID)); len(got) != 5 {
		t.Errorf("%q", got)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if err := Reap(s.Server.Server); err != nil {
		t.Fatal(err)
	}
	s.wantFailed(running, "was killed")
}

// immovable keeps root, too, from removing a directory: something is
// mounted there.
func immovable(t *testing.T, directory string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts a file system: run it as root")
	}
	if err := syscall.Mount("tmpfs", directory, "tmpfs", 0, "size=4096"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(directory, 0); err != nil {
			t.Error(err)
		}
	})
}

func TestOneBackupThatCannotBeClearedAwayKeepsNobodyFromAnything(t *testing.T) {
	s := newSite(t, pipelineOf("", `sink "posix" {}`))
	stuck, other := s.leave(catalogue.StateStarted, long), s.leave(catalogue.StateStarted, long.Add(time.Hour))
	immovable(t, filepath.Join(s.Catalogue.Directory(stuck.ID), "16400"))
	if _, err := s.take(Options{}); err != nil {
		t.Errorf("a new backup: %v", err)
	}
	if !strings.Contains(s.log.String(), "files of failed backup "+string(stuck.ID)) {
		t.Errorf("the log does not name %s:\n%s", stuck.ID, s.log)
	}
	s.wantFailed(other, "was killed")
	b, err := s.Catalogue.Get(stuck.ID)
	if err != nil || b.State != catalogue.StateFailed {
		t.Errorf("%v, %v", b, err)
	}
	// What could be removed is gone.
	if got := s.files("base/" + string(stuck.ID)); len(got) != 1 || got[0] != "backup.info" {
		t.Errorf("%q", got)
	}
}

func TestReapTellsWhatItCouldNotRemove(t *testing.T) {
	s := newSite(t, "")
	stuck := s.leave(catalogue.StateStarted, long)
	immovable(t, filepath.Join(s.Catalogue.Directory(stuck.ID), "16400"))
	wantError(t, Reap(s.Server.Server), sdk.Denied, string(stuck.ID), "server main", s.Catalogue.Directory(stuck.ID), "busy")
}

// A backup that the catalogue takes for a good one keeps its files until it says
// FAILED, whenever the process is killed.
func TestAListedBackupLosesItsFilesOnlyOnceItIsMarked(t *testing.T) {
	s := newSite(t, pipelineOf("", `sink "posix" {}`))
	for _, state := range []catalogue.State{catalogue.StateWaitingForWALs, catalogue.StateDone} {
		b := s.leave(state, time.Now().Add(-time.Hour))
		r := newRun(s.Server.Server, Options{}, postgres.Facts{})
		r.backup = b
		// The mark cannot be written: there is a directory in its place.
		info := filepath.Join(s.Catalogue.Directory(b.ID), "backup.info")
		content, err := os.ReadFile(info)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(info); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(info, "full"), 0o700); err != nil {
			t.Fatal(err)
		}
		// What a killed process left of an earlier mark goes with the next one.
		before := slices.DeleteFunc(s.files("base/"+string(b.ID)), func(name string) bool { return durable.IsTemporary(filepath.Base(name), "backup.info") })
		cause := errors.New("the second sink is full")
		if err := r.fail(t.Context(), cause); !errors.Is(err, cause) || !strings.Contains(err.Error(), "backup.info") {
			t.Errorf("%v", err)
		}
		if diff := cmp.Diff(before, s.files("base/"+string(b.ID))); diff != "" {
			t.Errorf("%s: files of a backup that is not marked: %s", state, diff)
		}
		if err := os.RemoveAll(info); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(info, content, 0o600); err != nil {
			t.Fatal(err)
		}
		b.State = state
		if err := r.fail(t.Context(), cause); !errors.Is(err, cause) {
			t.Errorf("%v", err)
		}
		s.wantFailed(b, "the second sink is full")
		if err := os.RemoveAll(s.Catalogue.Directory(b.ID)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFailureThatCannotBeWrittenDownTellsBoth(t *testing.T) {
	s := newSite(t, pipelineOf("", `sink "posix" {}`))
	b := s.leave(catalogue.StateStarted, long)
	immovable(t, filepath.Join(s.Catalogue.Directory(b.ID), "16400"))
	r := newRun(s.Server.Server, Options{}, postgres.Facts{})
	r.backup = b
	cause := sdk.Errorf(sdk.Unavailable, "the server went away")
	err := r.fail(t.Context(), cause)
	if !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	for _, part := range []string{"files of failed backup", "server main", string(b.ID)} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("does not mention %q: %v", part, err)
		}
	}
	// What could be done was: the mark, and the rest of the files.
	if known, err := s.Catalogue.Get(b.ID); err != nil || known.State != catalogue.StateFailed {
		t.Errorf("%v, %v", known, err)
	}
}

func TestHooksAreToldHowABackupEnded(t *testing.T) {
	dir := t.TempDir()
	hook := "  hook \"post_backup\" {\n    script = \"echo $BARMAN_STATUS $BARMAN_BACKUP_ID: $BARMAN_ERROR >> " + dir + "/told\"\n  }\n"
	good := newSite(t, pipelineOf("", `sink "posix" {}`)+hook)
	stored, err := good.take(Options{})
	if err != nil {
		t.Fatal(err)
	}
	bad := newSite(t, pipelineOf("source \"generated\" {\n      complaint = \"no more tape\"\n    }", `sink "posix" {}`)+hook)
	failed, err := bad.take(Options{})
	wantError(t, err, sdk.Unknown, "no more tape")
	content, err := os.ReadFile(filepath.Join(dir, "told"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"WAITING_FOR_WALS " + string(stored.ID) + ":", "FAILED " + string(failed.ID) + `: failure copying files (source "generated": no more tape)`}
	for i, line := range strings.Split(strings.TrimSpace(string(content)), "\n") {
		if i >= len(want) || strings.TrimSpace(line) != want[i] {
			t.Errorf("line %d: %q", i, line)
		}
	}
}
