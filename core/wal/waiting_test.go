package wal

import (
	"testing"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
)

// waiting registers a backup that needs the given segments.
func (s *site) waiting(begin, end string) *catalogue.Backup {
	s.t.Helper()
	b, err := s.Catalogue.Create(time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	b.State, b.BeginWAL, b.EndWAL, b.SegmentSize, b.Timeline, b.Version = catalogue.StateWaitingForWALs, begin, end, testSize, 1, 150000
	if err := s.Catalogue.Save(b); err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *site) state(b *catalogue.Backup) catalogue.State {
	s.t.Helper()
	now, err := s.Catalogue.Get(b.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return now.State
}

func TestABackupIsDoneOnceItsWALIsArchived(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	all := names(t, "000000010000000000000003", 4)
	b := s.waiting(all[0], all[2])
	s.segment("incoming", all[0])
	s.segment("incoming", all[1])
	s.archive()
	if state := s.state(b); state != catalogue.StateWaitingForWALs {
		t.Errorf("state %s", state)
	}
	s.segment("incoming", all[2])
	report := s.archive()
	if state := s.state(b); state != catalogue.StateDone {
		t.Errorf("state %s", state)
	}
	if len(report.Backups) != 1 || report.Backups[0].ID != b.ID {
		t.Errorf("%+v", report.Backups)
	}
}

func TestABackupIsNotFailedWhileItsWALIsStillComing(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	all := names(t, "000000010000000000000003", 3)
	b := s.waiting(all[0], all[2])
	s.segment("incoming", all[0])
	whole := segmentOf(all[1], testSystemID, 1)
	s.put("incoming", all[1], whole[:1000])
	s.segment("incoming", all[2])
	s.archive()
	if state := s.state(b); state != catalogue.StateWaitingForWALs {
		t.Errorf("state %s", state)
	}
	s.put("incoming", all[1], whole)
	s.archive()
	if state := s.state(b); state != catalogue.StateDone {
		t.Errorf("state %s", state)
	}
}

func TestABackupWhoseWALIsMissingHasFailed(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	all := names(t, "000000010000000000000003", 3)
	b := s.waiting(all[0], all[2])
	s.segment("incoming", all[0])
	s.segment("incoming", all[2])
	s.archive()
	if state := s.state(b); state != catalogue.StateFailed {
		t.Errorf("state %s", state)
	}
}

func TestWaitingForWALEndsWithTheTime(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	if err := WaitFor(t.Context(), s.Server, "00000001000000000000000A", time.Millisecond, ArchiveOptions{}); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("%v", err)
	}
	s.segment("incoming", "00000001000000000000000A")
	if err := WaitFor(t.Context(), s.Server, "00000001000000000000000A", 0, ArchiveOptions{}); err != nil {
		t.Error(err)
	}
	if err := WaitFor(t.Context(), s.Server, "nonsense", 0, ArchiveOptions{}); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("%v", err)
	}
}
