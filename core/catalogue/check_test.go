package catalogue

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func waiting(begin, end string) *Backup {
	return &Backup{ID: "20240101T000000", State: StateWaitingForWALs, SegmentSize: wal.DefaultSegmentSize, BeginWAL: begin, EndWAL: end}
}

func TestArchiveDecidesTheStateOfABackup(t *testing.T) {
	const begin, end = "0000000100000000000000FE", "000000010000000100000001"
	for name, c := range map[string]struct {
		archived []string
		want     State
		missing  string
	}{
		"nothing archived":      {nil, StateWaitingForWALs, ""},
		"timeline unknown":      {[]string{"000000020000000100000001"}, StateWaitingForWALs, ""},
		"newest before begin":   {[]string{"0000000100000000000000FD"}, StateWaitingForWALs, ""},
		"complete so far":       {[]string{"0000000100000000000000FE", "0000000100000000000000FF"}, StateWaitingForWALs, ""},
		"gap before newest":     {[]string{"0000000100000000000000FE", "000000010000000100000000"}, StateFailed, "0000000100000000000000FF"},
		"gap, then later":       {[]string{"0000000100000000000000FE", "000000010000000100000009"}, StateFailed, "0000000100000000000000FF"},
		"begin missing":         {[]string{"0000000100000000000000FF", "000000010000000100000000", "000000010000000100000001"}, StateFailed, "0000000100000000000000FE"},
		"all there":             {[]string{"0000000100000000000000FE", "0000000100000000000000FF", "000000010000000100000000", "000000010000000100000001"}, StateDone, ""},
		"all there and more":    {[]string{"0000000100000000000000FE", "0000000100000000000000FF", "000000010000000100000000", "000000010000000100000001", "000000010000000100000009"}, StateDone, ""},
		"end only partial":      {[]string{"0000000100000000000000FE", "0000000100000000000000FF", "000000010000000100000000", "000000010000000100000001.partial"}, StateWaitingForWALs, ""},
		"higher timeline added": {[]string{"0000000100000000000000FE", "000000020000000100000001"}, StateWaitingForWALs, ""},
	} {
		s := newServer(t)
		addWAL(t, s, c.archived...)
		if err := s.Save(waiting(begin, end)); err != nil {
			t.Fatal(err)
		}
		b, err := s.CheckBackup("20240101T000000")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		reason := ""
		if c.missing != "" {
			reason = "At least one WAL file is missing. The first missing WAL file is " + c.missing
		}
		saved, err := s.Get(b.ID)
		if err != nil || b.State != c.want || b.Error != reason || saved.State != c.want || saved.Error != reason {
			t.Errorf("%s: %s %q, saved %+v, %v; expected %s", name, b.State, b.Error, saved, err, c.want)
		}
	}
}

func TestEmptyFileInTheArchiveIsAMissingOne(t *testing.T) {
	s := newServer(t)
	addWAL(t, s, "000000010000000000000001", "000000010000000000000003")
	write(t, s.WALPath(walName(t, "000000010000000000000002")), "")
	state, reason, err := s.Evaluate(waiting("000000010000000000000001", "000000010000000000000003"))
	if err != nil || state != StateFailed || !strings.HasSuffix(reason, "000000010000000000000002") {
		t.Error(state, reason, err)
	}
}

func TestBackupsThatAreNotCopiedKeepTheirState(t *testing.T) {
	s := newServer(t)
	for _, b := range []*Backup{{State: StateEmpty}, {State: StateStarted, BeginWAL: "000000010000000000000001"}, {State: StateWaitingForWALs}, {State: StateSyncing},
		{State: StateFailed, Error: "why"}} {
		if state, reason, err := s.Evaluate(b); err != nil || state != b.State || reason != b.Error {
			t.Error(b.State, state, reason, err)
		}
	}
	if err := s.Save(&Backup{ID: "20240101T000000", State: StateFailed, Error: "failure copying files (disk full)"}); err != nil {
		t.Fatal(err)
	}
	_, err := s.CheckBackup("20240101T000000")
	wantKind(t, err, sdk.Invalid, "20240101T000000", "disk full")
	_, err = s.CheckBackup("20240102T000000")
	wantKind(t, err, sdk.NotFound, "20240102T000000")
}

func TestContradictoryBackupsAreRefused(t *testing.T) {
	s := newServer(t)
	addWAL(t, s, "000000010000000000000001")
	for _, b := range []*Backup{waiting("000000010000000000000001", "000000020000000000000002"), waiting("000000010000000000000002", "000000010000000000000001"),
		waiting("", "000000010000000000000001"), waiting("000000010000000000000001", "0000000100000000000001FF")} {
		_, _, err := s.Evaluate(b)
		wantKind(t, err, sdk.Invalid, "20240101T000000")
	}
}

