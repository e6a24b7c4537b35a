package catalogue

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

const mebibyte = wal.SegmentSize(1 << 20)

// world is an archive, described by segment numbers.
type world struct {
	size      wal.SegmentSize // 16 MiB when zero
	histories string          // lines of "child: parent@switch, parent@switch"; positions in segments
	backups   string          // lines of "ID timeline begin-end [STATE] [alone]"
	archive   string          // lines of "timeline: first-last first-last number"
	streaming string
	incoming  string
}

func (w world) segmentSize() wal.SegmentSize {
	if w.size == 0 {
		return wal.DefaultSegmentSize
	}
	return w.size
}

// position is in the middle of a segment, or "5" + "." its beginning.
func (w world) position(t *testing.T, text string) wal.LSN {
	t.Helper()
	number, boundary := strings.CutSuffix(text, ".")
	var n uint64
	scan(t, number, "%d", &n)
	lsn := wal.Segment{Number: n}.Start(w.segmentSize())
	if !boundary {
		lsn += 100
	}
	return lsn
}

func scan(t *testing.T, text, format string, into ...any) {
	t.Helper()
	if _, err := fmt.Sscanf(text, format, into...); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

func lines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func (w world) timelines(t *testing.T) Timelines {
	t.Helper()
	timelines := Timelines{}
	for _, line := range lines(w.histories) {
		child, entries, _ := strings.Cut(line, ":")
		var n wal.Timeline
		scan(t, child, "%d", &n)
		for entry := range strings.SplitSeq(entries, ",") {
			parent, at, _ := strings.Cut(strings.TrimSpace(entry), "@")
			var p wal.Timeline
			scan(t, parent, "%d", &p)
			timelines[n] = append(timelines[n], wal.HistoryEntry{Parent: p, Switch: w.position(t, at)})
		}
	}
	return timelines
}

// segments calls put for each of the segments that text lists.
func (w world) segments(t *testing.T, text string, put func(name wal.Name)) {
	t.Helper()
	for _, line := range lines(text) {
		timeline, runs, _ := strings.Cut(line, ":")
		s := wal.Segment{}
		scan(t, timeline, "%d", &s.Timeline)
		for run := range strings.FieldsSeq(runs) {
			first, last, several := strings.Cut(run, "-")
			if !several {
				last = first
			}
			var to uint64
			scan(t, first, "%d", &s.Number)
			for scan(t, last, "%d", &to); s.Number <= to; s.Number++ {
				put(walName(t, s.Name(w.segmentSize())))
			}
		}
	}
}

// build makes the archive on disk.
func (w world) build(t *testing.T) *Server {
	t.Helper()
	s := newServer(t)
	for i, line := range lines(w.backups) {
		fields := strings.Fields(line)
		begin, end := wal.Segment{}, wal.Segment{}
		scan(t, fields[1], "%d", &begin.Timeline)
		scan(t, fields[2], "%d-%d", &begin.Number, &end.Number)
		end.Timeline = begin.Timeline
		b := &Backup{
			ID: BackupID(fields[0]), State: StateDone, Server: "main", Timeline: begin.Timeline, SegmentSize: w.segmentSize(),
			BeginWAL: begin.Name(w.segmentSize()), EndWAL: end.Name(w.segmentSize()),
			BeginLSN: begin.Start(w.segmentSize()) + 40, EndLSN: end.Start(w.segmentSize()) + 80,
			BeginTime: time.Unix(int64(1000*i), 0), EndTime: time.Unix(int64(1000*i+10), 0),
		}
		if slices.Contains(fields, "WAITING_FOR_WALS") {
			b.State = StateWaitingForWALs
		}
		if slices.Contains(fields, "FAILED") {
			b.State = StateFailed
		}
		if err := s.Save(b); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(fields, "alone") {
			if err := s.Annotate(b.ID, AnnotationKeep, KeepStandalone); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.segments(t, w.archive, func(name wal.Name) { write(t, s.WALPath(name), "x") })
	w.segments(t, w.streaming, func(name wal.Name) { write(t, filepath.Join(s.Layout().StreamingDirectory, name.String()), "x") })
	w.segments(t, w.incoming, func(name wal.Name) { write(t, filepath.Join(s.Layout().IncomingDirectory, name.String()), "x") })
	return s
}

const (
	backupA = "20260101T000000"
	backupB = "20260102T000000"
	backupC = "20260103T000000"
)

// letters makes results readable.
var letters = strings.NewReplacer(backupA, "A", backupB, "B", backupC, "C")

// told is a continuity in the words of these tests.
func told(c Continuity, size wal.SegmentSize) string {
	number := func(name string) uint64 {
		s, err := wal.ParseSegment(name, size)
		if err != nil {
			return 0
		}
		return s.Number
	}
	var all []string
	for _, gap := range c.Gaps {
		if last := number(gap.Last); last-number(gap.First)+1 != gap.Count {
			all = append(all, fmt.Sprintf("wrong count %d", gap.Count))
		}
		all = append(all, fmt.Sprintf("%d: %d-%d missed by %v", gap.Timeline, number(gap.First), number(gap.Last), gap.Backups))
	}
	for _, b := range c.Backups {
		state := "newest"
		if !b.Newest {
			state = fmt.Sprintf("%d missing", number(b.Missing))
		}
		if !b.Usable {
			state += ", unusable"
		}
		all = append(all, fmt.Sprintf("%s to %d: until %d of %d, %s", b.ID, b.Timeline, uint64(b.Until)/uint64(size), b.UntilTimeline, state))
	}
	return letters.Replace(strings.Join(all, "\n"))
}

func TestGapsAreFoundAndTheirEffectIsTold(t *testing.T) {
	for _, test := range []struct {
		name string
		world
		want string
	}{
		{"whole", world{backups: backupA + " 1 2-3", archive: "1: 1-9"}, "A to 1: until 10 of 1, newest"},
		{"older than the backups", world{backups: backupA + " 1 5-6", archive: "1: 1 3 5-7"}, "A to 1: until 8 of 1, newest"},
		{"one segment", world{backups: backupA + " 1 2-3", archive: "1: 2-4 6-9"}, `
			1: 5-5 missed by [A]
			A to 1: until 5 of 1, 5 missing`},
		{"two gaps around a backup", world{backups: backupA + " 1 2-3\n" + backupB + " 1 10-11", archive: "1: 2-4 7-12 15"}, `
			1: 5-6 missed by [A]
			1: 13-14 missed by [A B]
			A to 1: until 5 of 1, 5 missing
			B to 1: until 13 of 1, 13 missing`},
		{"later backup is not affected", world{backups: backupA + " 1 2-3\n" + backupB + " 1 10-11", archive: "1: 2-4 7-12"}, `
			1: 5-6 missed by [A]
			A to 1: until 5 of 1, 5 missing
			B to 1: until 13 of 1, newest`},
		{"backup's begin", world{backups: backupA + " 1 2-3", archive: "1: 4-5"}, `
			1: 2-3 missed by [A]
			A to 1: until 2 of 1, 2 missing, unusable`},
		{"everything", world{backups: backupA + " 1 2-3"}, `
			1: 2-3 missed by [A]
			A to 1: until 2 of 1, 2 missing, unusable`},
		{"nothing came yet", world{backups: backupA + " 1 2-3 WAITING_FOR_WALS", archive: "1: 1"}, "A to 1: until 2 of 1, newest, unusable"},
		{"its end has not come yet", world{backups: backupA + " 1 2-4 WAITING_FOR_WALS", archive: "1: 1-3"}, "A to 1: until 4 of 1, newest, unusable"},
		{"failed backups need nothing", world{backups: backupA + " 1 2-3 FAILED\n" + backupB + " 1 5-6", archive: "1: 5-7"}, "B to 1: until 8 of 1, newest"},
		{"waiting to be archived", world{backups: backupA + " 1 2-3", archive: "1: 2-4", streaming: "1: 5", incoming: "1: 6-7"}, "A to 1: until 8 of 1, newest"},
		{"behind what waits", world{backups: backupA + " 1 2-3", archive: "1: 2-4", streaming: "1: 6"}, `
			1: 5-5 missed by [A]
			A to 1: until 5 of 1, 5 missing`},
		{"kept alone", world{backups: backupA + " 1 2-3 alone\n" + backupB + " 1 10-11", archive: "1: 2-3 10-12"}, `
			A to 1: until 4 of 1, newest
			B to 1: until 13 of 1, newest`},
		{"kept alone and not whole", world{backups: backupA + " 1 2-4 alone\n" + backupB + " 1 10-11", archive: "1: 2 4 10-12"}, `
			1: 3-3 missed by [A]
			A to 1: until 3 of 1, 3 missing, unusable
			B to 1: until 13 of 1, newest`},

		{"promotion", world{histories: "2: 1@6", backups: backupA + " 1 2-3", archive: "1: 2-5\n2: 6-9"}, "A to 2: until 10 of 2, newest"},
		{"promotion at a boundary", world{histories: "2: 1@6.", backups: backupA + " 1 2-3", archive: "1: 2-5\n2: 6-9"}, "A to 2: until 10 of 2, newest"},
		{"parent's end is lost", world{histories: "2: 1@6", backups: backupA + " 1 2-3\n" + backupB + " 2 7-8", archive: "1: 2-3\n2: 6-9"}, `
			1: 4-5 missed by [A]
			A to 2: until 4 of 1, 4 missing
			B to 2: until 10 of 2, newest`},
		{"child's begin is lost", world{histories: "2: 1@6", backups: backupA + " 1 2-3\n" + backupB + " 2 8-9", archive: "1: 2-6\n2: 8-9"}, `
			2: 6-7 missed by [A]
			A to 2: until 6 of 1, 6 missing
			B to 2: until 10 of 2, newest`},
		{"parent went on with a gap", world{histories: "2: 1@6", backups: backupA + " 1 2-3", archive: "1: 2-7 9\n2: 6-9"}, `
			1: 8-8 missed by [A]
			A to 2: until 10 of 2, newest`},
		{"promotion before the backup's end", world{histories: "2: 1@4", backups: backupA + " 1 2-6", archive: "1: 2-7\n2: 9"}, "A to 1: until 8 of 1, newest"},
		{"promotion whose WAL has not come", world{histories: "2: 1@6", backups: backupA + " 1 2-3", archive: "1: 2-4"}, "A to 1: until 5 of 1, newest"},
		{"two branches", world{histories: "2: 1@6\n3: 1@8", backups: backupA + " 1 2-3", archive: "1: 2-7\n2: 6 8\n3: 8-9"}, `
			2: 7-7 missed by [A]
			A to 3: until 10 of 3, newest`},
		{"grandchild", world{histories: "2: 1@6\n3: 1@6, 2@8", backups: backupA + " 1 2-3\n" + backupB + " 2 6-6", archive: "1: 2-5\n2: 6\n3: 8-9"}, `
			2: 7-7 missed by [A B]
			A to 3: until 7 of 2, 7 missing
			B to 3: until 7 of 2, 7 missing`},
		{"two promotions within a segment", world{histories: "2: 1@6\n3: 1@6, 2@6", backups: backupA + " 1 2-3", archive: "1: 2-5\n2: 6\n3: 6-7"}, "A to 3: until 8 of 3, newest"},
		{"history that contradicts itself", world{histories: "3: 1@8, 2@6", backups: backupA + " 1 2-3", archive: "1: 2-7\n3: 8-9"}, "A to 3: until 10 of 3, newest"},
		{"WAL of a child from before it began", world{histories: "2: 1@6", backups: backupA + " 1 2-3", archive: "1: 2-4\n2: 5"}, "A to 1: until 5 of 1, newest"},
		{"promotion behind a backup that is kept alone", world{histories: "2: 1@6", backups: backupA + " 1 2-3 alone", archive: "1: 2-3\n2: 6-7"}, "A to 1: until 4 of 1, newest"},
		{"unrelated timeline", world{histories: "3: 2@4", backups: backupA + " 1 2-3", archive: "1: 2-4\n3: 4 6"}, "A to 1: until 5 of 1, newest"},

		{"segments of 1 MB over a log boundary", world{size: mebibyte, backups: backupA + " 1 4090-4091", archive: "1: 4090-4094 4098-4099"}, `
			1: 4095-4097 missed by [A]
			A to 1: until 4095 of 1, 4095 missing`},
		{"segments of 16 MB over a log boundary", world{backups: backupA + " 1 253-254", archive: "1: 253-255 257-258"}, `
			1: 256-256 missed by [A]
			A to 1: until 256 of 1, 256 missing`},
		{"segments of 1 GB over a log boundary", world{size: wal.MaxSegmentSize, backups: backupA + " 1 2-3", archive: "1: 2 4-9"}, `
			1: 3-3 missed by [A]
			A to 1: until 3 of 1, 3 missing, unusable`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := test.build(t)
			c, err := s.Continuity(ContinuityOptions{Timelines: test.timelines(t)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Join(lines(test.want), "\n"), told(c, test.segmentSize())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEmptyPartialAndMisplacedFilesAreNoSegments(t *testing.T) {
	w := world{backups: backupA + " 1 2-2", archive: "1: 2-9"}
	s := w.build(t)
	segment := func(n uint64) string { return s.WALPath(walName(t, wal.Segment{Timeline: 1, Number: n}.Name(0))) }
	write(t, segment(4), "")
	if err := os.Rename(segment(5), segment(5)+".partial"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(segment(6)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(segment(6), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(segment(8), filepath.Join(s.Layout().WALsDirectory, filepath.Base(segment(8)))); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(s.Layout().WALsDirectory, "0000000100000001", filepath.Base(segment(7)))
	write(t, other, "x")
	if err := os.Remove(segment(7)); err != nil {
		t.Fatal(err)
	}
	// Lower case is the same segment.
	if err := os.Rename(segment(9), filepath.Join(filepath.Dir(segment(9)), "00000001000000000000000a")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.Layout().IncomingDirectory, filepath.Base(segment(4))), "")
	write(t, filepath.Join(s.Layout().StreamingDirectory, filepath.Base(segment(6))+".partial"), "x")
	c, err := s.Continuity(ContinuityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"1: 4-9 missed by [A]", "A to 1: until 4 of 1, 4 missing"}
	if diff := cmp.Diff(strings.Join(want, "\n"), told(c, wal.DefaultSegmentSize)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c.Missing() != 6 || c.Streaming+c.Incoming != 0 {
		t.Errorf("%d missing, %d and %d waiting", c.Missing(), c.Streaming, c.Incoming)
	}
}

func TestAnArchiveElsewhereIsJudgedByItsIndex(t *testing.T) {
	w := world{backups: backupA + " 1 2-2"}
	s := w.build(t)
	w.segments(t, "1: 2-3 5", func(name wal.Name) {
		if err := s.Append(t.Context(), WALRecord{Name: name, Size: 1, ModTime: time.Unix(1000, 0)}); err != nil {
			t.Fatal(err)
		}
	})
	s.layout.WALElsewhere = true
	c, err := s.Continuity(ContinuityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := told(c, wal.DefaultSegmentSize); got != "1: 4-4 missed by [A]\nA to 1: until 4 of 1, 4 missing" {
		t.Error(got)
	}
}

func TestAWALFileOfAnotherClusterStopsTheSearchForGaps(t *testing.T) {
	w := world{backups: backupA + " 1 2-2", archive: "1: 2-3"}
	s := w.build(t)
	addWAL(t, s, "000000010000000000000FFF")
	_, err := s.Continuity(ContinuityOptions{})
	wantKind(t, err, sdk.Corrupt, "000000010000000000000FFF")
}

func TestDamagedBackupsHideNoGaps(t *testing.T) {
	w := world{backups: backupA + " 1 2-2", archive: "1: 2 4"}
	s := w.build(t)
	write(t, filepath.Join(s.Directory(backupB), infoName), "nonsense\n")
	backwards := &Backup{ID: backupC, State: StateDone, Server: "main", BeginWAL: "000000010000000000000003", EndWAL: "000000010000000000000002"}
	if err := s.Save(backwards); err != nil {
		t.Fatal(err)
	}
	c, err := s.Continuity(ContinuityOptions{})
	wantKind(t, err, sdk.Corrupt, backupB, backupC)
	if len(c.Gaps) != 1 {
		t.Errorf("%+v", c)
	}
}

func TestATimelineWithoutItsHistoryIsNamed(t *testing.T) {
	w := world{backups: backupA + " 1 2-2", archive: "1: 2\n2: 3\n3: 4", histories: "3: 1@4"}
	c, err := w.build(t).Continuity(ContinuityOptions{Timelines: w.timelines(t)})
	if err != nil || !slices.Equal(c.NoHistory, []wal.Timeline{2}) {
		t.Error(c.NoHistory, err)
	}
	w.backups = backupA + " 2 3-3"
	if c, err := w.build(t).Continuity(ContinuityOptions{Timelines: w.timelines(t)}); err != nil || len(c.NoHistory) != 0 {
		t.Error("no backup of an older timeline:", c.NoHistory, err)
	}
}

func TestWithoutBackupsThereIsNothingToMiss(t *testing.T) {
	c, err := world{archive: "1: 2 4"}.build(t).Continuity(ContinuityOptions{})
	if err != nil || len(c.Gaps)+len(c.Checked)+len(c.Backups) != 0 {
		t.Error(c, err)
	}
}

func TestReachableTimelinesLeftBehindTheBackupsEnd(t *testing.T) {
	w := world{histories: "2: 1@5\n3: 1@5, 2@7\n4: 1@9\n6: 5@5"}
	timelines := w.timelines(t)
	for at, want := range map[string][]wal.Timeline{"4": {2, 3, 4}, "5": {2, 3, 4}, "6": {4}, "10": nil} {
		if got := timelines.Reachable(1, w.position(t, at)); !slices.Equal(got, want) {
			t.Errorf("from %s: %v, want %v", at, got, want)
		}
	}
	if got := timelines.Reachable(2, w.position(t, "6")); !slices.Equal(got, []wal.Timeline{3}) {
		t.Error(got)
	}
}

func TestHistoriesAreReadPlainAndCompressedInTheArchiveAndBeforeIt(t *testing.T) {
	w := world{backups: backupA + " 1 2-3", archive: "1: 2-5\n2: 6-7\n3: 8"}
	s := w.build(t)
	var compressed bytes.Buffer
	z, err := codec.NewWriter(codec.Zstd, "", &compressed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(z, "1\t0/6000064\tno recovery target specified\n"); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, s.WALPath(walName(t, "00000002.history")), compressed.String())
	write(t, s.WALPath(walName(t, "00000009.history")), "neither history nor compressed")
	write(t, filepath.Join(s.Layout().IncomingDirectory, "00000003.history"), "1\t0/6000064\tx\n2\t0/8000064\tx\n")
	write(t, filepath.Join(s.Layout().IncomingDirectory, "00000004.history"), "1\t0/60")

	names, err := s.HistoryFiles()
	if err != nil || fmt.Sprint(names) != "[00000002.history 00000009.history]" {
		t.Fatal(names, err)
	}
	entries, err := s.ReadHistory(names[0])
	if err != nil || len(entries) != 1 || entries[0].Parent != 1 || entries[0].Switch != 0x6000064 {
		t.Fatal(entries, err)
	}
	_, err = s.ReadHistory(names[1])
	wantKind(t, err, sdk.Corrupt, "00000009.history")
	_, err = s.ReadHistory(walName(t, "00000008.history"))
	wantKind(t, err, sdk.NotFound)

	c, err := s.Continuity(ContinuityOptions{Timelines: Timelines{2: entries}})
	if err != nil {
		t.Fatal(err)
	}
	if got := told(c, wal.DefaultSegmentSize); got != "A to 3: until 9 of 3, newest" {
		t.Error(got)
	}
}

func FuzzMissingSegments(f *testing.F) {
	f.Add([]byte{1, 2, 5}, uint16(0), uint16(9))
	f.Add([]byte{255, 0}, uint16(4000), uint16(4200))
	f.Fuzz(func(t *testing.T, steps []byte, first, end uint16) {
		set, known, at := segmentSet{}, map[uint64]bool{}, uint64(0)
		for _, step := range steps {
			at += 17 * uint64(step)
			set.add(at)
			known[at] = true
		}
		if newest, any := set.newest(); any != (len(steps) > 0) || newest != at {
			t.Fatalf("newest %d, %v; want %d", newest, any, at)
		}
		before := uint64(first)
		for from, to := range set.missing(uint64(first), uint64(end)) {
			if from < before || from >= to || to > uint64(end) {
				t.Fatalf("run %d to %d behind %d", from, to, before)
			}
			for ; before < from; before++ {
				if !known[before] {
					t.Fatalf("%d is missing and not told", before)
				}
			}
			for ; before < to; before++ {
				if known[before] {
					t.Fatalf("%d is there and told missing", before)
				}
			}
		}
		for ; before < uint64(end); before++ {
			if !known[before] {
				t.Fatalf("%d is missing and not told", before)
			}
		}
	})
}
