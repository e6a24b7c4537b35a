package catalogue

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWhatBelongsToNoBackupIsFound(t *testing.T) {
	s := newServer(t)
	base := func(parts ...string) string {
		return filepath.Join(append([]string{s.layout.BasebackupsDirectory}, parts...)...)
	}
	write(t, base("20260101T000000", infoName), "status=DONE\n")
	write(t, base("20260102T000000", "annotations", "delete_this"), Deleting)
	write(t, base("20260103T000000", "data", "PG_VERSION"), "15\n")
	if err := os.Mkdir(base("20260104T000000"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, s.metaInfoPath("20260105T000000"), "status=DONE\n")
	write(t, base("20260105T000000", "data", "PG_VERSION"), "15\n")
	write(t, filepath.Join(s.metaDirectory(), "20260105T000000-delete_this"), Deleting)
	write(t, filepath.Join(s.metaDirectory(), "20260106T000000-delete_this"), Deleting)
	write(t, base("20260106T000000", "data", "PG_VERSION"), "15\n")
	write(t, base("20260107T000000", ".backup.info.123.tmp"), "half of it")
	write(t, base("20260108T000000", "backup.info.tmp"), "half of it")
	write(t, base("lost+found", "something"), "")
	got, err := s.Leftovers()
	want := Leftovers{
		Deleting: []BackupID{"20260102T000000", "20260106T000000"},
		Empty:    []BackupID{"20260104T000000", "20260107T000000", "20260108T000000"},
		Strays:   []BackupID{"20260103T000000"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
	for _, id := range append(got.Deleting, got.Empty...) {
		if err := s.Remove(id); err != nil {
			t.Error(err)
		}
	}
	want.Deleting, want.Empty = nil, nil
	if got, err := s.Leftovers(); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("after removing them: %+v, %v", got, err)
	}
	if got, err := newServer(t).Leftovers(); err != nil || cmp.Diff(Leftovers{}, got) != "" {
		t.Errorf("in an empty catalogue: %+v, %v", got, err)
	}
}

func TestAWithdrawnBackupIsOneThatIsBeingDeleted(t *testing.T) {
	for name, layouts := range map[string][]bool{"before 3.13": {false}, "from 3.13 on": {true}, "both": {false, true}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			b, err := s.Create(time.Date(2026, 1, 1, 0, 0, 0, 0, time.Local))
			if err != nil {
				t.Fatal(err)
			}
			info := s.infoPaths(b.ID)[0]
			content := read(t, info)
			if err := os.Remove(info); err != nil {
				t.Fatal(err)
			}
			for _, meta := range layouts {
				if meta {
					write(t, s.metaInfoPath(b.ID), content)
				} else {
					write(t, info, content)
				}
			}
			write(t, s.Directory(b.ID)+"/data/PG_VERSION", "15\n")
			for range 2 {
				if err := s.Withdraw(b.ID); err != nil {
					t.Fatal(err)
				}
			}
			if ids, err := s.IDs(); err != nil || len(ids) > 0 {
				t.Errorf("%v, %v", ids, err)
			}
			if left, err := s.Leftovers(); err != nil || cmp.Diff(Leftovers{Deleting: []BackupID{b.ID}}, left) != "" {
				t.Errorf("%+v, %v", left, err)
			}
			if err := s.Remove(b.ID); err != nil {
				t.Fatal(err)
			}
			if left, err := s.Leftovers(); err != nil || cmp.Diff(Leftovers{}, left) != "" {
				t.Errorf("%+v, %v", left, err)
			}
		})
	}
}

func TestAPayloadIsWhereEitherLayoutHasIt(t *testing.T) {
	s := newServer(t)
	b := &Backup{ID: "20260101T000000", Mode: ModePostgres}
	if has, err := s.HasPayload(b); err != nil || has {
		t.Errorf("%v, %v", has, err)
	}
	if has, err := s.HasPayload(&Backup{ID: b.ID, Mode: "snapshot-concurrent"}); err != nil || !has {
		t.Errorf("a snapshot: %v, %v", has, err)
	}
	for _, name := range []string{"data", "pgdata"} {
		if err := os.MkdirAll(filepath.Join(s.Directory(b.ID), name), 0o700); err != nil {
			t.Fatal(err)
		}
		if has, err := s.HasPayload(b); err != nil || !has {
			t.Errorf("%s: %v, %v", name, has, err)
		}
	}
}
