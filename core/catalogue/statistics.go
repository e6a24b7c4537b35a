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
	counters := walCounters(backups)
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
		if r.Name.Kind != wal.KindSegment {
			continue
		}
		for _, c := range counters {
			c.add(r)
		}
	}
	statistics := make(map[BackupID]WALStatistics, len(counters))
	for _, c := range counters {
		c.figures.TheoreticalSize = int64(c.figures.Count) * c.segmentSize
		c.figures.UntilNextTheoreticalSize = int64(c.figures.UntilNextCount) * c.segmentSize
		statistics[c.id] = c.figures
	}
	return statistics, damage
}

// walCounter collects the figures of one backup.
type walCounter struct {
	id          BackupID
	begin, end  wal.Name
	until       wal.Name // end of the next backup; zero if there is none
	segmentSize int64
	figures     WALStatistics
}

func walCounters(backups []*Backup) []*walCounter {
	sorted := slices.Clone(backups)
	slices.SortFunc(sorted, func(a, b *Backup) int { return cmp.Compare(a.ID, b.ID) })
	counters := make([]*walCounter, 0, len(sorted))
	var until wal.Name
	for _, b := range slices.Backward(sorted) {
		begin, errBegin := wal.ParseName(b.BeginWAL)
		end, errEnd := wal.ParseName(b.EndWAL)
		if errors.Join(errBegin, errEnd) != nil {
			continue
		}
		counters = append(counters, &walCounter{id: b.ID, begin: begin, end: end, until: until, segmentSize: int64(b.segmentSize())})
		if b.State.CopyDone() {
			until = end
		}
	}
	return counters
}

func (c *walCounter) add(r WALRecord) {
	name := r.Name
	if compareNames(name, c.begin) < 0 || name.Timeline > c.begin.Timeline {
		return
	}
	if c.until.Kind != 0 && compareNames(name, c.until) > 0 {
		return
	}
	f := &c.figures
	if compareNames(name, c.end) <= 0 {
		f.Count++
		f.Size += r.Size
	} else {
		f.UntilNextCount++
		f.UntilNextSize += r.Size
	}
	if compareNames(name, c.begin) == 0 {
		f.First, f.FirstTime = name.String(), r.ModTime
	}
	f.Last, f.LastTime = name.String(), r.ModTime
}
