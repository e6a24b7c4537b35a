package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk/wal"
)

var now = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)

// newChecker makes a checker of a server with these settings.
func newChecker(t *testing.T, settings string) *checker {
	t.Helper()
	home := t.TempDir()
	path := filepath.Join(home, "barman.hcl")
	text := "barman {\n  home = \"" + home + "\"\n}\nserver \"main\" {\n  conninfo = \"host=pg\"\n" + settings + "\n}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(loaded, loaded.Servers[0], nil, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Catalogue.CreateDirectories(); err != nil {
		t.Fatal(err)
	}
	return &checker{server: s, now: now}
}

// rows returns the rows that a check added and expects some of them.
func (c *checker) expect(t *testing.T, want ...postgres.Check) {
	t.Helper()
	if diff := cmp.Diff(want, c.rows); diff != "" {
		t.Error(diff)
	}
}

// save puts a backup into the catalogue.
func (c *checker) save(t *testing.T, state catalogue.State, end time.Time, size int64) {
	t.Helper()
	b, err := c.server.Catalogue.Create(end)
	if err != nil {
		t.Fatal(err)
	}
	b.Server, b.State, b.Mode, b.BeginTime, b.EndTime, b.Size = "main", state, catalogue.ModePostgres, end, end, &size
	b.BeginWAL, b.EndWAL = "000000010000000000000002", "000000010000000000000002"
	b.Timeline, b.SegmentSize = 1, wal.DefaultSegmentSize
	if err := c.server.Catalogue.Save(b); err != nil {
		t.Fatal(err)
	}
}

func row(name string, ok bool, hint string) postgres.Check {
	return postgres.Check{Name: name, OK: ok, Hint: hint}
}

func TestAnArchiveWithoutWALIsAFailureUntilABackupWaitsForSome(t *testing.T) {
	c := newChecker(t, "")
	c.arrival(t.Context(), c.read(), postgres.CheckReport{})
	c.expect(t, row("WAL archive", false, "please make sure WAL shipping is setup"))

	c = newChecker(t, "")
	c.save(t, catalogue.StateWaitingForWALs, now, 1)
	c.arrival(t.Context(), c.read(), postgres.CheckReport{})
	c.expect(t)
}

func TestAgesAndSizesAreHeldAgainstTheirLimits(t *testing.T) {
	limits := "last_backup_maximum_age = \"1 DAYS\"\nlast_wal_maximum_age = \"1 HOURS\"\nlast_backup_minimum_size = \"1MiB\""
	c := newChecker(t, limits)
	c.ages(c.read())
	c.expect(t,
		row("backup maximum age", false, "interval provided: 1 day, latest backup age: No available backups"),
		row("backup minimum size", false, "last backup size 0 B < 1.0 MiB minimum"),
		row("wal maximum age", false, "No WAL files archived for last backup"),
		row("wal size", true, "0 B"))

	c = newChecker(t, limits)
	c.save(t, catalogue.StateDone, now.Add(-25*time.Hour), 2<<20)
	record(t, c, "000000010000000000000003", now.Add(-time.Minute))
	c.ages(c.read())
	c.expect(t,
		row("backup maximum age", false, "interval provided: 1 day, latest backup age: 1 day, 1 hour"),
		row("backup minimum size", true, "last backup size 2.0 MiB > 1.0 MiB minimum"),
		row("wal maximum age", true, "interval provided: 1 hour, latest wal age: 1 minute"),
		row("wal size", true, "100 B"))
}

// record puts a line into xlog.db.
func record(t *testing.T, c *checker, name string, modified time.Time) {
	t.Helper()
	parsed, err := wal.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.server.Catalogue.Append(t.Context(), catalogue.WALRecord{Name: parsed, Size: 100, ModTime: modified}); err != nil {
		t.Fatal(err)
	}
}

func TestFailedDamagedAndMissingBackupsAreRows(t *testing.T) {
	c := newChecker(t, "retention {\n minimum_redundancy = 2\n}")
	c.save(t, catalogue.StateDone, now.Add(-3*time.Hour), 1)
	c.save(t, catalogue.StateFailed, now.Add(-2*time.Hour), 1)
	c.save(t, catalogue.StateStarted, now.Add(-time.Hour), 1)
	c.backups(c.read())
	c.expect(t,
		row("failed backups", false, "there are 2 failed backups"), // the one that was left STARTED is FAILED now
		row("minimum redundancy requirements", false, "have 1 non-incremental backups, expected at least 2"))

	c.rows = nil
	damaged := filepath.Join(c.server.Catalogue.Layout().BasebackupsDirectory, "20260101T000000")
	if err := os.MkdirAll(damaged, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "backup.info"), []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.backups(c.read())
	if first := c.rows[0]; first.Name != "catalogue" || first.OK || first.Hint == "" {
		t.Errorf("a damaged backup.info gives the row %+v", first)
	}
}

func TestDamageOfTheIndexIsToldOnceWhateverIsLookedFor(t *testing.T) {
	for _, settings := range []string{"", "last_wal_maximum_age = \"1 HOURS\""} {
		for _, lines := range []string{"nonsense\n000000010000000000000003\t100\t1767960000\tNone\n", "000000010000000000000003\t100\t1767960000\tNone\nnonsense\n"} {
			c := newChecker(t, settings)
			c.save(t, catalogue.StateDone, now.Add(-time.Hour), 1)
			if err := os.WriteFile(filepath.Join(c.server.Config.Directories.WALs, "xlog.db"), []byte(lines), 0o600); err != nil {
				t.Fatal(err)
			}
			if l := c.read(); len(l.errs) != 1 || l.newest == nil || l.walSize != 100 {
				t.Errorf("%q, %q: errors %v, newest %v, %d bytes", settings, lines, l.errs, l.newest, l.walSize)
			}
		}
	}
}

