package removal

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func TestMain(m *testing.M) { os.Exit(plugintest.Main(m, "plugins/sink-posix", "plugins/hook-script")) }

// site is a server with a copy of everything in a second sink.
type site struct {
	*plugintest.Server
	t    *testing.T
	copy string
	log  *bytes.Buffer
}

func newSite(t *testing.T, settings string) *site {
	t.Helper()
	s := &site{t: t, copy: t.TempDir(), log: &bytes.Buffer{}}
	sinks := fmt.Sprintf("sink \"posix\" {}\n sink \"posix\" {\n path = %q\n }\n", s.copy)
	s.Server = plugintest.NewServer(t, "backup {\n "+sinks+"}\nwal {\n archive = true\n "+sinks+"}\n"+settings, s.log)
	return s
}

// day is the ID of a backup of a day of January 2026.
func day(n int) catalogue.BackupID {
	return catalogue.BackupID(fmt.Sprintf("202601%02dT000000", n))
}

func segment(n int) string { return fmt.Sprintf("0000000100000000%08X", n) }

// backup is a complete backup of a day with the WAL of two segments.
func (s *site) backup(n, begin int, change ...func(*catalogue.Backup)) {
	s.t.Helper()
	b, err := s.Catalogue.Create(time.Date(2026, 1, n, 0, 0, 0, 0, time.Local))
	if err != nil {
		s.t.Fatal(err)
	}
	b.State, b.Timeline, b.BeginWAL, b.EndWAL, b.EndTime = catalogue.StateDone, 1, segment(begin), segment(begin+1), time.Date(2026, 1, n, 1, 0, 0, 0, time.Local)
	for _, f := range change {
		f(b)
	}
	if err := s.Catalogue.Save(b); err != nil {
		s.t.Fatal(err)
	}
	for _, root := range []string{s.Server.Server.Config.Directories.Backup, s.copy} {
		s.write(filepath.Join(root, "base", string(b.ID), "data", "base", "1", "1234"), "data")
		s.write(filepath.Join(root, "base", string(b.ID), "data", "PG_VERSION"), "15\n")
	}
	info, err := os.ReadFile(filepath.Join(s.Catalogue.Directory(b.ID), "backup.info"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(filepath.Join(s.copy, "base", string(b.ID), "backup.info"), string(info))
}

// archive puts segments into the archive, and xlog.db.
func (s *site) archive(from, to int) {
	s.t.Helper()
	var records []catalogue.WALRecord
	for n := from; n <= to; n++ {
		name, err := wal.ParseName(segment(n))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, root := range []string{s.Server.Server.Config.Directories.Backup, s.copy} {
			s.write(filepath.Join(root, "wals", name.HashDir(), segment(n)), segment(n))
		}
		records = append(records, catalogue.WALRecord{Name: name, Size: int64(len(segment(n))), ModTime: time.Unix(int64(n), 0)})
	}
	if err := s.Catalogue.Append(s.t.Context(), records...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) write(path, content string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// wantBackups checks which backups are left, in the catalogue and in the copy.
func (s *site) wantBackups(days ...int) {
	s.t.Helper()
	var want []string
	for _, n := range days {
		want = append(want, string(day(n)))
	}
	for _, root := range []string{s.Server.Server.Config.Directories.Backup, s.copy} {
		var got []string
		entries, err := os.ReadDir(filepath.Join(root, "base"))
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
		for _, entry := range entries {
			got = append(got, entry.Name())
			if _, err := os.Stat(filepath.Join(root, "base", entry.Name(), "data", "base", "1", "1234")); err != nil {
				s.t.Errorf("backup %s: %v", entry.Name(), err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			s.t.Errorf("backups in %s (-want +got):\n%s", root, diff)
		}
	}
}

// wantWAL checks which segments are left, everywhere.
func (s *site) wantWAL(from, to int) {
	s.t.Helper()
	var want []string
	for n := from; n <= to; n++ {
		want = append(want, segment(n))
	}
	for _, root := range []string{s.Server.Server.Config.Directories.Backup, s.copy} {
		var got []string
		err := filepath.WalkDir(filepath.Join(root, "wals"), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && entry.Name() != "xlog.db" {
				got = append(got, entry.Name())
			}
			return err
		})
		if err != nil {
			s.t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			s.t.Errorf("WAL in %s (-want +got):\n%s", root, diff)
		}
	}
	var recorded []string
	for record, err := range s.Catalogue.WALRecords() {
		if err != nil {
			s.t.Fatal(err)
		}
		recorded = append(recorded, record.Name.String())
	}
	if diff := cmp.Diff(want, recorded); diff != "" {
		s.t.Errorf("xlog.db (-want +got):\n%s", diff)
	}
}

func (s *site) delete(n int) ([]Deleted, error) {
	return Delete(s.t.Context(), s.Server.Server, day(n), Options{})
}

// entries are all backups, the oldest first.
func (s *site) entries() []catalogue.Entry {
	s.t.Helper()
	var entries []catalogue.Entry
	for entry, err := range s.Catalogue.Entries() {
		if err != nil {
			s.t.Fatal(err)
		}
		entries = append(entries, entry)
	}
	return entries
}

func walName(t *testing.T, text string) wal.Name {
	t.Helper()
	name, err := wal.ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func failed(b *catalogue.Backup) { b.State = catalogue.StateFailed }

func TestTheOldestBackupTakesTheWALBeforeTheNextOneAlong(t *testing.T) {
	s := newSite(t, "")
	s.backup(1, 2)
	s.backup(2, 5)
	s.archive(1, 9)
	deleted, err := s.delete(1)
	if err != nil {
		t.Fatal(err)
	}
	if len(deleted) != 1 || deleted[0].WALFiles != 4 || deleted[0].FirstWAL != segment(1) || deleted[0].LastWAL != segment(4) {
		t.Errorf("%+v", deleted)
	}
	s.wantBackups(2)
	s.wantWAL(5, 9)
}

func TestALaterBackupTakesNoWALAlong(t *testing.T) {
	for _, n := range []int{2, 3} {
		s := newSite(t, "")
		s.backup(1, 2)
		s.backup(2, 5)
		s.backup(3, 7)
		s.archive(2, 9)
		deleted, err := s.delete(n)
		if err != nil || deleted[0].WALFiles != 0 || !strings.Contains(deleted[0].WALReason, "is older") {
			t.Errorf("%+v, %v", deleted, err)
		}
		s.wantBackups(slices.DeleteFunc([]int{1, 2, 3}, func(other int) bool { return other == n })...)
		s.wantWAL(2, 9)
	}
}

func TestManySegmentsOfOneDirectoryTakeNoOthersAlong(t *testing.T) {
	s := newSite(t, "")
	small := func(b *catalogue.Backup) { b.SegmentSize = 1 << 20 } // 4096 of them share a directory
	s.backup(1, 0, small)
	s.backup(2, 300, small)
	s.archive(0, 310)
	if _, err := s.delete(1); err != nil {
		t.Fatal(err)
	}
	s.wantWAL(300, 310)
}

func TestAFailedBackupThatNeverBeganTakesNoWALAlong(t *testing.T) {
	s := newSite(t, "")
	s.backup(1, 2, failed, func(b *catalogue.Backup) { b.BeginWAL, b.EndWAL, b.Timeline = "", "", 0 })
	s.archive(1, 5)
	if _, err := s.delete(1); err != nil {
		t.Fatal(err)
	}
	s.wantBackups()
	s.wantWAL(1, 5)
}

func TestNoWALIsDeletedWhileABackupCannotBeRead(t *testing.T) {
	s := newSite(t, "")
	s.backup(1, 2)
	s.backup(2, 5)
	s.backup(3, 7)
	s.archive(1, 9)
	s.write(filepath.Join(s.Catalogue.Directory(day(2)), "backup.info"), "what is this\n")
	deleted, err := s.delete(1)
	if err != nil || !strings.Contains(deleted[0].WALReason, string(day(2))) {
		t.Errorf("%+v, %v", deleted, err)
	}
	s.wantBackups(2, 3)
	s.wantWAL(1, 9)
}

func TestWhatMustStayIsNotDeleted(t *testing.T) {
	s := newSite(t, "retention {\n minimum_redundancy = 2\n}\n")
	s.backup(1, 2)
	s.backup(2, 5)
	s.backup(3, 7, failed)
	s.archive(1, 9)
	if _, err := s.delete(1); sdk.KindOf(err) != sdk.Denied || !strings.Contains(err.Error(), "minimum_redundancy is 2") {
		t.Errorf("%v", err)
	}
	if _, err := s.delete(3); err != nil {
		t.Error(err)
	}
	s.backup(4, 8)
	if err := Keep(t.Context(), s.Server.Server, day(1), catalogue.KeepFull); err != nil {
		t.Fatal(err)
	}
	if _, err := s.delete(1); sdk.KindOf(err) != sdk.Denied || !strings.Contains(err.Error(), "keep --release") {
		t.Errorf("%v", err)
	}
	if err := LetGo(t.Context(), s.Server.Server, day(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.delete(1); err != nil {
		t.Error(err)
	}
	if _, err := s.delete(9); sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("%v", err)
	}
	s.wantBackups(2, 4)
}

func TestOnlyCompleteBackupsAreKept(t *testing.T) {
	s := newSite(t, "")
	s.backup(1, 2, func(b *catalogue.Backup) { b.State = catalogue.StateWaitingForWALs })
	s.backup(2, 2, func(b *catalogue.Backup) { b.ParentID = day(1) })
	for n, how := range map[int]string{1: catalogue.KeepFull, 2: catalogue.KeepStandalone} {
		if err := Keep(t.Context(), s.Server.Server, day(n), how); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("backup of day %d: %v", n, err)
		}
	}
	if err := Keep(t.Context(), s.Server.Server, day(1), "for ever"); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("%v", err)
	}
}

func TestADeletionThatAHookVetoesLeavesNoTrace(t *testing.T) {
	s := newSite(t, "hook \"pre_delete\" {\n script = \"exit 63\"\n retry = true\n}\nretention {\n policy = \"REDUNDANCY 5\"\n}\n")
	s.backup(1, 2)
	s.archive(1, 9)
	if _, err := s.delete(1); err == nil || !strings.Contains(err.Error(), "pre_delete") {
		t.Errorf("%v", err)
	}
	if _, err := Enforce(t.Context(), s.Server.Server, Options{}); err != nil {
		t.Error(err)
	}
	b, err := s.Catalogue.Get(day(1))
	if err != nil || b.State != catalogue.StateDone {
		t.Errorf("%+v, %v", b, err)
	}
	s.wantBackups(1)
	s.wantWAL(1, 9)
}

func TestHooksAreToldWhatIsDeleted(t *testing.T) {
	out := filepath.Join(t.TempDir(), "told")
	tell := func(event, values string) string {
		return fmt.Sprintf("hook %q {\n script = \"echo $BARMAN_HOOK $BARMAN_PHASE %s >> %s\"\n}\n", event, values, out)
	}
	s := newSite(t, tell("pre_delete", "$BARMAN_BACKUP_ID $BARMAN_PREVIOUS_ID-$BARMAN_NEXT_ID $BARMAN_STATUS")+tell("post_delete", "$BARMAN_BACKUP_ID")+
		tell("pre_wal_delete", "$BARMAN_SEGMENT $BARMAN_SIZE")+tell("post_wal_delete", "$BARMAN_SEGMENT"))
	s.backup(1, 2)
	s.backup(2, 3)
	s.archive(2, 4)
	if _, err := s.delete(1); err != nil {
		t.Fatal(err)
	}
	told, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("delete_script pre %[1]s -%[2]s DONE\nwal_delete_script pre %[3]s 24\nwal_delete_script post %[3]s\ndelete_script post %[1]s\n", day(1), day(2), segment(2))
	if diff := cmp.Diff(want, string(told)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnUnfinishedDeletionIsFinishedLater(t *testing.T) {
	s := newSite(t, "retention {\n minimum_redundancy = 5\n}\n")
	s.backup(1, 2)
	s.backup(2, 5)
	s.archive(1, 9)
	r := newRun(s.Server.Server, Options{})
	var err error
	if r.stock, err = take(s.Server.Server); err != nil {
		t.Fatal(err)
	}
	b, _ := r.stock.find(day(1))
	if err := r.mark(b); err != nil {
		t.Fatal(err)
	}
	marked, err := s.Catalogue.Get(day(1))
	if err != nil || marked.State != catalogue.StateFailed {
		t.Errorf("%+v, %v", marked, err)
	}
	if _, err := Enforce(t.Context(), s.Server.Server, Options{}); err != nil {
		t.Fatal(err)
	}
	s.wantBackups(2)
	s.wantWAL(5, 9)
}

func TestAPolicyDeletesWhatIsObsolete(t *testing.T) {
	s := newSite(t, "retention {\n policy = \"REDUNDANCY 1\"\n}\n")
	for n := 1; n <= 4; n++ {
		s.backup(n, 2*n)
	}
	s.backup(5, 10, func(b *catalogue.Backup) { b.State = catalogue.StateWaitingForWALs })
	if err := Keep(t.Context(), s.Server.Server, day(1), catalogue.KeepStandalone); err != nil {
		t.Fatal(err)
	}
	s.archive(2, 12)
	verdicts, err := Judge(s.Server.Server, s.entries(), time.Now())
	if err != nil || verdicts[day(2)] != retention.Obsolete || verdicts[day(1)] != retention.KeptStandalone || verdicts[day(4)] != retention.Valid {
		t.Errorf("%v, %v", verdicts, err)
	}
	preview, err := Enforce(t.Context(), s.Server.Server, Options{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	s.wantBackups(1, 2, 3, 4, 5)
	s.wantWAL(2, 12)
	deleted, err := Enforce(t.Context(), s.Server.Server, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range deleted {
		deleted[i].Begun, deleted[i].Elapsed, preview[i].Begun = time.Time{}, 0, time.Time{}
	}
	if diff := cmp.Diff(preview, deleted); diff != "" {
		t.Errorf("what was foretold and what was done differ (-want +got):\n%s", diff)
	}
	s.wantBackups(1, 4, 5)
	var left []string
	for file, err := range s.Catalogue.WALFiles() {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, file.Name.String())
	}
	want := []string{segment(2), segment(3), segment(8), segment(9), segment(10), segment(11), segment(12)}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBackupsThatBuildOnADeletedOneGoWithIt(t *testing.T) {
	s := newSite(t, "")
	s.backup(1, 2, func(b *catalogue.Backup) { b.ChildrenIDs = []catalogue.BackupID{day(2)} })
	s.backup(2, 4, func(b *catalogue.Backup) { b.ParentID, b.ChildrenIDs = day(1), []catalogue.BackupID{day(3)} })
	s.backup(3, 6, func(b *catalogue.Backup) { b.ParentID = day(2) })
	s.backup(4, 8)
	s.archive(1, 9)
	if _, err := s.delete(3); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Catalogue.Get(day(2)); err != nil || len(b.ChildrenIDs) > 0 {
		t.Errorf("%+v, %v", b, err)
	}
	if _, err := s.delete(1); err != nil {
		t.Fatal(err)
	}
	s.wantBackups(4)
	s.wantWAL(8, 9)
}

func TestADeletionWaitsForNobody(t *testing.T) {
	s := newSite(t, "")
	s.backup(1, 2)
	for _, name := range []string{catalogue.LockBackup, string(day(1))} {
		lock, err := s.Catalogue.Lock(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.delete(1); sdk.KindOf(err) != sdk.Busy {
			t.Errorf("with the lock %s: %v", name, err)
		}
		if preview, err := Delete(t.Context(), s.Server.Server, day(1), Options{DryRun: true}); err != nil || len(preview) != 1 {
			t.Errorf("a dry run with the lock %s: %v", name, err)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
	}
	s.wantBackups(1)
}