func TestHugeSpanOfSegmentsEndsAtTheFirstMissing(t *testing.T) {
	s := newServer(t)
	addWAL(t, s, "000000010000000000000001", "00000001FFFFFFFF000000FF")
	state, _, err := s.Evaluate(waiting("000000010000000000000001", "00000001FFFFFFFF000000FE"))
	if err != nil || state != StateFailed {
		t.Error(state, err)
	}
}

func TestBackupInUseIsBusy(t *testing.T) {
	s := newServer(t)
	if err := s.Save(waiting("000000010000000000000001", "000000010000000000000001")); err != nil {
		t.Fatal(err)
	}
	holdLock(t, lockFile(s, "20240101T000000"))
	_, err := s.CheckBackup("20240101T000000")
	wantKind(t, err, sdk.Busy, "20240101T000000")
}

func required(t *testing.T, s *Server, b *Backup, target WALTarget) []string {
	t.Helper()
	var names []string
	for f, err := range s.RequiredWAL(b, target) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, f.Name.String())
	}
	slices.Sort(names)
	return names
}

func TestRestoreNeedsExactlyTheseFiles(t *testing.T) {
	s := newServer(t)
	addWAL(t, s, "0000000100000000000000F0", "0000000100000000000000FD", "0000000100000000000000FE", "0000000100000000000000FE.00000028.backup", "0000000100000000000000FF",
		"000000010000000100000000", "000000010000000100000001", "000000010000000100000002.partial", "000000010000000100000009",
		"00000002.history", "000000020000000100000002", "000000020000000100000003", "00000003.history", "000000030000000100000003")
	b := waiting("0000000100000000000000FE", "0000000100000000000000FF")
	const histories = "00000002.history 00000003.history"
	one := "0000000100000000000000FE 0000000100000000000000FE.00000028.backup 0000000100000000000000FF"
	all1 := one + " 000000010000000100000000 000000010000000100000001 000000010000000100000002.partial 000000010000000100000009"
	for name, c := range map[string]struct {
		target WALTarget
		want   string
	}{
		"timeline of the backup":  {WALTarget{}, all1 + " " + histories},
		"timeline 2":              {WALTarget{Timeline: 2}, all1 + " 000000020000000100000002 000000020000000100000003 " + histories},
		"timeline 3":              {WALTarget{Timeline: 3}, all1 + " 000000020000000100000002 000000020000000100000003 000000030000000100000003 " + histories},
		"immediate":               {WALTarget{Immediate: true}, one + " " + histories},
		"immediate, timeline 3":   {WALTarget{Immediate: true, Timeline: 3}, one + " " + histories},
		"position":                {WALTarget{LSN: 0x100000010}, one + " 000000010000000100000000 000000010000000100000001 " + histories},
		"position before the end": {WALTarget{LSN: 0x1000}, one + " " + histories},
		"position on timeline 2":  {WALTarget{LSN: 0x101000000, Timeline: 2}, all1 + " 000000020000000100000002 " + histories},
		"position behind all":     {WALTarget{LSN: 0xFFFFFFFFFFFF}, all1 + " " + histories},
	} {
		want := strings.Fields(c.want)
		slices.Sort(want)
		if d := cmp.Diff(want, required(t, s, b, c.target)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestRequiredWALOfAnUnfinishedBackupIsAnError(t *testing.T) {
	s := newServer(t)
	for _, err := range s.RequiredWAL(&Backup{ID: "20240101T000000", State: StateStarted}, WALTarget{}) {
		wantKind(t, err, sdk.Invalid, "20240101T000000", "begin_wal")
	}
	addWAL(t, s, "000000010000000000000FFF")
	for _, err := range s.RequiredWAL(waiting("000000010000000000000001", "000000010000000000000001"), WALTarget{}) {
		wantKind(t, err, sdk.Corrupt, "000000010000000000000FFF")
	}
}

func TestSegmentsOfABackup(t *testing.T) {
	b := waiting("0000000100000000000000FE", "000000010000000100000000")
	segments, err := b.Segments()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for s := range segments {
		names = append(names, s.Name(b.SegmentSize))
	}
	if got := fmt.Sprint(names); got != "[0000000100000000000000FE 0000000100000000000000FF 000000010000000100000000]" {
		t.Error(got)
	}
}
