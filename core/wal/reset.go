package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// ResetReport is what Reset did.
type ResetReport struct {
	// Next is the segment that receiving goes on with.
	Next string `json:"next"`
	// Aligned: receiving could go on anyway, nothing was changed.
	Aligned bool `json:"aligned"`
	// Archived are the unfinished segments that will not be received to their
	// end and were archived as they are, with the suffix ".partial".
	Archived []string `json:"archived,omitempty"`
	// Gap: WAL between what was received and Next is missing. Backups from before
	// cannot be recovered beyond it.
	Gap bool `json:"gap"`
	// MissingFrom is the first segment that is missing, or of which only the
	// beginning was received; Next is the first that is not. Empty without a gap.
	MissingFrom string `json:"missing_from,omitempty"`
}

// Reset lets receiving go on where the server can: at the slot's position, or
// where the server is writing. It is for a receiver that is so far behind that
// the server no longer has what would follow. Finished segments are archived
// first, and so is the unfinished one: nothing that was received is thrown away.
//
// Errors: Busy while a receiver or an archiver runs, Invalid when more was
// received than the server has written: it is another server then, or was
// restored from a backup.
func Reset(ctx context.Context, s *server.Server) (report ResetReport, err error) {
	source, err := s.WALSource(ctx)
	if err != nil {
		return ResetReport{}, err
	}
	if err := s.Catalogue.CreateDirectories(); err != nil {
		return ResetReport{}, err
	}
	lock, err := s.Catalogue.Lock(catalogue.LockReceiveWAL)
	if err != nil {
		return ResetReport{}, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	now, err := whereServerIs(ctx, s, source)
	if err != nil {
		return ResetReport{}, err
	}
	newest, err := newestReceived(s, now.size)
	if err != nil {
		return ResetReport{}, err
	}
	report.Next = now.oldest.Name(now.size)
	switch {
	case newest == nil:
		report.Aligned = true
		return report, nil
	case newest.Timeline > now.current.Timeline, newest.Timeline == now.current.Timeline && newest.Number > now.current.Number:
		return ResetReport{}, sdk.Errorf(sdk.Invalid, "server %q is writing %s, but %s was received already: is conninfo right, or was the server restored from a backup? "+
			"If so, move the files of %s away first", s.Name(), now.current.Name(now.size), newest.Name(now.size), s.Catalogue.Layout().StreamingDirectory)
	case newest.Number >= now.oldest.Number:
		report.Next, report.Aligned = newest.Name(now.size), true
		return report, nil
	}
	report.Gap, report.MissingFrom = true, newest.Name(now.size)
	report.Archived, err = archivePartials(ctx, s)
	if err != nil {
		return report, err
	}
	trace := filepath.Join(s.Catalogue.Layout().StreamingDirectory, report.Next+".partial")
	s.Logger.Warn("WAL is missing: take a new base backup", "from", report.MissingFrom, "before", report.Next)
	return report, durable.WriteFile(trace, nil, 0o600)
}

// position is where a server is.
type position struct {
	size wal.SegmentSize
	// oldest is the first segment that can be received, current the one being
	// written.
	oldest, current wal.Segment
}

func whereServerIs(ctx context.Context, s *server.Server, source server.WALSource) (position, error) {
	conn, err := s.ConnectWAL(ctx)
	if err != nil {
		return position{}, err
	}
	facts, err := conn.Facts(ctx)
	var slot postgres.Slot
	if err == nil && source.Slot != "" {
		slot, err = conn.Slot(ctx, source.Slot)
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return position{}, err
	}
	current := wal.SegmentAt(facts.Timeline, facts.LSN, facts.SegmentSize)
	oldest := current
	if slot.RestartLSN != 0 && !slot.Lost() {
		oldest = wal.SegmentAt(facts.Timeline, slot.RestartLSN, facts.SegmentSize)
	}
	return position{size: facts.SegmentSize, oldest: oldest, current: current}, nil
}

// newestReceived returns the segment that the receiver would go on with, nil if
// the directory tells nothing.
func newestReceived(s *server.Server, size wal.SegmentSize) (*wal.Segment, error) {
	files, err := list(s.Catalogue.Layout().StreamingDirectory, Streaming)
	if err != nil {
		return nil, err
	}
	var newest *wal.Segment
	for _, f := range files {
		if f.name.Kind != wal.KindSegment && f.name.Kind != wal.KindPartial {
			continue
		}
		segment, err := f.name.Segment(size)
		if err != nil {
			return nil, sdk.Errorf(sdk.Invalid, "%s: %w: move it away", f.path(), err)
		}
		if f.name.Kind == wal.KindSegment {
			segment = segment.Next()
		}
		if newest == nil || segment.Timeline > newest.Timeline || segment.Timeline == newest.Timeline && segment.Number > newest.Number {
			newest = &segment
		}
	}
	return newest, nil
}

// archivePartials empties the streaming directory into the archive. No receiver
// runs, so that all partial segments are as complete as they get.
func archivePartials(ctx context.Context, s *server.Server) ([]string, error) {
	lock, err := s.Catalogue.Lock(catalogue.LockArchiveWAL)
	if err != nil {
		return nil, err
	}
	names, err := archiveReceived(ctx, s)
	return names, errors.Join(err, lock.Release())
}

func archiveReceived(ctx context.Context, s *server.Server) ([]string, error) {
	files, err := list(s.Catalogue.Layout().StreamingDirectory, Streaming)
	if err != nil {
		return nil, err
	}
	var partials []string
	for _, f := range files {
		if f.name.Kind != wal.KindPartial {
			continue
		}
		hollow, err := allZero(f.path())
		if err != nil {
			return nil, err
		}
		if hollow {
			// Nothing was ever received into it.
			if err := durable.Remove(f.path()); err != nil {
				return nil, err
			}
			continue
		}
		partials = append(partials, f.base)
	}
	received := &directory{path: s.Catalogue.Layout().StreamingDirectory, origin: Streaming}
	for _, f := range files {
		if f.name.Kind != wal.KindPartial || slices.Contains(partials, f.base) {
			received.names = append(received.names, f.base)
		}
	}
	received.held = received.names
	r := newRun(s, ArchiveOptions{})
	defer r.hooks.Close()
	if q := (&queue{directories: []*directory{received}}); !q.empty() {
		if err := r.archiveAll(ctx, q); err != nil {
			return nil, err
		}
	}
	for _, f := range r.report.Problems {
		if f.Outcome == Left || f.Outcome == Stuck {
			return nil, sdk.Errorf(sdk.Invalid, "%s cannot be archived (%s): move it away and try again",
				filepath.Join(s.Catalogue.Layout().StreamingDirectory, f.Name), f.Reason)
		}
	}
	return partials, nil
}

// allZero tells whether a file holds nothing but zeros.
func allZero(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("received WAL: %w", err)
	}
	defer f.Close()
	piece := make([]byte, 64<<10)
	for {
		n, err := f.Read(piece)
		if len(bytes.Trim(piece[:n], "\x00")) > 0 {
			return false, nil
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("received WAL: %w", err)
		}
	}
}
