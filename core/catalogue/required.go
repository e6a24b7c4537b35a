package catalogue

import (
	"iter"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// WALTarget says how far a restore goes. The zero value is the end of the
// archive on the timeline of the backup's end.
type WALTarget struct {
	// Timeline to follow; zero is that of the backup's end. See
	// Server.LatestTimeline for the highest.
	Timeline wal.Timeline
	// Immediate stops where the backup becomes consistent.
	Immediate bool
	// LSN stops at a position; zero is no limit. Targets of time, transaction or
	// name tell nothing about positions and limit nothing.
	LSN wal.LSN
}

// RequiredWAL yields the files of the archive that restoring b to the target
// needs, in ascending order: every history file, and from the backup's begin
// on all segments, partial segments and backup history files of timelines up
// to the target's. It reads the archive itself, not its index. An error ends
// the listing.
//
// With an LSN the segment behind that position is included: the record that
// makes recovery stop may begin in one and end in the other.
func (s *Server) RequiredWAL(b *Backup, target WALTarget) iter.Seq2[WALFile, error] {
	return func(yield func(WALFile, error) bool) {
		limits, err := newWALLimits(b, target)
		if err != nil {
			yield(WALFile{}, s.errorf(sdk.Invalid, "%w", err))
			return
		}
		for file, err := range s.walFilesFrom(limits.firstDir) {
			if err != nil {
				yield(WALFile{}, err)
				return
			}
			required, err := limits.include(file.Name)
			if err != nil {
				yield(WALFile{}, s.errorf(sdk.Corrupt, "WAL archive: %w: move it away if it is of another cluster", err))
				return
			}
			if required && !yield(file, nil) {
				return
			}
		}
	}
}

// walLimits decides file by file; begin and last are in order of timeline,
// then position.
type walLimits struct {
	size     wal.SegmentSize
	firstDir string
	begin    wal.Segment
	timeline wal.Timeline
	last     *wal.Segment
}

func newWALLimits(b *Backup, target WALTarget) (walLimits, error) {
	begin, err := b.BeginSegment()
	if err != nil {
		return walLimits{}, err
	}
	end, err := b.EndSegment()
	if err != nil {
		return walLimits{}, err
	}
	beginName, err := wal.ParseName(b.BeginWAL)
	if err != nil {
		return walLimits{}, err
	}
	l := walLimits{size: b.segmentSize(), firstDir: beginName.HashDir(), begin: begin, timeline: end.Timeline}
	if target.Timeline != 0 {
		l.timeline = target.Timeline
	}
	switch {
	case target.Immediate:
		l.last = &end
	case target.LSN != 0:
		last := wal.SegmentAt(l.timeline, target.LSN, l.size).Next()
		if after(end, last) {
			last = end // without the WAL up to its end the backup is of no use
		}
		l.last = &last
	}
	return l, nil
}

func (l walLimits) include(name wal.Name) (bool, error) {
	if name.Kind == wal.KindHistory {
		return true, nil
	}
	if name.Timeline < l.begin.Timeline || name.Timeline > l.timeline {
		return false, nil
	}
	segment, err := name.Segment(l.size)
	if err != nil {
		return false, err
	}
	return !after(l.begin, segment) && (l.last == nil || !after(segment, *l.last)), nil
}

// after reports whether a sorts behind b.
func after(a, b wal.Segment) bool {
	if a.Timeline != b.Timeline {
		return a.Timeline > b.Timeline
	}
	return a.Number > b.Number
}
