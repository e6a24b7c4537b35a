package wal

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustLSN(t *testing.T, s string) LSN {
	t.Helper()
	lsn, err := ParseLSN(s)
	if err != nil {
		t.Fatal(err)
	}
	return lsn
}

func TestPositionMapsToSegmentAndOffset(t *testing.T) {
	for _, c := range []struct {
		lsn    string
		tli    Timeline
		size   SegmentSize
		name   string
		offset uint64
	}{
		{"1/A5000000", 2, 16 << 20, "0000000200000001000000A5", 0},
		{"0/FFFFFFFF", 1, 16 << 20, "0000000100000000000000FF", 16777215},
		{"2/82000168", 5, 1 << 30, "000000050000000200000002", 33554792},
		{"1/0", 1, 16 << 20, "000000010000000100000000", 0},
		{"0/1000000", 1, 16 << 20, "000000010000000000000001", 0},
		{"0/FFFFFFFF", 1, 1 << 20, "000000010000000000000FFF", 1<<20 - 1},
		{"FFFFFFFF/FFFFFFFF", math.MaxUint32, 16 << 20, "FFFFFFFFFFFFFFFF000000FF", 16777215},
	} {
		lsn := mustLSN(t, c.lsn)
		if lsn.String() != c.lsn {
			t.Errorf("%s prints as %s", c.lsn, lsn)
		}
		s := SegmentAt(c.tli, lsn, c.size)
		if got := s.Name(c.size); got != c.name {
			t.Errorf("%s is in %s, expected %s", c.lsn, got, c.name)
		}
		if got := c.size.Offset(lsn); got != c.offset {
			t.Errorf("%s is at offset %d of its segment, expected %d", c.lsn, got, c.offset)
		}
		parsed, err := ParseSegment(c.name, c.size)
		if err != nil || parsed != s {
			t.Errorf("ParseSegment(%s) = %v, %v; expected %v", c.name, parsed, err, s)
		}
		if got := parsed.Start(c.size) + LSN(c.offset); got != lsn {
			t.Errorf("offset %d of %s is %s, expected %s", c.offset, c.name, got, c.lsn)
		}
	}
}

func TestSegmentAndOffsetMapToPosition(t *testing.T) {
	s, err := ParseSegment("000000030000000A00000012", DefaultSegmentSize)
	if err != nil {
		t.Fatal(err)
	}
	if got := (s.Start(DefaultSegmentSize) + 5904222).String(); got != "A/125A175E" {
		t.Errorf("got %s", got)
	}
}

func TestPositionNeedsExactlyOneSlash(t *testing.T) {
	for _, s := range []string{"", "/", "0", "0/", "/0", "0/0/0", "G/0", "0/ 1", "+1/0", "-1/0", "0x1/0", "123456789/0", "0/123456789", "1/0\n"} {
		if lsn, err := ParseLSN(s); err == nil {
			t.Errorf("ParseLSN(%q) = %s, expected an error", s, lsn)
		}
	}
}

func TestSegmentSizesArePowersOfTwoBetweenOneMegabyteAndOneGigabyte(t *testing.T) {
	for size, valid := range map[SegmentSize]bool{
		1 << 20: true, 16 << 20: true, 1 << 30: true, 1 << 19: false, 1 << 31: false, 0: false, -1: false, 3 << 20: false,
		math.MinInt64: false,
	} {
		if size.Valid() != valid {
			t.Errorf("%d: Valid() = %v", size, size.Valid())
		}
	}
}

func TestArithmeticOnAnInvalidSizeUsesTheDefault(t *testing.T) {
	s := SegmentAt(1, 0x5000000, 0)
	if got := s.Name(-3); got != "000000010000000000000005" || s.Start(7) != 0x5000000 {
		t.Errorf("got %s", got)
	}
}

func TestRangeCrossesLogBoundary(t *testing.T) {
	for _, c := range []struct {
		size        SegmentSize
		first, last string
		want        []string
	}{
		{16 << 20, "0000000100000001000000FE", "000000010000000200000001", []string{
			"0000000100000001000000FE", "0000000100000001000000FF", "000000010000000200000000", "000000010000000200000001"}},
		{1 << 30, "000000010000000000000003", "000000010000000100000000", []string{"000000010000000000000003", "000000010000000100000000"}},
		{16 << 20, "000000010000000000000003", "000000010000000000000003", []string{"000000010000000000000003"}},
	} {
		first, err1 := ParseSegment(c.first, c.size)
		last, err2 := ParseSegment(c.last, c.size)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		seq, err := Range(first, last)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for s := range seq {
			got = append(got, s.Name(c.size))
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Error(d)
		}
	}
}

func TestRangeRefusesTwoTimelinesAndReverseOrder(t *testing.T) {
	if _, err := Range(Segment{1, 5}, Segment{2, 6}); err == nil {
		t.Error("two timelines were accepted")
	}
	if _, err := Range(Segment{1, 5}, Segment{1, 4}); err == nil {
		t.Error("reverse order was accepted")
	}
}

func TestRangeEndsAtTheLastPossibleSegment(t *testing.T) {
	seq, err := Range(Segment{1, math.MaxUint64 - 1}, Segment{1, math.MaxUint64})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(slices.Collect(seq)); n != 2 {
		t.Errorf("%d segments", n)
	}
}

func TestPreviousCrossesLogBoundary(t *testing.T) {
	s, err := ParseSegment("000000010000000200000000", DefaultSegmentSize)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Previous().Name(DefaultSegmentSize); got != "0000000100000001000000FF" {
		t.Errorf("got %s", got)
	}
	if s.Previous().Next() != s {
		t.Error("Next does not undo Previous")
	}
	if zero := (Segment{Timeline: 1}); zero.Previous() != zero {
		t.Error("the first segment has a predecessor")
	}
}

func FuzzParseLSN(f *testing.F) {
	for _, s := range []string{"0/0", "16/B374D848", "ffffffff/FFFFFFFF", "/", "1/2/3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lsn, err := ParseLSN(s)
		if err != nil {
			return
		}
		if again, err := ParseLSN(lsn.String()); err != nil || again != lsn {
			t.Errorf("%q: %v does not round-trip: %v, %v", s, lsn, again, err)
		}
	})
}

func FuzzSegmentNamesRoundTrip(f *testing.F) {
	f.Add(uint32(1), uint64(0x1A5000000), uint8(4))
	f.Add(uint32(math.MaxUint32), uint64(math.MaxUint64), uint8(10))
	f.Fuzz(func(t *testing.T, tli uint32, lsn uint64, shift uint8) {
		size := SegmentSize(1<<20) << (shift % 11)
		s := SegmentAt(Timeline(tli), LSN(lsn), size)
		got, err := ParseSegment(s.Name(size), size)
		if err != nil || got != s {
			t.Fatalf("%v with size %d is named %s, which reads as %v, %v", s, size, s.Name(size), got, err)
		}
		if at := uint64(s.Start(size)) + size.Offset(LSN(lsn)); at != lsn {
			t.Fatalf("start and offset add up to %d, expected %d", at, lsn)
		}
	})
}
