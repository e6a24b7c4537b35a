package catalogue

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

func listed(t *testing.T, s *Server) (good []BackupID, bad map[BackupID]error) {
	t.Helper()
	bad = map[BackupID]error{}
	for e, err := range s.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if (e.Backup == nil) != (e.Err != nil) {
			t.Fatalf("%+v", e)
		}
		if e.Err != nil {
			bad[e.ID] = e.Err
		} else {
			good = append(good, e.ID)
		}
	}
	return good, bad
}

func TestBackupsOfBarman34AreListed(t *testing.T) {
	good, bad := listed(t, fixture(t))
	want := []BackupID{"20261121T075819", "20261121T075821", "20261121T075848", "20261121T075922", "20261121T080419"}
	if d := cmp.Diff(want, good); d != "" || len(bad) != 0 {
		t.Error(d, bad)
	}
	b, err := fixture(t).Get("20261121T075922")
	if err != nil {
		t.Fatal(err)
	}
	if b.ID != "20261121T075922" || b.Name != "first one" || b.State != StateDone || b.Version != 150020 || len(b.Tablespaces) != 2 || b.Tablespaces[0].Name != "tbs1" {
		t.Errorf("%+v", b)
	}
}

func TestDamagedBackupDoesNotHideTheOthers(t *testing.T) {
	s := fixture(t)
	base := s.Layout().BasebackupsDirectory
	write(t, filepath.Join(base, "20200101T000000", infoName), "status=DONE\ngarbage\n")
	write(t, filepath.Join(base, "20200102T000000", infoName), strings.Repeat("\x00", 4096))
	write(t, filepath.Join(base, "20200103T000000", infoName), "")
	if err := os.Mkdir(filepath.Join(base, "20200104T000000"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(base, "20200104T000000", infoName)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("20261121T075819", filepath.Join(base, "20200105T000000")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(base, "20200106T000000", infoName), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(base, "20200107T000000"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(base, "20200107T000000", infoName), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(base, "20200108T000000", infoName), "")
	if err := os.Truncate(filepath.Join(base, "20200108T000000", infoName), 1<<40); err != nil {
		t.Fatal(err)
	}

	good, bad := listed(t, s)
	if len(good) != 5 || len(bad) != 8 {
		t.Errorf("%d good, %d bad: %v", len(good), len(bad), bad)
	}
	for id, err := range bad {
		wantKind(t, err, sdk.Corrupt, "main", string(id), base)
	}
	wantKind(t, bad["20200101T000000"], sdk.Corrupt, "line 2", "garbage", "copy from before the damage")
	wantKind(t, bad["20200104T000000"], sdk.Corrupt, "symbolic link")
	wantKind(t, bad["20200105T000000"], sdk.Corrupt, "symbolic link")
	wantKind(t, bad["20200108T000000"], sdk.Corrupt, "larger than")
}

func TestAFieldOfANewerVersionIsNamedAndHidesNoOtherBackup(t *testing.T) {
	s := fixture(t)
	write(t, filepath.Join(s.Layout().BasebackupsDirectory, "20260101T000000", infoName), "status=DONE\nquantum_state=entangled\n")
	good, bad := listed(t, s)
	if len(good) != 5 || len(bad) != 1 {
		t.Errorf("%v, %v", good, bad)
	}
	wantKind(t, bad["20260101T000000"], sdk.Corrupt, "line 2", `"quantum_state"`, "newer version", "use the version that wrote it")
}

func TestWhatIsNoBackupIsNotListed(t *testing.T) {
	s := newServer(t)
	base := s.Layout().BasebackupsDirectory
	write(t, filepath.Join(base, "20200101T000000.old", infoName), "status=DONE\n")
	write(t, filepath.Join(base, "lost+found", infoName), "status=DONE\n")
	write(t, filepath.Join(base, "20200102T000000"), "a file")
	if err := os.Mkdir(filepath.Join(base, "20200103T000000"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.metaDirectory(), "20200104T000000-keep"), "full")
	write(t, filepath.Join(s.metaDirectory(), "x-backup.info"), "status=DONE\n")
	if good, bad := listed(t, s); len(good)+len(bad) != 0 {
		t.Error(good, bad)
	}
	for _, id := range []BackupID{"20200102T000000", "20200103T000000", "20200104T000000"} {
		_, err := s.Get(id)
		wantKind(t, err, sdk.NotFound, string(id), "list-backups")
	}
	if good, bad := listed(t, &Server{layout: Layout{}.Default("/nonexistent", "main")}); len(good)+len(bad) != 0 {
		t.Error(good, bad)
	}
}

func TestUnreadableBaseDirectoryIsAnError(t *testing.T) {
	s, err := Open(Layout{}.Default(t.TempDir(), "main"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.Layout().BasebackupsDirectory, "a file")
	for e, err := range s.Entries() {
		if err == nil || !strings.Contains(err.Error(), "main") {
			t.Errorf("%+v, %v", e, err)
		}
	}
	if _, err := s.Resolve("latest"); err == nil {
		t.Error("a backup was found")
	}
}

func TestHostileIDsNeverBecomePaths(t *testing.T) {
	s := newServer(t)
	for _, id := range []BackupID{"", "..", "../x", "../../../../etc", "20240101T000000/..", "20240101T00000\x00", "20240101t000000", "2024010 T000000", "20240101T0000000", "/etc/passwd/xx"} {
		_, err := s.Get(id)
		wantKind(t, err, sdk.Invalid)
		wantKind(t, s.Save(&Backup{ID: id, State: StateEmpty}), sdk.Invalid)
		_, err = s.CheckBackup(id)
		wantKind(t, err, sdk.Invalid)
		_, err = s.NewReceipts(id, ReceiptsHeader{})
		wantKind(t, err, sdk.Invalid)
		_, _, err = s.Receipts(id)
		wantKind(t, err, sdk.Invalid)
		_, _, err = s.Measure(id)
		wantKind(t, err, sdk.Invalid)
	}
}

func TestSaveWritesWhereBarmanReads(t *testing.T) {
	s := newServer(t)
	b := full()
	b.ID = "20240101T000000"
	if err := s.Save(b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.Layout().BasebackupsDirectory, "20240101T000000", infoName)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	if dir, err := os.Stat(filepath.Dir(path)); err != nil || dir.Mode().Perm() != 0o700 {
		t.Fatal(dir, err)
	}
	before := read(t, path)

	// A catalogue with meta/ has been in the hands of Barman 3.13 or later.
	got, err := s.Get(b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.metaDirectory(), 0o700); err != nil {
		t.Fatal(err)
	}
	got.State = StateFailed
	if err := s.Save(got); err != nil {
		t.Fatal(err)
	}
	if read(t, path) != before {
		t.Error("the file in base/ was changed as well")
	}
	if !strings.Contains(read(t, filepath.Join(s.metaDirectory(), "20240101T000000-backup.info")), "status=FAILED\n") {
		t.Error("the file in meta/ is not the new one")
	}
	again, err := s.Get(b.ID)
	if err != nil || again.State != StateFailed {
		t.Errorf("%+v, %v: meta/ does not win", again, err)
	}
	if good, _ := listed(t, s); len(good) != 1 {
		t.Errorf("listed as %v", good)
	}
	wantNoTemporaryFiles(t, s.Layout().BackupDirectory)
}

func TestUnsavableBackupChangesNothing(t *testing.T) {
	s := newServer(t)
	b := full()
	b.ID = "20240101T000000"
	if err := s.Save(b); err != nil {
		t.Fatal(err)
	}
	b.PGData = "/a\nb"
	wantKind(t, s.Save(b), sdk.Invalid, "main", "20240101T000000", "pgdata")
	if got, err := s.Get(b.ID); err != nil || got.PGData != "/srv/données" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSaveThroughALinkIsRefused(t *testing.T) {
	s := newServer(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(s.Layout().BasebackupsDirectory, "20240101T000000")); err != nil {
		t.Fatal(err)
	}
	wantKind(t, s.Save(&Backup{ID: "20240101T000000", State: StateEmpty}), sdk.Corrupt, "symbolic link")
	if names, _ := readNames(outside); len(names) != 0 {
		t.Errorf("%v was written outside", names)
	}
}

func TestConcurrentSavesLeaveOneOfThem(t *testing.T) {
	s := newServer(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5 {
				b := full()
				b.ID = "20240101T000000"
				if err := s.Save(b); err != nil {
					t.Error(err)
				}
				if _, err := s.Get(b.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	wantNoTemporaryFiles(t, s.Layout().BackupDirectory)
}

func TestCreateTakesTheNextFreeID(t *testing.T) {
	s := newServer(t)
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.Local)
	write(t, filepath.Join(s.metaDirectory(), "20240101T000001-backup.info"), "status=DONE\n")
	for _, want := range []BackupID{"20240101T000000", "20240101T000002", "20240101T000003"} {
		b, err := s.Create(now)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(b.ID)
		if err != nil || b.ID != want || got.State != StateEmpty || got.Server != "main" {
			t.Errorf("%s, expected %s: %+v, %v", b.ID, want, got, err)
		}
	}
	for range 7 {
		_, _ = s.Create(now)
	}
	_, err := s.Create(now)
	wantKind(t, err, sdk.Exists, "clock")
}

func TestDirectoriesOfBothLayouts(t *testing.T) {
	s := newServer(t)
	b := &Backup{ID: "20240101T000000", Tablespaces: []Tablespace{{"a", 16385, "/a"}}}
	data, err := s.DataDirectory(b.ID)
	if err != nil || data != filepath.Join(s.Directory(b.ID), "data") {
		t.Error(data, err)
	}
	ts, err := s.TablespaceDirectory(b, 16385)
	if err != nil || ts != filepath.Join(s.Directory(b.ID), "16385") {
		t.Error(ts, err)
	}
	_, err = s.TablespaceDirectory(b, 1)
	wantKind(t, err, sdk.NotFound, "20240101T000000")

	if err := os.MkdirAll(filepath.Join(s.Directory(b.ID), "pgdata"), 0o700); err != nil {
		t.Fatal(err)
	}
	data, err = s.DataDirectory(b.ID)
	if err != nil || data != filepath.Join(s.Directory(b.ID), "pgdata") {
		t.Error(data, err)
	}
	ts, err = s.TablespaceDirectory(b, 16385)
	if err != nil || ts != filepath.Join(data, "pg_tblspc", "16385") {
		t.Error(ts, err)
	}
}

func TestHardLinkedFilesAreSharedSize(t *testing.T) {
	s := newServer(t)
	write(t, filepath.Join(s.Directory("20240101T000000"), "data", "a"), "12345")
	write(t, filepath.Join(s.Directory("20240102T000000"), "data", "b"), "123")
	if err := os.Link(filepath.Join(s.Directory("20240101T000000"), "data", "a"), filepath.Join(s.Directory("20240102T000000"), "data", "a")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(s.Directory("20240102T000000"), "data", "link")); err != nil {
		t.Fatal(err)
	}
	size, deduplicated, err := s.Measure("20240102T000000")
	if err != nil || size != 8 || deduplicated != 3 {
		t.Error(size, deduplicated, err)
	}
	_, _, err = s.Measure("20240103T000000")
	wantKind(t, err, sdk.NotFound)
}
