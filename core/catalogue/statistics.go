package catalogue

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// WALStatistics sums up the segments between a backup's begin and its
// successor's end.
type WALStatistics struct {
	// Count and Size are of the segments from the backup's begin to its end.
	Count int
	Size  int64 // bytes stored
	// UntilNextCount and UntilNextSize are of those after it.
	UntilNextCount int
	UntilNextSize  int64
	// First and Last are the first and last segment recorded, with their times.
	First, Last         string
	FirstTime, LastTime time.Time
	// TheoreticalSize and UntilNextTheoreticalSize are what the segments take
	// without compression, in bytes.
	TheoreticalSize, UntilNextTheoreticalSize int64
}

// CompressionRatio returns the part of the backup's WAL that compression saved,
// from 0 to 1; zero if there is none.
func (w WALStatistics) CompressionRatio() float64 { return saved(w.Size, w.TheoreticalSize) }

// UntilNextCompressionRatio is CompressionRatio of the WAL after the backup.
func (w WALStatistics) UntilNextCompressionRatio() float64 {
	return saved(w.UntilNextSize, w.UntilNextTheoreticalSize)
}

// WholeCompressionRatio is CompressionRatio of both.
func (w WALStatistics) WholeCompressionRatio() float64 {
	return saved(w.Size+w.UntilNextSize, w.TheoreticalSize+w.UntilNextTheoreticalSize)
}

func saved(size, theoretical int64) float64 {
	if theoretical <= 0 {
		return 0
	}
	return 1 - float64(size)/float64(theoretical)
}

// Duration returns the time from the first segment to the last.
func (w WALStatistics) Duration() time.Duration {
	if w.First == "" || w.Last == "" {
		return 0
	}
	return w.LastTime.Sub(w.FirstTime)
}

// PerSecond returns how many segments the server produced in a second; zero if
// that cannot be told.
func (w WALStatistics) PerSecond() float64 {
	seconds := w.Duration().Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(w.Count+w.UntilNextCount) / seconds
}

// WALStatistics computes the figures of each of the given backups, in one pass
// over xlog.db. The successor of a backup is the next of them whose copy is
// complete; backups without a begin or an end have no figures. When lines of
// xlog.db are damaged, the figures of the others come along with an error of
// kind Corrupt that tells the first.
func (s *Server) WALStatistics(backups []*Backup) (map[BackupID]WALStatistics, error) {
	spans := walSpans(backups)
	cells := newWALCells(spans)
	var damage error
	for r, err := range s.WALRecords() {
		if err != nil && sdk.KindOf(err) != sdk.Corrupt {
			return nil, err
		}
		if err != nil {
			if damage == nil {
				damage = err
			}
			continue
		}
		if r.Name.Kind == wal.KindSegment {
			cells.add(r)
		}
	}
	statistics := make(map[BackupID]WALStatistics, len(spans))
	for _, span := range spans {
		statistics[span.id] = cells.figures(span)
	}
	return statistics, damage
}

// walPlace is a segment's place in the order of names.
type walPlace struct {
	timeline wal.Timeline
	log, seg uint32
}

func placeOf(n wal.Name) walPlace { return walPlace{n.Timeline, n.Log, n.Seg} }

func (p walPlace) compare(other walPlace) int {
	return cmp.Or(cmp.Compare(p.timeline, other.timeline), cmp.Compare(p.log, other.log), cmp.Compare(p.seg, other.seg))
}

// next is the place behind p.
func (p walPlace) next() walPlace {
	if p.seg++; p.seg == 0 {
		if p.log++; p.log == 0 {
			p.timeline++
		}
	}
	return p
}

func earlier(a, b walPlace) walPlace {
	if b.compare(a) < 0 {
		return b
	}
	return a
}

func later(a, b walPlace) walPlace {
	if b.compare(a) > 0 {
		return b
	}
	return a
}

