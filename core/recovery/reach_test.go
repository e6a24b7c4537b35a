package recovery

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// world is an archive of timeline 2, from segment 0x10 to 0x50, with backups in
// 0x10, 0x20 and 0x40 that ended two hours, one hour and no time before noon.
type world struct {
	*server.Server
	t *testing.T
}

const (
	oldest = catalogue.BackupID("20260102T080000")
	middle = catalogue.BackupID("20260102T090000")
	newest = catalogue.BackupID("20260102T100000")
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Server: plugintest.NewServer(t, "").Server, t: t}
	for id, at := range map[catalogue.BackupID]int{oldest: 0x10, middle: 0x20, newest: 0x40} {
		hours := map[catalogue.BackupID]time.Duration{oldest: 2, middle: 1}[id]
		if err := w.Catalogue.Save(backupAt(id, noon.Add(-hours*time.Hour), wal.LSN(at<<20+0x2000))); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0x10; n <= 0x50; n++ {
		putWAL(t, w.Server, segmentName(2, n), "x")
		w.writtenAt(n, noon.Add(time.Duration(n-0x40)*time.Minute))
	}
	return w
}

func (w *world) path(number int) string {
	w.t.Helper()
	n, err := wal.ParseName(segmentName(2, number))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.Catalogue.WALPath(n)
}

