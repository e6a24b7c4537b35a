package catalogue

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// taken is a backup of a day whose WAL is that of two segments of a timeline.
func taken(day, segment int, timeline wal.Timeline, state State) *Backup {
	name := func(n int) string { return fmt.Sprintf("%08X00000000%08X", uint32(timeline), n) }
	return &Backup{
		ID: BackupID(fmt.Sprintf("202601%02dT000000", day)), State: state, Timeline: timeline, SegmentSize: wal.DefaultSegmentSize,
		BeginWAL: name(segment), EndWAL: name(segment + 1),
	}
}

func TestOnlyWALThatNobodyNeedsIsReleased(t *testing.T) {
	d := func(day, segment int, timeline wal.Timeline) Remaining {
		return Remaining{Backup: taken(day, segment, timeline, StateDone)}
	}
	kept := func(r Remaining, keep string) Remaining {
		r.Keep = keep
		return r
	}
	edited := func(r Remaining, edit func(*Backup)) Remaining {
		edit(r.Backup)
		return r
	}
	without := func(b *Backup) *Backup {
		b.BeginWAL, b.EndWAL, b.Timeline = "", "", 0
		return b
	}
	// archive is what there is: timeline 1 from segment 1 to 9, timeline 2 from 6.
	archive := strings.Fields(`00000002.history
		1:1 1:2 1:3 1:4 1:5 1:6 1:7 1:8 1:9 2:6 2:7 2:8 2:9 1:3.00000028.backup 1:5.00000028.backup 1:2.partial`)
	tests := []struct {
		name      string
		deleted   *Backup
		remaining []Remaining
		byPolicy  bool
		want      string // what goes
		reason    string
	}{
		{"the oldest", taken(1, 1, 1, StateDone), []Remaining{d(2, 4, 1), d(3, 7, 1)}, false, "1:1 1:2 1:3 1:3.00000028.backup 1:2.partial", ""},
		{"the middle one", taken(2, 4, 1, StateDone), []Remaining{d(1, 1, 1), d(3, 7, 1)}, false, "", "20260101T000000 is older"},
		{"the newest", taken(3, 7, 1, StateDone), []Remaining{d(1, 1, 1), d(2, 4, 1)}, true, "", "20260102T000000 is older"},
		{"the only one", taken(2, 4, 1, StateDone), nil, false, "1:1 1:2 1:3 1:3.00000028.backup 1:2.partial", ""},
		{"a failed one that is the oldest", taken(1, 1, 1, StateFailed), []Remaining{d(2, 4, 1)}, false, "1:1 1:2 1:3 1:3.00000028.backup 1:2.partial", ""},
		{"a failed one that never began, and no other", without(taken(1, 0, 1, StateFailed)), nil, false, "", "it is not known where"},
		{"one beside others that failed", taken(2, 4, 1, StateDone), []Remaining{{Backup: taken(1, 1, 1, StateFailed)}, {Backup: without(taken(3, 0, 1, StateFailed))}}, false,
			"1:1 1:2 1:3 1:3.00000028.backup 1:2.partial", ""},
		{"one that follows a standalone one, by hand", taken(2, 4, 1, StateDone), []Remaining{kept(d(1, 2, 1), KeepStandalone), d(3, 7, 1)}, false, "", "kept standalone"},
		{"one that follows a standalone one, by policy", taken(2, 4, 1, StateDone), []Remaining{kept(d(1, 2, 1), KeepStandalone), d(3, 7, 1)}, true,
			"1:1 1:4 1:5 1:6 1:5.00000028.backup", ""},
		{"one that follows one kept with all WAL", taken(2, 4, 1, StateDone), []Remaining{kept(d(1, 2, 1), KeepFull), d(3, 7, 1)}, true, "", "older and needs it"},
		{"one whose successor is on another timeline", taken(1, 1, 1, StateDone), []Remaining{d(2, 7, 2)}, false,
			"1:1 1:2 1:3 1:4 1:5 1:6 1:7 1:8 1:9 2:6 1:3.00000028.backup 1:5.00000028.backup 1:2.partial", ""},
		{"one beside a later one on its timeline, which leads to the other", taken(1, 1, 1, StateDone), []Remaining{d(2, 7, 2), d(3, 5, 1)}, false, "", ""},
		{"one before others in another order", taken(1, 1, 1, StateDone), []Remaining{d(2, 7, 1), d(3, 4, 1)}, false, "1:1 1:2 1:3 1:3.00000028.backup 1:2.partial", ""},
		{"one before a copy that is under way", taken(2, 4, 1, StateDone), []Remaining{{Backup: taken(1, 2, 1, StateSyncing)}, d(3, 7, 1)}, false, "1:1", ""},
		{"one before another whose end comes before its begin", taken(1, 1, 1, StateDone), []Remaining{edited(d(2, 4, 1), func(b *Backup) { b.BeginWAL = "0000000100000000000000FF" })}, false,
			"", "is in doubt"},
		{"one before another of no possible segment", taken(1, 1, 1, StateDone), []Remaining{edited(d(2, 4, 1), func(b *Backup) { b.BeginWAL, b.EndWAL = "FFFFFFFFFFFFFFFFFFFFFFFF", "FFFFFFFFFFFFFFFFFFFFFFFF" })},
			false, "", "is in doubt"},
		{"one before another that names two timelines", taken(1, 1, 1, StateDone), []Remaining{edited(d(2, 4, 1), func(b *Backup) { b.Timeline = 7 })}, false, "", "is in doubt"},
		{"one before another that names two begins", taken(1, 1, 1, StateDone), []Remaining{edited(d(2, 4, 1), func(b *Backup) { b.BeginLSN = 0x2000028 })}, false, "", "is in doubt"},
		{"one before another that names its begin twice", taken(1, 1, 1, StateDone), []Remaining{edited(d(2, 3, 1), func(b *Backup) { b.BeginLSN = 0x3000028 })}, false, "1:1 1:2 1:2.partial", ""},
		{"one before a standalone one on another timeline, by policy", taken(2, 4, 1, StateDone), []Remaining{kept(d(1, 2, 1), KeepStandalone), d(3, 8, 2)}, true,
			"1:1 1:4 1:5 1:6 1:7 1:8 1:9 2:6 2:7 1:5.00000028.backup", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := ReleasedWAL(test.deleted, test.remaining, test.byPolicy)
			if !strings.Contains(r.Reason, test.reason) || (r.Reason == "") != (test.reason == "") {
				t.Errorf("reason %q, expected %q", r.Reason, test.reason)
			}
			var gone []string
			for _, short := range archive {
				if r.Includes(walName(t, long(short))) {
					gone = append(gone, short)
				}
			}
			if diff := cmp.Diff(test.want, strings.Join(gone, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyWALBeforeTheFirstBackupIsUnneeded(t *testing.T) {
	for _, test := range []struct {
		name    string
		backups []Remaining
		gone    int // segments from the first on
	}{
		{"no backup", nil, 0},
		{"one that failed", []Remaining{{Backup: taken(1, 3, 1, StateFailed)}}, 0},
		{"one that is under way", []Remaining{{Backup: taken(1, 3, 1, StateStarted)}}, 0},
		{"two", []Remaining{{Backup: taken(1, 3, 1, StateDone)}, {Backup: taken(2, 5, 1, StateDone)}}, 2},
		{"one that waits", []Remaining{{Backup: taken(1, 3, 1, StateWaitingForWALs)}}, 2},
		{"one that is under way before", []Remaining{{Backup: taken(1, 2, 1, StateSyncing)}, {Backup: taken(2, 5, 1, StateDone)}}, 1},
	} {
		r := UnneededWAL(test.backups)
		for n := 1; n < 9; n++ {
			if r.Includes(walName(t, long(fmt.Sprintf("1:%d", n)))) != (n <= test.gone) {
				t.Errorf("%s: segment %d", test.name, n)
			}
		}
		if r.Includes(walName(t, "00000002.history")) {
			t.Errorf("%s: a history", test.name)
		}
	}
}

// long is the name of a WAL file from timeline:segment and a suffix.
func long(short string) string {
	timeline, segment, found := strings.Cut(short, ":")
	if !found {
		return short
	}
	return fmt.Sprintf("%08s00000000%08s%s", timeline, segment[:1], segment[1:])
}

func TestLinesOfDeletedFilesAreForgotten(t *testing.T) {
	s := newServer(t)
	index := s.WALPath(walName(t, "00000002.history"))
	index = strings.TrimSuffix(index, "00000002.history") + "xlog.db"
	const stay, damaged, torn = "000000010000000000000002\t10\t1.0\tgzip\n", "what is this\n", "000000010000000000000003\t1"
	write(t, index, "000000010000000000000001\t10\t1.0\tNone\n"+stay+damaged+"000000010000000000000001\t10\t1.0\tNone\n"+torn)
	gone := func(name wal.Name) bool { return name.String() == "000000010000000000000001" }
	if err := s.ForgetWAL(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stay+damaged+torn, read(t, index)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantNoTemporaryFiles(t, s.layout.WALsDirectory)
}

func TestAnnotationsAreWhereEachReleaseLooks(t *testing.T) {
	for name, meta := range map[string]bool{"before 3.13": false, "from 3.13 on": true} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			b, err := s.Create(time.Date(2026, 1, 1, 0, 0, 0, 0, time.Local))
			if err != nil {
				t.Fatal(err)
			}
			where := s.Directory(b.ID) + "/annotations/keep"
			if meta {
				where = s.metaDirectory() + "/" + string(b.ID) + "-keep"
				write(t, s.metaInfoPath(b.ID), read(t, s.Directory(b.ID)+"/backup.info"))
			}
			for _, text := range []string{KeepFull, KeepStandalone, KeepStandalone} {
				if err := s.Annotate(b.ID, AnnotationKeep, text); err != nil {
					t.Fatal(err)
				}
				if got, err := s.Annotation(b.ID, AnnotationKeep); err != nil || got != text || read(t, where) != text {
					t.Errorf("%q, %v", got, err)
				}
			}
			for range 2 {
				if err := s.RemoveAnnotation(b.ID, AnnotationKeep); err != nil {
					t.Fatal(err)
				}
				if got, err := s.Annotation(b.ID, AnnotationKeep); err != nil || got != "" {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
	s := newServer(t)
	wantKind(t, s.Annotate("20260101T000000", AnnotationKeep, KeepFull), sdk.NotFound)
}

func TestARemovedBackupLeavesNothing(t *testing.T) {
	s := newServer(t)
	b, err := s.Create(time.Date(2026, 1, 1, 0, 0, 0, 0, time.Local))
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.Directory(b.ID)+"/data/base/1/2", "left")
	if err := s.Annotate(b.ID, AnnotationDelete, Deleting); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Remove(b.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(s.Directory(b.ID)); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
	if ids, err := s.IDs(); err != nil || len(ids) > 0 {
		t.Errorf("%v, %v", ids, err)
	}
}