// walSpan is what the figures of one backup are about.
type walSpan struct {
	id          BackupID
	segmentSize int64
	begin       walPlace
	// end and until are behind the backup's own WAL, and behind that up to the next
	// backup's end.
	end, until walPlace
}

func walSpans(backups []*Backup) []walSpan {
	sorted := slices.Clone(backups)
	slices.SortFunc(sorted, func(a, b *Backup) int { return cmp.Compare(a.ID, b.ID) })
	spans := make([]walSpan, 0, len(sorted))
	var successor *walPlace // behind the next backup's end
	for _, b := range slices.Backward(sorted) {
		begin, errBegin := wal.ParseName(b.BeginWAL)
		end, errEnd := wal.ParseName(b.EndWAL)
		if errors.Join(errBegin, errEnd) != nil {
			continue
		}
		behind := placeOf(end).next()
		// Figures are about the backup's own timeline.
		span := walSpan{id: b.ID, segmentSize: int64(b.segmentSize()), begin: placeOf(begin), until: walPlace{timeline: begin.Timeline + 1}}
		if successor != nil {
			span.until = earlier(span.until, *successor)
		}
		span.until = later(span.begin, span.until)
		span.end = later(span.begin, earlier(behind, span.until))
		spans = append(spans, span)
		if b.State.CopyDone() {
			successor = &behind
		}
	}
	return spans
}

// walCells add up the segments between the places at which a span begins or
// ends: each record goes into one of them, however many backups it is about.
type walCells struct {
	bounds []walPlace // ascending
	cells  []walCell  // what lies from the bound of the same index to the next
}

type walCell struct {
	count    int
	size     int64
	last     wal.Name
	lastTime time.Time
}

func newWALCells(spans []walSpan) *walCells {
	c := &walCells{}
	for _, span := range spans {
		c.bounds = append(c.bounds, span.begin, span.begin.next(), span.end, span.until)
	}
	slices.SortFunc(c.bounds, walPlace.compare)
	c.bounds = slices.Compact(c.bounds)
	c.cells = make([]walCell, len(c.bounds))
	return c
}

func (c *walCells) add(r WALRecord) {
	i, found := slices.BinarySearchFunc(c.bounds, placeOf(r.Name), walPlace.compare)
	if !found {
		i--
	}
	if i < 0 {
		return
	}
	cell := &c.cells[i]
	cell.count++
	cell.size += r.Size
	if cell.last.Kind == 0 || compareNames(r.Name, cell.last) >= 0 {
		cell.last, cell.lastTime = r.Name, r.ModTime
	}
}

// between yields the cells from one bound to another.
func (c *walCells) between(from, to walPlace) []walCell {
	first, _ := slices.BinarySearchFunc(c.bounds, from, walPlace.compare)
	last, _ := slices.BinarySearchFunc(c.bounds, to, walPlace.compare)
	return c.cells[first:max(first, last)]
}

func (c *walCells) figures(span walSpan) WALStatistics {
	var f WALStatistics
	for _, cell := range c.between(span.begin, span.end) {
		f.Count += cell.count
		f.Size += cell.size
		f.reach(cell)
	}
	for _, cell := range c.between(span.end, span.until) {
		f.UntilNextCount += cell.count
		f.UntilNextSize += cell.size
		f.reach(cell)
	}
	for _, cell := range c.between(span.begin, earlier(span.begin.next(), span.until)) {
		if cell.count > 0 {
			f.First, f.FirstTime = cell.last.String(), cell.lastTime
		}
	}
	f.TheoreticalSize = int64(f.Count) * span.segmentSize
	f.UntilNextTheoreticalSize = int64(f.UntilNextCount) * span.segmentSize
	return f
}

// reach takes what a later cell ends with for the last.
func (w *WALStatistics) reach(cell walCell) {
	if cell.count > 0 {
		w.Last, w.LastTime = cell.last.String(), cell.lastTime
	}
}
