package catalogue

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
)

func TestShortcutsAndNamesAreResolved(t *testing.T) {
	s := newServer(t)
	for id, b := range map[BackupID]Backup{
		"20240101T000000": {State: StateFailed},
		"20240102T000000": {State: StateDone, Name: "first", Mode: ModePostgres},
		"20240103T000000": {State: StateDone, Name: "nightly", Mode: ModeRsyncConcurrent},
		"20240104T000000": {State: StateFailed, Name: "nightly"},
		"20240105T000000": {State: StateWaitingForWALs, Name: "twice", Mode: ModePostgres, ParentID: "20240102T000000"},
		"20240106T000000": {State: StateDone, Name: "twice", Mode: "snapshot-concurrent"},
		"20240107T000000": {State: StateStarted, Name: "running"},
		"20240108T000000": {State: StateEmpty},
	} {
		b.ID = id
		if b.Name == "first" {
			b.Name = "the first"
		}
		if err := s.Save(&b); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(s.Directory("20240109T000000"), infoName), "damaged\n")

	for reference, want := range map[string]BackupID{
		"latest": "20240106T000000", "last": "20240106T000000", "oldest": "20240102T000000", "first": "20240102T000000", "last-failed": "20240104T000000",
		"latest-full": "20240103T000000", "last-full": "20240103T000000", "nightly": "20240103T000000", "the first": "20240102T000000",
		"20240108T000000": "20240108T000000",
	} {
		b, err := s.Resolve(reference)
		if err != nil || b.ID != want {
			t.Errorf("%s: %v, %v; expected %s", reference, b, err, want)
		}
	}
	for reference, kind := range map[string]sdk.ErrorKind{
		"failed": sdk.NotFound, "fail": sdk.NotFound, "-": sdk.NotFound, "running": sdk.NotFound, "Latest": sdk.NotFound, "20240110T000000": sdk.NotFound,
		"20240109T000000": sdk.Corrupt, "auto": sdk.Invalid, "": sdk.Invalid, "a\nb": sdk.Invalid,
	} {
		_, err := s.Resolve(reference)
		wantKind(t, err, kind, "main")
	}
	_, err := s.Resolve("twice")
	wantKind(t, err, sdk.Invalid, "20240105T000000, 20240106T000000")
	_, err = s.Resolve("missing")
	wantKind(t, err, sdk.NotFound, "20240109T000000") // the damaged one could be it
}

func TestNothingIsMeantInAnEmptyCatalogue(t *testing.T) {
	_, err := newServer(t).Resolve("latest")
	wantKind(t, err, sdk.NotFound, "latest", "list-backups")
}

func TestBackupNamesThatCannotBeToldFromOthersAreRefused(t *testing.T) {
	for _, name := range []string{"", "20240101T000000", "latest", "last", "oldest", "first", "last-failed", "latest-full", "last-full", "auto", "None", " x", "a\nb"} {
		wantKind(t, ValidBackupName(name), sdk.Invalid)
	}
	for _, name := range []string{"nightly", "Latest", "before the upgrade", "données"} {
		if err := ValidBackupName(name); err != nil {
			t.Error(err)
		}
	}
}

func TestBackupIDIsLocalTime(t *testing.T) {
	now := time.Date(2024, 12, 31, 23, 59, 58, 999, time.Local)
	id := NewBackupID(now.UTC())
	if id != "20241231T235958" || !id.Valid() {
		t.Error(id)
	}
	if _, err := ParseBackupID("20241231T235958"); err != nil {
		t.Error(err)
	}
}

func FuzzBackupIDIsSafeAsFileName(f *testing.F) {
	f.Add("20240101T000000")
	f.Add("../../etc/passwd")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseBackupID(s); err == nil && (filepath.Base(string(id)) != s || len(s) != 15) {
			t.Fatalf("%q was accepted", s)
		}
	})
}
