package catalogue

import (
	"cmp"
	"maps"
	"slices"

	"github.com/barman-go/barman/sdk/wal"
)

// Routes are the ways that recovery can take through the WAL that is archived or
// waits to be, as it was at one moment.
type Routes struct{ found *lookup }

// Route is one backup's way along a timeline.
type Route struct {
	// Until is where the WAL ends that recovery can use, on UntilTimeline: at the first
	// missing segment, or behind the newest.
	Until         wal.LSN
	UntilTimeline wal.Timeline
	// Missing is the first segment that is missing, and Behind the first that is there
	// again behind it; both are empty when nothing is missing up to the newest.
	Missing, Behind string
	// Lacking is the first segment that is missing between the backup's begin and
	// end, without which it does not become consistent. It is empty if all are there.
	Lacking string
	// Early is true when the WAL at Lacking, and behind it, has merely not come yet.
	Early bool
}

// Routes looks at the WAL of a server whose segments have a size, that of its
// backups. See Continuity for what counts as present, for the cost, and for the
// errors.
func (s *Server) Routes(size wal.SegmentSize, options ContinuityOptions) (Routes, error) {
	l := newLookup(cmp.Or(size, wal.DefaultSegmentSize), options)
	var counted Continuity
	if err := l.gather(s, options, &counted); err != nil {
		return Routes{}, err
	}
	return Routes{found: l}, nil
}

// Newest is the timeline that PostgreSQL takes for the latest when it recovers
// from a backup of another: it looks for history files upwards until one is
// missing.
func (r Routes) Newest(from wal.Timeline) wal.Timeline {
	for {
		if _, known := r.found.timelines[from+1]; !known {
			return from
		}
		from++
	}
}

// Known tells whether there is a history file of a timeline.
func (r Routes) Known(timeline wal.Timeline) bool {
	_, known := r.found.timelines[timeline]
	return known
}

// Leads tells whether recovery of a backup can follow a timeline: that on which it
// ended, or one that left that one at the backup's end or later.
func (r Routes) Leads(b *Backup, to wal.Timeline) bool {
	return b.Timeline == to || slices.Contains(r.found.timelines.Reachable(b.Timeline, b.EndLSN), to)
}

// Reachable are, in ascending order, the timelines that a backup leads to.
func (r Routes) Reachable(b *Backup) []wal.Timeline {
	reachable := append(r.found.timelines.Reachable(b.Timeline, b.EndLSN), b.Timeline)
	slices.Sort(reachable)
	return slices.Compact(reachable)
}

// Follow tells how far a backup can be recovered along a timeline that it leads to.
func (r Routes) Follow(b *Backup, to wal.Timeline) (Route, error) {
	begin, err := b.BeginSegment()
	if err != nil {
		return Route{}, err
	}
	end, err := b.EndSegment()
	if err != nil {
		return Route{}, err
	}
	l := r.found
	last := begin.Number // nothing is needed while nothing came
	if newest, any := l.present[to].newest(); any {
		last = newest + 1
	}
	var route Route
	need := stretch{timeline: begin.Timeline, first: begin.Number, end: end.Number + 1}
	if missing, lacking := l.firstMissing(need); lacking {
		newest, any := l.present[begin.Timeline].newest()
		route.Lacking, route.Early = l.name(begin.Timeline, missing), !any || newest < missing
	}
	way := l.timelines.way(begin, to, last, l.size)
	reached := l.reach(needingBackup{Backup: b, begin: begin, end: end, timeline: to, way: way})
	route.Until, route.UntilTimeline, route.Missing = reached.Until, reached.UntilTimeline, reached.Missing
	if route.Missing != "" {
		if route.Behind = l.behind(way, route.Missing); route.Behind == "" {
			route.Missing = "" // a timeline has begun of which no WAL has come yet
		}
	}
	return route, nil
}

// behind is the first segment of a way that is there behind a missing one.
func (l *lookup) behind(way []stretch, missing string) string {
	gap, err := wal.ParseSegment(missing, l.size)
	if err != nil {
		return ""
	}
	passed := false
	for _, s := range way {
		first := s.first
		if s.timeline == gap.Timeline && gap.Number >= s.first && gap.Number < s.end {
			passed, first = true, gap.Number
		}
		if !passed {
			continue
		}
		for n := range l.present[s.timeline].from(first) {
			if n < s.end {
				return l.name(s.timeline, n)
			}
			break
		}
	}
	return ""
}

func newLookup(size wal.SegmentSize, options ContinuityOptions) *lookup {
	l := &lookup{size: size, timelines: Timelines{}, present: map[wal.Timeline]segmentSet{}}
	maps.Copy(l.timelines, options.Timelines)
	return l
}

// SegmentSize is the size of the segments.
func (r Routes) SegmentSize() wal.SegmentSize { return r.found.size }
