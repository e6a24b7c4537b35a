package wal

import (
	"fmt"
	"iter"
)

// SegmentSize is the size of the files a cluster's WAL is cut into, in bytes;
// initdb --wal-segsize chose it.
type SegmentSize int64

// Segment sizes, in bytes.
const (
	// DefaultSegmentSize is what initdb chooses unless told otherwise.
	DefaultSegmentSize SegmentSize = 16 << 20
	// MinSegmentSize and MaxSegmentSize are the limits PostgreSQL 11 and later
	// put on --wal-segsize.
	MinSegmentSize SegmentSize = 1 << 20
	MaxSegmentSize SegmentSize = 1 << 30
)

// Valid reports whether PostgreSQL allows this size: a power of two from 1 MiB
// to 1 GiB.
func (s SegmentSize) Valid() bool {
	return s >= MinSegmentSize && s <= MaxSegmentSize && s&(s-1) == 0
}

// Offset returns how many bytes into its segment lsn is.
func (s SegmentSize) Offset(lsn LSN) uint64 {
	return uint64(lsn) & uint64(s.orDefault()-1)
}

// PerLog returns how many segments share the first 16 digits of their names
// (and so one directory of an archive): 4 GiB divided by the size.
func (s SegmentSize) PerLog() uint64 {
	return 1 << 32 / uint64(s.orDefault())
}

// orDefault keeps the arithmetic defined for a size nobody validated: a
// division by zero would crash, any other size would name files PostgreSQL
// does not have.
func (s SegmentSize) orDefault() SegmentSize {
	if !s.Valid() {
		return DefaultSegmentSize
	}
	return s
}

// Segment is one WAL file's worth of one timeline. Number counts from the
// position 0/0, whatever the segment size.
//
// The methods that take a size use DefaultSegmentSize in place of one that is
// not Valid.
type Segment struct {
	Timeline Timeline
	Number   uint64
}

// SegmentAt returns the segment that holds the byte at lsn. A position on the
// boundary belongs to the segment that begins there.
func SegmentAt(tli Timeline, lsn LSN, size SegmentSize) Segment {
	return Segment{Timeline: tli, Number: uint64(lsn) / uint64(size.orDefault())}
}

// Name returns the 24-digit name of the segment's file.
func (s Segment) Name(size SegmentSize) string {
	perLog := size.PerLog()
	return fmt.Sprintf("%08X%08X%08X", uint32(s.Timeline), uint32(s.Number/perLog), uint32(s.Number%perLog))
}

// Start returns the position of the segment's first byte.
func (s Segment) Start(size SegmentSize) LSN {
	return LSN(s.Number * uint64(size.orDefault()))
}

// Next returns the segment that follows on the same timeline.
func (s Segment) Next() Segment { return Segment{s.Timeline, s.Number + 1} }

// Previous returns the segment before this one on the same timeline; the first
// segment is its own predecessor.
func (s Segment) Previous() Segment {
	if s.Number == 0 {
		return s
	}
	return Segment{s.Timeline, s.Number - 1}
}

// Range yields the segments from first to last, both included. They must be on
// one timeline and in order; what lies between two timelines depends on their
// history, which names alone do not tell.
func Range(first, last Segment) (iter.Seq[Segment], error) {
	if first.Timeline != last.Timeline {
		return nil, fmt.Errorf("WAL segments %d on timeline %d and %d on timeline %d are not on one timeline",
			first.Number, first.Timeline, last.Number, last.Timeline)
	}
	if last.Number < first.Number {
		return nil, fmt.Errorf("WAL segment %d comes before segment %d, expected the reverse", last.Number, first.Number)
	}
	return func(yield func(Segment) bool) {
		for s := first; yield(s) && s != last; {
			s = s.Next()
		}
	}, nil
}
