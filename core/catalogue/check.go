package catalogue

import (
	"fmt"
	"iter"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Segments yields the segments a restore of the backup needs at the least: from
// its begin to its end. A backup that has not got that far, or whose begin and
// end contradict each other, is an error of kind Invalid.
func (b *Backup) Segments() (iter.Seq[wal.Segment], error) {
	begin, err := b.BeginSegment()
	if err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%w", err)
	}
	end, err := b.EndSegment()
	if err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%w", err)
	}
	segments, err := wal.Range(begin, end)
	if err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "backup %s, begin_wal and end_wal: %w", b.ID, err)
	}
	return segments, nil
}

// Evaluate returns the state in which the WAL archive puts a backup whose copy
// is complete: DONE when all segments from begin to end are archived,
// WAITING_FOR_WALS while some may still come, FAILED, with the reason, when one
// is missing though later ones are there. Other backups keep their state. It
// changes nothing.
func (s *Server) Evaluate(b *Backup) (state State, reason string, err error) {
	if !b.State.CopyDone() || b.EndWAL == "" {
		return b.State, b.Error, nil
	}
	segments, err := b.Segments()
	if err != nil {
		return "", "", s.wrap(err)
	}
	newest, err := s.newestOf(b)
	if err != nil || newest == nil {
		return StateWaitingForWALs, "", err
	}
	for segment := range segments {
		if segment.Number > newest.Number {
			return StateWaitingForWALs, "", nil
		}
		found, err := s.HasSegment(segment, b.segmentSize())
		if err != nil {
			return "", "", err
		}
		if !found {
			return StateFailed, missingReason(segment.Name(b.segmentSize())), nil
		}
	}
	return StateDone, "", nil
}

// missingReason is Barman's text: programs that watch backups know it.
func missingReason(name string) string {
	return fmt.Sprintf("At least one WAL file is missing. The first missing WAL file is %s", name)
}

// newestOf returns the newest archived segment of the backup's timeline, nil
// if there is none at or after its begin.
func (s *Server) newestOf(b *Backup) (*wal.Segment, error) {
	begin, err := b.BeginSegment()
	if err != nil {
		return nil, s.errorf(sdk.Invalid, "%w", err)
	}
	perTimeline, err := s.NewestPerTimeline()
	if err != nil {
		return nil, err
	}
	name, found := perTimeline[begin.Timeline]
	if !found {
		return nil, nil
	}
	newest, err := name.Segment(b.segmentSize())
	if err != nil {
		return nil, s.errorf(sdk.Corrupt, "WAL archive: %w: move it away if it is of another cluster", err)
	}
	if newest.Number < begin.Number {
		return nil, nil
	}
	return &newest, nil
}

// CheckBackup brings the state of a backup up to date with the WAL archive and
// saves it if it changed. A FAILED backup is an error of kind Invalid; one that
// another process is deleting, of kind Busy.
func (s *Server) CheckBackup(id BackupID) (b *Backup, err error) {
	if _, err := ParseBackupID(string(id)); err != nil {
		return nil, s.wrap(err)
	}
	lock, err := s.LockShared(string(id))
	if err != nil {
		return nil, err
	}
	defer func() {
		if releaseErr := lock.Release(); err == nil && releaseErr != nil {
			b, err = nil, s.wrap(releaseErr)
		}
	}()
	b, err = s.Get(id)
	if err != nil {
		return nil, err
	}
	if b.State == StateFailed {
		return nil, s.errorf(sdk.Invalid, "backup %s has failed (%s): only a new backup helps", id, b.Error)
	}
	state, reason, err := s.Evaluate(b)
	if err != nil {
		return nil, err
	}
	if state == b.State && reason == b.Error {
		return b, nil
	}
	b.State, b.Error = state, reason
	if err := s.Save(b); err != nil {
		return nil, err
	}
	return b, nil
}
