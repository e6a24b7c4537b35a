package recovery

import (
	"encoding/binary"
	"hash/crc32"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk/wal"
)

// staged are the segments that wait for recovery, by what they were stored as.
func (s *site) staged(report Report) map[string]string {
	s.t.Helper()
	found := map[string]string{}
	for name, content := range tree(s.t, filepath.Join(report.Destination, "barman_wal")) {
		found[name] = "other bytes"
		for _, mark := range []string{name, name + ".partial", "streamed " + name} {
			if content == string(segment(mark)) {
				found[name] = mark
			}
		}
	}
	return found
}

// stream puts a segment into the directory of the receiver, where nothing
// archives it: the last one is never whole.
func (s *site) stream(name, mark string) {
	s.t.Helper()
	s.put(filepath.Join("streaming", name), segment(mark))
}

// someWAL is a partial segment of 1 MB that begins with some records.
func someWAL(t *testing.T, name string, records int) []byte {
	t.Helper()
	segment, err := wal.ParseSegment(name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	le, b := binary.LittleEndian, make([]byte, 1<<20)
	le.PutUint16(b, 0xD110)
	le.PutUint16(b[2:], 2)
	le.PutUint32(b[4:], uint32(segment.Timeline))
	le.PutUint64(b[8:], uint64(segment.Start(1<<20)))
	le.PutUint64(b[24:], 1)
	le.PutUint32(b[32:], 1<<20)
	le.PutUint32(b[36:], 8192)
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	for i := range records {
		r := b[wal.LongPageHeaderSize+i*104:][:104] // length, …, resource manager, …, checksum, content
		le.PutUint32(r, 104)
		r[17], r[30] = 10, byte(i)
		le.PutUint32(r[20:], crc32.Update(crc32.Checksum(r[24:], castagnoli), castagnoli, r[:20]))
	}
	return b
}

const walLine = "  wal {\n    source \"pgreceivewal\" {}\n    transform \"compress\" {\n      codec = \"lz4\"\n    }\n    sink \"posix\" {}\n  }\n"

func TestWALIsRecoveredWhateverItIsStoredAs(t *testing.T) {
	for name, config := range map[string]string{"another codec today": walLine, "no transform today": ""} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, noTransform+config)
			s.putPlain("", asIs)
			s.wal(segmentName(2, 0x20), zipped) // before the backup
			s.wal(segmentName(2, 0x21), zipped)
			s.wal(segmentName(2, 0x22), zstandard)
			s.wal(segmentName(2, 0x23), asIs)
			report := s.mustRun(Request{})
			want := map[string]string{}
			for i := 0x21; i <= 0x23; i++ {
				want[segmentName(2, i)] = segmentName(2, i)
			}
			if diff := cmp.Diff(want, s.staged(report)); diff != "" {
				t.Error(diff)
			}
			if report.WALFiles != 3 {
				t.Errorf("%d WAL files", report.WALFiles)
			}
		})
	}
}

func TestWhatWasStreamedAndNotArchivedIsRecoveredToo(t *testing.T) {
	s := newSite(t, noTransform+walLine)
	s.putPlain("", asIs)
	s.wal(segmentName(2, 0x21), asIs)
	s.wal(segmentName(2, 0x22)+".partial", asIs) // of an old timeline's end, for instance
	s.stream(segmentName(2, 0x23)+".partial", "streamed "+segmentName(2, 0x23))
	report := s.mustRun(Request{})
	want := map[string]string{
		segmentName(2, 0x21): segmentName(2, 0x21),
		segmentName(2, 0x22): segmentName(2, 0x22) + ".partial",
		segmentName(2, 0x23): "streamed " + segmentName(2, 0x23),
	}
	if diff := cmp.Diff(want, s.staged(report)); diff != "" {
		t.Error(diff)
	}
}

func TestAWholeSegmentComesBeforeAPartialOne(t *testing.T) {
	s := newSite(t, noTransform+walLine)
	s.putPlain("", asIs)
	s.wal(segmentName(2, 0x21), asIs)
	s.wal(segmentName(2, 0x21)+".partial", asIs)
	s.stream(segmentName(2, 0x21)+".partial", "streamed "+segmentName(2, 0x21))
	report := s.mustRun(Request{})
	if diff := cmp.Diff(map[string]string{segmentName(2, 0x21): segmentName(2, 0x21)}, s.staged(report)); diff != "" {
		t.Error(diff)
	}
}

func TestAReceivedWholeSegmentComesBeforeAnArchivedPartialOne(t *testing.T) {
	s := newSite(t, noTransform+walLine)
	s.putPlain("", asIs)
	s.lose(segmentName(2, 0x21))
	s.wal(segmentName(2, 0x21)+".partial", asIs)
	archiving, err := s.Catalogue.Lock(catalogue.LockArchiveWAL)
	if err != nil {
		t.Fatal(err)
	}
	defer archiving.Release()
	s.stream(segmentName(2, 0x21), "streamed "+segmentName(2, 0x21))
	s.stream(segmentName(2, 0x21)+".partial", "old "+segmentName(2, 0x21))
	report := s.mustRun(Request{})
	if diff := cmp.Diff(map[string]string{segmentName(2, 0x21): "streamed " + segmentName(2, 0x21)}, s.staged(report)); diff != "" {
		t.Error(diff)
	}
}

