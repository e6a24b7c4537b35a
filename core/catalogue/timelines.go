package catalogue

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// Timelines are the histories of the timelines whose history file is known.
// The first timeline has none, and stands for itself, as does one whose file is
// missing.
type Timelines map[wal.Timeline][]wal.HistoryEntry

// Left returns where the line that leads to a timeline left one of its
// ancestors; false when it does not descend from it.
func (t Timelines) Left(ancestor, descendant wal.Timeline) (wal.LSN, bool) {
	for _, entry := range t[descendant] {
		if entry.Parent == ancestor {
			return entry.Switch, true
		}
	}
	return 0, false
}

// Reachable returns, in ascending order, the timelines that recovery can follow
// once it is consistent at a position of a timeline: those that left it there or
// later.
func (t Timelines) Reachable(from wal.Timeline, at wal.LSN) []wal.Timeline {
	var reachable []wal.Timeline
	for _, timeline := range slices.Sorted(maps.Keys(t)) {
		if left, descends := t.Left(from, timeline); descends && left >= at {
			reachable = append(reachable, timeline)
		}
	}
	return reachable
}

// stretch is the part of a timeline, by the numbers of its segments, that
// recovery reads on its way.
type stretch struct {
	timeline   wal.Timeline
	first, end uint64 // end is not included
}

func (s stretch) empty() bool { return s.end <= s.first }

func (s stretch) overlaps(other stretch) bool {
	return s.timeline == other.timeline && !other.empty() && s.first < other.end && other.first < s.end
}

// way returns what recovery reads from a segment on to the end, the number
// behind the newest segment, of a timeline that it can reach. A timeline's last
// part, in the segment in which its child begins, is read from the child, to
// which PostgreSQL copies it at the promotion.
func (t Timelines) way(begin wal.Segment, to wal.Timeline, end uint64, size wal.SegmentSize) []stretch {
	var stretches []stretch
	first := begin.Number
	on := false
	for _, entry := range t[to] {
		if on = on || entry.Parent == begin.Timeline; !on {
			continue
		}
		// No line of the file is about a position behind that of the next.
		next := max(first, wal.SegmentAt(entry.Parent, entry.Switch, size).Number)
		stretches = append(stretches, stretch{timeline: entry.Parent, first: first, end: next})
		first = next
	}
	return append(stretches, stretch{timeline: to, first: first, end: end})
}

// maxHistory bounds a history file, which has a line for each promotion.
const maxHistory = 1 << 20

// HistoryFiles returns the timeline history files of the archive in ascending
// order.
func (s *Server) HistoryFiles() ([]wal.Name, error) {
	names, err := readNames(s.layout.WALsDirectory)
	if err != nil {
		return nil, s.wrap(err)
	}
	var histories []wal.Name
	for _, name := range names {
		if n, err := wal.ParseName(name); err == nil && n.Kind == wal.KindHistory {
			histories = append(histories, n)
		}
	}
	return histories, nil
}

// ReadHistory reads a history file of the archive, plain or compressed. Whatever
// else it is, encrypted or damaged, is an error of kind Corrupt.
func (s *Server) ReadHistory(name wal.Name) ([]wal.HistoryEntry, error) {
	path := s.WALPath(name)
	entries, err := readHistory(path)
	if err != nil {
		return nil, s.errorf(cmp.Or(kindOf(err), sdk.Corrupt), "%s: %w", path, err)
	}
	return entries, nil
}

func readHistory(path string) (entries []wal.HistoryEntry, err error) {
	f, _, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	plain, _, err := codec.Decoded(f)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	return wal.ParseHistory(io.LimitReader(plain, maxHistory))
}