func TestFilesWhereNobodyTakesThemAreAFailure(t *testing.T) {
	c := newChecker(t, "wal {\n archive = false\n source \"pgreceivewal\" {}\n}")
	incoming := c.server.Config.Directories.IncomingWALs
	touch(t, filepath.Join(incoming, "000000010000000000000001"))
	touch(t, filepath.Join(incoming, ".hidden"))
	c.unwanted()
	c.receiver(postgres.CheckReport{Version: "15.4"})
	c.expect(t,
		row("empty incoming directory", false, "'"+incoming+"' must be empty when archive = false: set it to true in the wal block if archive_command delivers there"),
		row("pg_receivexlog", true, ""),
		row("pg_receivexlog compatible", true, ""),
		row("receive-wal running", false, "barman cron starts it, or 'barman receive-wal main'"))
}

func TestTheSegmentThatAReceiverLeftMayStay(t *testing.T) {
	c := newChecker(t, "wal {\n archive = true\n}")
	streaming := c.server.Config.Directories.StreamingWALs
	touch(t, filepath.Join(streaming, "000000010000000000000002.partial"))
	c.unwanted()
	c.expect(t)
	touch(t, filepath.Join(streaming, "000000010000000000000001"))
	c.unwanted()
	c.expect(t, row("empty streaming directory", false, "'"+streaming+"' must be empty when there is no WAL source"))
}

func TestQueuesAreHeldAgainstTheirLimit(t *testing.T) {
	c := newChecker(t, "wal {\n archive = true\n source \"pgreceivewal\" {}\n maximum_queue = 2\n}")
	directories := c.server.Config.Directories
	for _, name := range []string{"000000010000000000000001", "000000010000000000000002"} {
		touch(t, filepath.Join(directories.IncomingWALs, name))
		touch(t, filepath.Join(directories.StreamingWALs, name))
	}
	touch(t, filepath.Join(directories.StreamingWALs, "000000010000000000000003.partial"))
	c.queues()
	c.expect(t)
	touch(t, filepath.Join(directories.IncomingWALs, "000000010000000000000003"))
	c.queues()
	c.expect(t, row("incoming WALs directory", false, "there are too many WALs in queue: 3, max 2"))
}

func TestMissingWALOfABackupIsAFailure(t *testing.T) {
	c := newChecker(t, "")
	continuity := func(want postgres.Check) {
		t.Helper()
		if diff := cmp.Diff(want, c.continuity(t.Context())); diff != "" {
			t.Error(diff)
		}
	}
	archive := filepath.Join(c.server.Config.Directories.WALs, "0000000100000000")
	if err := os.MkdirAll(archive, 0o700); err != nil {
		t.Fatal(err)
	}
	continuity(row("WAL continuity", true, "no backup needs WAL yet"))
	c.save(t, catalogue.StateDone, now.Add(-time.Hour), 1)
	touch(t, filepath.Join(archive, "000000010000000000000002"))
	touch(t, filepath.Join(archive, "000000010000000000000003"))
	continuity(row("WAL continuity", true, "2 segments"))
	touch(t, filepath.Join(archive, "000000010000000000000005"))
	continuity(row("WAL continuity", false, "segment 000000010000000000000004 is missing: 'barman wal-gaps main' tells which backups are affected"))
	touch(t, filepath.Join(archive, "000000010000000000000009"))
	continuity(row("WAL continuity", false, "4 segments are missing in 2 gaps, the first is 000000010000000000000004: 'barman wal-gaps main' tells which backups are affected"))
	touch(t, filepath.Join(archive, "00000001000000000000FFFF"))
	if row := c.continuity(t.Context()); row.OK || !strings.Contains(row.Hint, "00000001000000000000FFFF") {
		t.Errorf("%+v", row)
	}
}

func TestARunningReceiverIsSeen(t *testing.T) {
	c := newChecker(t, "wal {\n source \"pgreceivewal\" {}\n}")
	lock, err := c.server.Catalogue.Lock(catalogue.LockReceiveWAL)
	if err != nil {
		t.Fatal(err)
	}
	c.receiver(postgres.CheckReport{})
	c.expect(t,
		row("pg_receivexlog", true, ""),
		row("pg_receivexlog compatible", false, "PostgreSQL version: None"),
		row("receive-wal running", true, ""))
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestRefusedFilesAreCountedByReason(t *testing.T) {
	c := newChecker(t, "")
	c.refused()
	for _, name := range []string{"a.20260101T000000Z.duplicate", "b.20260101T000000Z.duplicate", "c.20260101T000000Z.unknown", "d.error", "e"} {
		touch(t, filepath.Join(c.server.Config.Directories.Errors, name))
	}
	c.refused()
	c.expect(t,
		row("archiver errors", true, ""),
		row("archiver errors", false, "not relevant: 1, duplicates: 2, unknown: 1, unknown failure: 1"))
}

func TestDirectoriesThatCannotBeMadeAreAFailure(t *testing.T) {
	c := newChecker(t, "")
	errors := c.server.Config.Directories.Errors
	if err := os.Remove(errors); err != nil {
		t.Fatal(err)
	}
	touch(t, errors)
	c.directories()
	if len(c.rows) != 1 || c.rows[0].OK || c.rows[0].Hint == "" {
		t.Errorf("%+v", c.rows)
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}