func (w *world) writtenAt(number int, at time.Time) {
	w.t.Helper()
	if err := os.Chtimes(w.path(number), at, at); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) lose(number int) {
	w.t.Helper()
	if err := os.Remove(w.path(number)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) backup(id catalogue.BackupID) *catalogue.Backup {
	w.t.Helper()
	b, err := w.Catalogue.Get(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// try holds a target against a backup, and returns the warnings.
func (w *world) try(id catalogue.BackupID, request Request) ([]string, error) {
	w.t.Helper()
	request.Backup = w.backup(id)
	r := &run{server: w.Server, host: hostfs.Local{}, request: request}
	err := r.leadsThere(w.t.Context())
	return r.report.Warnings, err
}

func minutes(n int) *time.Time {
	at := noon.Add(time.Duration(n) * time.Minute)
	return &at
}

func TestAGapBeforeTheTargetIsToldWithWhatCanBeDone(t *testing.T) {
	w := newWorld(t)
	w.lose(0x45)
	gap := segmentName(2, 0x45)
	for name, test := range map[string]struct {
		target Target
		says   []string
	}{
		"the end of the archive":  {Target{}, []string{gap, "--target-lsn 0/4500000"}},
		"a position behind it":    {Target{LSN: "0/4700000"}, []string{gap, "up to 0/4500000"}},
		"a time behind it":        {Target{Time: minutes(12)}, []string{gap, "target time"}},
		"a timeline":              {Target{Timeline: "2"}, []string{gap}},
		"in the current timeline": {Target{Timeline: "current"}, []string{gap}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.try(newest, Request{Target: test.target})
			wantError(t, err, sdk.Invalid, test.says...)
			if strings.Contains(err.Error(), "usable backup") {
				t.Errorf("no other backup leads there: %v", err)
			}
		})
	}
	for name, fine := range map[string]Target{
		"before the gap": {LSN: "0/4400000"}, "time before the gap": {Time: minutes(3)}, "immediate": {Immediate: true},
	} {
		if _, err := w.try(newest, Request{Target: fine}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, unknown := range map[string]Target{"xid": {XID: "7"}, "name": {Name: "x"}} {
		if warnings, err := w.try(newest, Request{Target: unknown}); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], gap) {
			t.Errorf("%s: %q, %v", name, warnings, err)
		}
	}
}

func TestABackupBehindTheGapIsNamed(t *testing.T) {
	w := newWorld(t)
	w.lose(0x30)
	_, err := w.try(middle, Request{})
	wantError(t, err, sdk.Invalid, segmentName(2, 0x30), "the nearest usable backup is "+string(newest))
}

func TestABackupWhoseOwnWALIsMissingIsOfNoUse(t *testing.T) {
	w := newWorld(t)
	w.lose(0x40)
	for _, target := range []Target{{}, {Immediate: true}, {LSN: "0/4100000"}} {
		_, err := w.try(newest, Request{Target: target})
		wantError(t, err, sdk.Invalid, "cannot become consistent", segmentName(2, 0x40))
	}
	// What has merely not come yet is waited for.
	waits := w.backup(newest)
	waits.State = catalogue.StateWaitingForWALs
	if err := w.Catalogue.Save(waits); err != nil {
		t.Fatal(err)
	}
	_, err := w.try(newest, Request{})
	wantError(t, err, sdk.Invalid, "cannot become consistent")
	for n := 0x41; n <= 0x50; n++ {
		w.lose(n)
	}
	if warnings, err := w.try(newest, Request{}); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "still waits for WAL") {
		t.Errorf("%q, %v", warnings, err)
	}
}

func TestATargetBehindAllWALIsRefusedUnlessItCanStillCome(t *testing.T) {
	w := newWorld(t)
	_, err := w.try(newest, Request{Target: Target{LSN: "0/5180000"}})
	wantError(t, err, sdk.Invalid, "0/5180000", "ends at 0/5100000")
	if warnings, err := w.try(newest, Request{Target: Target{LSN: "0/5180000"}, Standby: true}); err != nil || len(warnings) != 1 {
		t.Errorf("%q, %v", warnings, err)
	}
	unfinished := filepath.Join(w.Catalogue.Layout().StreamingDirectory, segmentName(2, 0x51)+".partial")
	if err := os.MkdirAll(filepath.Dir(unfinished), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unfinished, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.try(newest, Request{Target: Target{LSN: "0/5180000"}}); err != nil {
		t.Error(err)
	}
	_, err = w.try(newest, Request{Target: Target{LSN: "0/5280000"}})
	wantError(t, err, sdk.Invalid, "0/5280000")

	future := time.Now().Add(time.Hour)
	_, err = w.try(newest, Request{Target: Target{Time: &future}})
	wantError(t, err, sdk.Invalid, "still to come", "leave --target-time away")
	if warnings, err := w.try(newest, Request{Target: Target{Time: minutes(60)}}); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "recovery ended before") {
		t.Errorf("%q, %v", warnings, err)
	}
}

func TestATimelineThatTheBackupDoesNotLeadToIsRefused(t *testing.T) {
	w := newWorld(t)
	// Timeline 3 left at segment 0x30: before the newest backup.
	putWAL(t, w.Server, "00000003.history", "1\t0/100\tx\n2\t0/3080000\tx\n")
	for n := 0x30; n <= 0x33; n++ {
		putWAL(t, w.Server, segmentName(3, n), "x")
	}
	for name, test := range map[string]struct {
		backup catalogue.BackupID
		target Target
		says   []string
	}{
		"the latest":         {newest, Target{}, []string{"the latest timeline, 3", "--target-tli current", "the nearest usable backup is " + string(middle)}},
		"by its number":      {newest, Target{Timeline: "3"}, []string{"target timeline 3", "left before the end", "the nearest usable backup is " + string(middle)}},
		"earlier":            {newest, Target{Timeline: "1"}, []string{"target timeline 1", "came later", "no other backup of this server leads there"}},
		"one without a file": {middle, Target{Timeline: "4"}, []string{"no history file 00000004.history", "the timelines 2, 3 only"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.try(test.backup, Request{Target: test.target})
			wantError(t, err, sdk.Invalid, test.says...)
		})
	}
	for id, target := range map[catalogue.BackupID]Target{newest: {Timeline: "current"}, middle: {Timeline: "3"}, oldest: {LSN: "0/3200000"}} {
		if warnings, err := w.try(id, Request{Target: target}); err != nil || len(warnings) > 0 {
			t.Errorf("%s to %+v: %q, %v", id, target, warnings, err)
		}
	}
	old := w.backup(newest)
	old.Version = 110022 // stays on its timeline unless told otherwise
	if err := w.Catalogue.Save(old); err != nil {
		t.Fatal(err)
	}
	if _, err := w.try(newest, Request{}); err != nil {
		t.Error(err)
	}
}

func TestTheBackupIsChosenByTheTarget(t *testing.T) {
	w := newWorld(t)
	putWAL(t, w.Server, "00000003.history", "1\t0/100\tx\n2\t0/4880000\tx\n")
	for name, test := range map[string]struct {
		target Target
		want   catalogue.BackupID
	}{
		"the end":                   {Target{}, newest},
		"the end of the newest":     {Target{Time: minutes(0)}, newest},
		"a moment before its end":   {Target{Time: minutes(-1)}, middle},
		"the end of the oldest":     {Target{Time: minutes(-120)}, oldest},
		"a position":                {Target{LSN: "0/3000000"}, middle},
		"the position of its end":   {Target{LSN: "0/4002000"}, newest},
		"a timeline that came":      {Target{Timeline: "3"}, newest},
		"a timeline and a position": {Target{Timeline: "3", LSN: "0/2100000"}, middle},
	} {
		t.Run(name, func(t *testing.T) {
			b, warnings, err := Choose(t.Context(), w.Server, test.target, false)
			if err != nil || len(warnings) > 0 || b.ID != test.want {
				t.Errorf("%v, %q, %v", b, warnings, err)
			}
		})
	}
	for _, unknowable := range []Target{{XID: "7"}, {Name: "x"}, {Immediate: true}} {
		_, _, err := Choose(t.Context(), w.Server, unknowable, false)
		wantError(t, err, sdk.Invalid, "name a backup")
	}
	_, _, err := Choose(t.Context(), w.Server, Target{Time: minutes(-121)}, false)
	wantError(t, err, sdk.Invalid, "no backup of this server ends before it")
	_, _, err = Choose(t.Context(), plugintest.NewServer(t, "").Server, Target{}, false)
	wantError(t, err, sdk.NotFound, "no complete backup")
}

func TestABackupThatDoesNotLeadThereIsPassedOverWithAWord(t *testing.T) {
	w := newWorld(t)
	w.lose(0x40)
	b, warnings, err := Choose(t.Context(), w.Server, Target{LSN: "0/3800000"}, false)
	if err != nil || b.ID != middle || len(warnings) > 0 {
		t.Errorf("%v, %q, %v", b, warnings, err)
	}
	putWAL(t, w.Server, "00000003.history", "1\t0/100\tx\n2\t0/3080000\tx\n")
	for n := 0x30; n <= 0x33; n++ {
		putWAL(t, w.Server, segmentName(3, n), "x")
	}
	b, warnings, err = Choose(t.Context(), w.Server, Target{}, false)
	if err != nil || b.ID != middle || len(warnings) != 1 || !strings.Contains(warnings[0], string(newest)+" was passed over") {
		t.Errorf("%v, %q, %v", b, warnings, err)
	}
}

func TestBackupsOfFormsThatAreNotKnownAreRefused(t *testing.T) {
	s := newSite(t, noTransform)
	for part, change := range map[string]func(*catalogue.Backup){
		"snapshot":       func(b *catalogue.Backup) { b.Mode = "snapshot-concurrent" },
		"is incremental": func(b *catalogue.Backup) { b.Mode, b.ParentID = "postgres", oldest },
		"encrypted with": func(b *catalogue.Backup) { b.Encryption = "gpg" },
	} {
		changed := *s.backup
		change(&changed)
		wantError(t, supported(&changed), sdk.Invalid, part, string(s.backup.ID), "this version of barman")
	}
	if err := supported(s.backup); err != nil {
		t.Error(err)
	}
	old := *s.backup
	old.Version = 90624
	wantError(t, Target{LSN: "0/1"}.suits(&old), sdk.Invalid, "PostgreSQL 9.6", "version 10")
}

func TestWALWaitsWhereItIsWanted(t *testing.T) {
	s := newSite(t, noTransform+walLine)
	s.putPlain("", asIs)
	waiting := filepath.Join(t.TempDir(), "waiting")
	request := Request{StagingWAL: waiting, Destination: filepath.Join(t.TempDir(), "data")}
	report := s.mustRun(request)
	if _, err := os.Stat(filepath.Join(waiting, segmentName(2, 0x21))); err != nil || report.WALDirectory != waiting || !strings.Contains(report.RestoreCommand, waiting+"/%f") {
		t.Errorf("%+v, %v", report, err)
	}
	if _, there := tree(t, waiting)[pidFile]; there {
		t.Error("the guard is still there")
	}
	// What others have there stays.
	_, err := s.run(Request{StagingWAL: waiting})
	wantError(t, err, sdk.Exists, waiting, "is not empty")
	s.interrupt(request)
	if again := s.mustRun(request); again.WALFiles != 1 {
		t.Errorf("%+v", again)
	}
	for _, wrong := range []string{"relative", request.Destination, filepath.Join(request.Destination, "below")} {
		_, err := s.run(Request{StagingWAL: wrong, Destination: request.Destination})
		wantError(t, err, sdk.Invalid, "staging WAL directory")
	}
	for _, wrong := range []string{"../outside", "a/b", "..", ".", "a\nb"} {
		_, err := s.run(Request{RecoveryFile: wrong})
		wantError(t, err, sdk.Invalid, "recovery configuration file")
	}
}

func TestAStandbyDoesNotArchiveAgainWhatItWasGiven(t *testing.T) {
	s := newSite(t, noTransform)
	s.putPlain("", asIs)
	s.put("streaming/"+segmentName(2, 0x22)+".partial", someWAL(t, segmentName(2, 0x22), 3))
	report := s.mustRun(Request{Standby: true})
	got := tree(t, filepath.Join(report.Destination, "pg_wal"))
	if _, there := got["archive_status/"+segmentName(2, 0x21)+".done"]; !there {
		t.Error("the archived segment would be archived again")
	}
	if _, there := got["archive_status/"+segmentName(2, 0x22)+".done"]; there {
		t.Error("the unfinished segment would not be archived")
	}
}
