package verify

import (
	"context"
	"errors"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/fetch"
	"github.com/barman-go/barman/core/stored"
	corewal "github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/manifest"
	"github.com/barman-go/barman/sdk/wal"
)

// verifyWAL reads the WAL that the backup needs to become consistent: what its
// manifest says, else what the catalogue does.
func (r *run) verifyWAL(ctx context.Context) error {
	b := r.backup
	if b.Timeline == 0 || b.BeginLSN == 0 || b.EndLSN < b.BeginLSN {
		r.warn("its backup.info does not tell which WAL the backup needs: it was not verified")
		return nil
	}
	ranges := r.walRanges()
	newest, err := r.newestArchived()
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(r.request.Jobs)
	for _, needed := range ranges {
		first, last := segmentsOf(needed, r.segmentSize())
		// Of an archive that is gone, some missing segments are enough.
		for s := first; s.Number <= last.Number && groupCtx.Err() == nil && r.checker.problems.count() < mostProblems; s = s.Next() {
			r.report.Segments++
			group.Go(func() error { return r.verifySegment(groupCtx, s, needed.End, newest) })
		}
	}
	return errors.Join(group.Wait(), ctx.Err())
}

// walRanges is the WAL to read. A manifest may not ask for more than there was
// between the backup's begin and its end.
func (r *run) walRanges() []manifest.WALRange {
	b := r.backup
	whole := manifest.WALRange{Timeline: b.Timeline, Start: b.BeginLSN, End: b.EndLSN}
	within, until := segmentsOf(whole, r.segmentSize())
	for _, needed := range r.summary.WAL {
		first, last := segmentsOf(needed, r.segmentSize())
		if first.Number < within.Number || last.Number > until.Number {
			r.checker.problems.add(Damaged, stored.ManifestName, "", "asks for WAL from %s to %s, and the backup is of %s to %s", needed.Start, needed.End, b.BeginLSN, b.EndLSN)
			return []manifest.WALRange{whole}
		}
	}
	if len(r.summary.WAL) == 0 {
		return []manifest.WALRange{whole}
	}
	return r.summary.WAL
}

func (r *run) segmentSize() wal.SegmentSize {
	if r.backup.SegmentSize == 0 {
		return wal.DefaultSegmentSize
	}
	return r.backup.SegmentSize
}

// segmentsOf are the first and the last segment of a range. Of a segment that
// begins at its end nothing is needed.
func segmentsOf(r manifest.WALRange, size wal.SegmentSize) (first, last wal.Segment) {
	return wal.SegmentAt(r.Timeline, r.Start, size), wal.SegmentAt(r.Timeline, max(r.Start, r.End-1), size)
}

// newestArchived is the newest segment of each timeline: what comes after it may
// be on its way. A store elsewhere is not asked: there the WAL of a backup that
// is DONE has arrived.
func (r *run) newestArchived() (map[wal.Timeline]wal.Name, error) {
	if r.server.WALStoredElsewhere() {
		return nil, nil
	}
	return r.server.Catalogue.NewestPerTimeline()
}

// firstWithRecords is the first version of PostgreSQL whose records have the
// layout that can be followed.
const firstWithRecords = 90500

// verifySegment reads one segment as a recovery would get it, and follows its
// records as far as the backup needs them.
func (r *run) verifySegment(ctx context.Context, s wal.Segment, end wal.LSN, newest map[wal.Timeline]wal.Name) error {
	size := r.segmentSize()
	text := s.Name(size)
	name, err := wal.ParseName(text)
	if err != nil {
		return err
	}
	result, extent, err := r.followRecords(ctx, name)
	var missing *fetch.MissingError
	switch {
	case errors.As(err, &missing) && r.mayCome(name, newest):
		r.warnSegment(text)
		return nil
	case errors.As(err, &missing):
		r.checker.problems.add(Missing, text, "", "is missing in the WAL archive: without it the backup cannot become consistent")
		return nil
	case sdk.KindOf(err) == sdk.Corrupt:
		r.checker.problems.add(Damaged, text, "", "%v", err)
		return nil
	case err != nil:
		return err
	}
	if archived, err := r.server.Catalogue.HasWAL(name); err != nil {
		return err
	} else if result.Place != fetch.Archive && archived {
		r.checker.problems.add(Damaged, text, "", "is damaged in the archive; there is a good copy in the directory of the WAL that waits (%s)", result.Place)
		return nil
	}
	if v := r.backup.Version; v != 0 && v < firstWithRecords {
		return nil // of its records nothing is known here
	}
	start := s.Start(size)
	needed := min(int64(end-start), int64(size))
	if extent < needed {
		r.checker.problems.add(Damaged, text, "", "its records are damaged from %s on, the backup needs them up to %s", start+wal.LSN(extent), start+wal.LSN(needed))
	}
	return nil
}

// followRecords reads a segment, and tells up to which of its bytes the records
// are whole.
func (r *run) followRecords(ctx context.Context, name wal.Name) (result fetch.Result, extent int64, err error) {
	reader, writer := io.Pipe()
	followed := make(chan error, 1)
	go func() {
		var err error
		extent, err = corewal.Extent(reader)
		if err == nil {
			err = drain(reader)
		}
		followed <- errors.Join(err, reader.CloseWithError(err))
	}()
	result, err = fetch.Write(ctx, r.server, fetch.Request{Name: name}, writer)
	closed := writer.CloseWithError(err)
	failed := <-followed
	if err == nil {
		err = errors.Join(failed, closed)
	}
	return result, extent, err
}

// mayCome tells whether a segment that is missing may still be archived.
func (r *run) mayCome(name wal.Name, newest map[wal.Timeline]wal.Name) bool {
	if r.backup.State == catalogue.StateDone {
		return false
	}
	last, any := newest[name.Timeline]
	return !any || last.String() < name.String()
}

func (r *run) warnSegment(name string) {
	r.warnings.Lock()
	defer r.warnings.Unlock()
	r.warn("WAL segment %s is not archived yet: until it is, the backup cannot be recovered", name)
}