func TestOfTwoPartialSegmentsTheLongerOneIsRecoveredWhateverTheirFilesMeasure(t *testing.T) {
	name := segmentName(1, 1)
	short, long := someWAL(t, name, 3), someWAL(t, name, 5)
	for what, test := range map[string]struct{ received, archived []byte }{
		"the received one":               {long, short},
		"the archived one":               {short, long},
		"the received one, cut":          {long[:400<<10], short},
		"the archived one, cut":          {short, long[:400<<10]},
		"the one that holds WAL":         {long, make([]byte, 1<<20)},
		"the one that holds WAL, stored": {make([]byte, 1<<20), long},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSite(t, noTransform+walLine)
			s.backup = backupAt(s.backup.ID, noon, 0x110000)
			s.backup.Timeline, s.backup.BeginWAL, s.backup.EndWAL = 1, name, name
			s.save()
			s.putPlain("", asIs)
			s.lose(segmentName(2, 0x21))
			s.put("streaming/"+name+".partial", test.received)
			s.put("wals/0000000100000000/"+name+".partial", test.archived)
			report := s.mustRun(Request{})
			staged := tree(t, filepath.Join(report.Destination, "barman_wal"))
			if len(staged) != 1 || staged[name] != string(long) || report.WALFiles != 1 {
				t.Errorf("%d files, %d counted; the longer one: %t", len(staged), report.WALFiles, staged[name] == string(long))
			}
		})
	}
}

func TestWhatWasDeliveredAndCannotBeArchivedIsRecoveredToo(t *testing.T) {
	s := newSite(t, noTransform)
	name, next := segmentName(1, 1), segmentName(1, 2)
	s.backup = backupAt(s.backup.ID, noon, 0x110000)
	s.backup.Timeline, s.backup.BeginWAL, s.backup.EndWAL = 1, name, name
	s.save()
	s.putPlain("", asIs)
	s.lose(segmentName(2, 0x21))
	archiving, err := s.Catalogue.Lock(catalogue.LockArchiveWAL)
	if err != nil {
		t.Fatal(err)
	}
	defer archiving.Release()
	s.put("incoming/"+segmentName(1, 0), someWAL(t, segmentName(1, 0), 1)) // before the backup
	s.put("incoming/"+name, zipped(someWAL(t, name, 4)))
	s.put("incoming/"+next+".partial", someWAL(t, next, 5))
	s.put("streaming/"+next+".partial", someWAL(t, next, 2))
	s.put("wals/0000000100000000/"+next+".partial", someWAL(t, next, 3))
	s.put("incoming/"+segmentName(1, 3), someWAL(t, segmentName(1, 3), 1)[:1000]) // still being written
	s.put("incoming/.hidden", []byte("x"))
	s.put("incoming/00000002.history", []byte("1\t0/300000\tno recovery target specified\n"))
	report := s.mustRun(Request{})
	staged := tree(t, filepath.Join(report.Destination, "barman_wal"))
	want := map[string]string{
		name: string(someWAL(t, name, 4)), next: string(someWAL(t, next, 5)), "00000002.history": "1\t0/300000\tno recovery target specified\n",
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(staged))); diff != "" {
		t.Fatal(diff)
	}
	for file, content := range want {
		if staged[file] != content {
			t.Errorf("%s has other content", file)
		}
	}
	if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], segmentName(1, 3)) {
		t.Errorf("%q", report.Warnings)
	}
}

func TestATargetLimitsTheWAL(t *testing.T) {
	s := newSite(t, noTransform+walLine)
	s.putPlain("", asIs)
	for i := 0x21; i <= 0x28; i++ {
		s.wal(segmentName(2, i), asIs)
	}
	for name, test := range map[string]struct {
		target Target
		want   int
	}{
		"immediate": {Target{Immediate: true}, 1},
		"lsn":       {Target{LSN: "0/2200010"}, 3}, // and one more, for a record that goes on in it
		"none":      {Target{}, 8},
	} {
		t.Run(name, func(t *testing.T) {
			if report := s.mustRun(Request{Target: test.target}); report.WALFiles != test.want {
				t.Errorf("%d WAL files, expected %d", report.WALFiles, test.want)
			}
		})
	}
}

func TestAStandbyFindsItsWALInPlace(t *testing.T) {
	s := newSite(t, noTransform)
	s.putPlain("", asIs)
	s.wal(segmentName(2, 0x21), zipped)
	report := s.mustRun(Request{Standby: true})
	got := tree(t, report.Destination)
	if got["pg_wal/"+segmentName(2, 0x21)] != string(segment(segmentName(2, 0x21))) {
		t.Error("the segment is not in pg_wal")
	}
	if _, there := got["barman_wal/"]; there {
		t.Error("there is a staging directory")
	}
	if _, there := got["standby.signal"]; !there {
		t.Error("it is no standby")
	}
}
