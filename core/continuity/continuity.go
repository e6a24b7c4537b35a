// Package continuity tells whether the WAL that a server's backups need is all
// there, and what it means when some is not.
package continuity

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/fetch"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Report is what was found out about a server.
type Report struct {
	catalogue.Continuity
	// Unread tells of history files that cannot be read: what follows on their
	// timelines is not known to belong to older backups.
	Unread []error
}

// Check looks for missing segments; see catalogue.Server.Continuity, also for the
// errors. Others may archive and delete meanwhile: when it turns out that they
// did, it looks again.
func Check(ctx context.Context, s *server.Server) (Report, error) {
	const most = 5
	for n := 1; ; n++ {
		report, err := look(ctx, s)
		if n == most || ctx.Err() != nil || !overtaken(s, report) {
			return report, err
		}
	}
}

// overtaken tells whether a gap is none any more: a segment of it has arrived, or
// a backup that needs it is being deleted. Of an archive full of gaps it looks at
// some.
func overtaken(s *server.Server, r Report) bool {
	const some = 100
	layout := s.Catalogue.Layout()
	for _, gap := range r.Gaps[:min(some, len(r.Gaps))] {
		for _, name := range []string{gap.First, gap.Last} {
			if n, err := wal.ParseName(name); err == nil {
				if there, err := s.Catalogue.HasWAL(n); err == nil && there {
					return true
				}
			}
			for _, directory := range []string{layout.StreamingDirectory, layout.IncomingDirectory} {
				if info, err := os.Lstat(filepath.Join(directory, name)); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
					return true
				}
			}
		}
		for _, id := range gap.Backups[:min(some, len(gap.Backups))] {
			if b, err := s.Catalogue.Get(id); sdk.KindOf(err) == sdk.NotFound || err == nil && !b.State.CopyDone() {
				return true
			}
		}
	}
	return false
}

func look(ctx context.Context, s *server.Server) (Report, error) {
	timelines, unread := Timelines(ctx, s)
	found, err := s.Catalogue.Continuity(catalogue.ContinuityOptions{Timelines: timelines})
	return Report{Continuity: found, Unread: unread}, err
}

// Timelines reads the history files of the archive. Those that an unknown
// transform wrote, or that are stored elsewhere, come through the server's
// pipeline if it has one. What cannot be read is told in the errors.
func Timelines(ctx context.Context, s *server.Server) (catalogue.Timelines, []error) {
	names, err := historyFiles(s)
	if err != nil {
		return nil, []error{err}
	}
	timelines := catalogue.Timelines{}
	var unread []error
	for _, name := range names {
		entries, err := s.Catalogue.ReadHistory(name)
		if err != nil && s.Engine != nil {
			entries, err = fetched(ctx, s, name)
		}
		if err != nil {
			unread = append(unread, err)
			continue
		}
		timelines[name.Timeline] = entries
	}
	return timelines, unread
}

func historyFiles(s *server.Server) ([]wal.Name, error) {
	if !s.WALStoredElsewhere() {
		return s.Catalogue.HistoryFiles()
	}
	var names []wal.Name
	for record, err := range s.Catalogue.WALRecords() {
		if err != nil && sdk.KindOf(err) != sdk.Corrupt {
			return nil, err
		}
		if err == nil && record.Name.Kind == wal.KindHistory {
			names = append(names, record.Name)
		}
	}
	return names, nil
}

func fetched(ctx context.Context, s *server.Server, name wal.Name) ([]wal.HistoryEntry, error) {
	var text bytes.Buffer
	if _, err := fetch.Write(ctx, s, fetch.Request{Name: name}, &text); err != nil {
		return nil, err
	}
	entries, err := wal.ParseHistory(&text)
	if err != nil {
		return nil, sdk.Errorf(sdk.Corrupt, "server %s: %s: %w", s.Name(), name, err)
	}
	return entries, nil
}

// Lost tells whether WAL is missing because the archive is empty: more likely it
// is not there than all of it was lost.
func (r Report) Lost() bool { return len(r.Gaps) > 0 && r.Archived == 0 }

// String sums up the gaps in a line.
func (r Report) String() string {
	switch {
	case r.Lost():
		return "the archive holds no WAL at all: is its file system mounted?"
	case len(r.Gaps) > 1:
		return fmt.Sprintf("%d segments are missing in %d gaps, the first is %s", r.Missing(), len(r.Gaps), r.Gaps[0].First)
	case len(r.Gaps) == 1 && r.Missing() > 1:
		return fmt.Sprintf("%d segments are missing, %s to %s", r.Missing(), r.Gaps[0].First, r.Gaps[0].Last)
	case len(r.Gaps) == 1:
		return fmt.Sprintf("segment %s is missing", r.Gaps[0].First)
	case len(r.Checked) == 0:
		return "no backup needs WAL yet"
	}
	var n uint64
	for _, checked := range r.Checked {
		n += checked.Count
	}
	return fmt.Sprintf("%d segments", n)
}
