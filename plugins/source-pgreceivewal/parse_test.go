package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pglogrepl"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
	"github.com/barman-go/barman/sdk/schema"
	"github.com/barman-go/barman/sdk/wal"
)

func TestResumingFollowsFromTheFilesInTheDirectory(t *testing.T) {
	const finished, unfinished = int64(segmentSize), int64(0)
	for _, test := range []struct {
		name  string
		files map[string]int64
		want  string // empty for nothing found
		kind  sdk.ErrorKind
	}{
		{name: "nothing"},
		{name: "strangers", files: map[string]int64{"notes.txt": 3, "00000002.history": 10, "00000002.history.tmp": 1}},
		{name: "finished only", files: map[string]int64{"000000010000000000000004": finished, "000000010000000000000005": finished}, want: "000000010000000000000006"},
		{name: "unfinished after finished", files: map[string]int64{"000000010000000000000004": finished, "000000010000000000000005.partial": 77}, want: "000000010000000000000005"},
		{name: "killed before the name was given", files: map[string]int64{"000000010000000000000005.partial": finished, "000000010000000000000006.partial": unfinished}, want: "000000010000000000000005"},
		{name: "killed after the name was given", files: map[string]int64{"000000010000000000000005": finished, "000000010000000000000006.partial": unfinished}, want: "000000010000000000000006"},
		{name: "unfinished of the old timeline", files: map[string]int64{"000000010000000000000005.partial": finished, "000000020000000000000005.partial": finished}, want: "000000020000000000000005"},
		{name: "copy of a finished one", files: map[string]int64{"000000010000000000000005": finished, "000000010000000000000005.partial": finished}, want: "000000010000000000000006"},
		{name: "end of a log", files: map[string]int64{"000000010000000000000FFF": finished}, want: "000000010000000100000000"},
		{name: "cut segment", files: map[string]int64{"000000010000000000000005": 5}, kind: sdk.Corrupt},
		{name: "name beyond the segment size", files: map[string]int64{"000000010000000000001000": finished}, kind: sdk.Invalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, size := range test.files {
				if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := readTrace(dir, segmentSize)
			if sdk.KindOf(err) != test.kind || (err != nil) != (test.kind != 0) {
				t.Fatalf("kind %v of %v", sdk.KindOf(err), err)
			}
			if got.found != (test.want != "") || got.found && got.next.Name(segmentSize) != test.want {
				t.Errorf("found %v: %s, expected %q", got.found, got.next.Name(segmentSize), test.want)
			}
		})
	}
}

func directory(t testing.TB) *walDirectory {
	dir, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.close() })
	return dir
}

func TestWhatAPartialHoldsStaysWhenItIsOpened(t *testing.T) {
	dir := directory(t)
	segment := wal.Segment{Timeline: 1, Number: 5}
	path := filepath.Join(dir.path, segment.Name(segmentSize)+partialSuffix)
	if err := os.WriteFile(path, []byte("the only copy"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := openPartial(dir, segment, segmentSize)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := append([]byte("the only copy"), make([]byte, int(segmentSize)-13)...); !bytes.Equal(got, want) {
		t.Errorf("%d bytes beginning with %q", len(got), got[:20])
	}
}

func TestFinishedSegmentIsNeverOverwritten(t *testing.T) {
	for _, test := range []struct {
		name, there, received string
		kind                  sdk.ErrorKind
	}{
		{"the same again", "WAL", "WAL", sdk.Unknown},
		{"something else", "WAL", "LAW", sdk.Corrupt},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := directory(t)
			segment := wal.Segment{Timeline: 1, Number: 5}
			final := filepath.Join(dir.path, segment.Name(segmentSize))
			before := append([]byte(test.there), make([]byte, int(segmentSize)-3)...)
			if err := os.WriteFile(final, before, 0o600); err != nil {
				t.Fatal(err)
			}
			p, err := openPartial(dir, segment, segmentSize)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.write([]byte(test.received), 0); err != nil {
				t.Fatal(err)
			}
			if err := p.finish(); sdk.KindOf(err) != test.kind || (err != nil) != (test.kind != sdk.Unknown) {
				t.Errorf("kind %v of %v", sdk.KindOf(err), err)
			}
			if after, err := os.ReadFile(final); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the segment has changed: %v", err)
			}
			_, err = os.Stat(final + partialSuffix)
			if kept := err == nil; kept != (test.kind == sdk.Corrupt) {
				t.Errorf("what was received is kept: %v", kept)
			}
		})
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	dir := directory(t)
	segment := wal.Segment{Timeline: 1, Number: 5}
	target := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(dir.path, segment.Name(segmentSize)+partialSuffix)); err != nil {
		t.Fatal(err)
	}
	if _, err := openPartial(dir, segment, segmentSize); err == nil {
		t.Error("a link was opened")
	}
}

func TestFullDiskPasses(t *testing.T) {
	if err := outOfSpace(&os.PathError{Err: syscall.ENOSPC}); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("kind %v of %v", sdk.KindOf(err), err)
	}
}

func TestHistoryOfAnotherServerIsRefused(t *testing.T) {
	dir := directory(t)
	rows := []replication.Row{{"00000002.history", "1\t0/3000000\tno recovery target specified\n"}}
	content, err := parseHistory(2, rows)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := storeHistory(dir, 2, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := storeHistory(dir, 2, []byte("1\t0/4000000\tother\n")); sdk.KindOf(err) != sdk.Corrupt {
		t.Errorf("kind %v of %v", sdk.KindOf(err), err)
	}
	for _, rows := range [][]replication.Row{nil, {{"x"}}, {{"../escape", "1\t0/3000000\tx\n"}}, {{"00000003.history", "1\t0/3000000\tx\n"}}, {{"00000002.history", "garbage"}}} {
		if _, err := parseHistory(2, rows); err == nil {
			t.Errorf("%q was accepted", rows)
		}
	}
}

func TestConfigIsValidated(t *testing.T) {
	config := &Config{Slot: "Bad-Slot", CreateSlot: "perhaps", StatusInterval: time.Hour, ReceiverTimeout: time.Millisecond}
	var paths []string
	for _, d := range config.Validate() {
		paths = append(paths, d.Path)
	}
	if diff := cmp.Diff([]string{"slot", "create_slot", "status_interval", "receiver_timeout"}, paths); diff != "" {
		t.Error(diff)
	}
	if _, err := schema.Of(config); err != nil {
		t.Error(err)
	}
}

func TestStatusUpdateClaimsNothingAsApplied(t *testing.T) {
	got := statusUpdate(0x0102, 0x0101, time.Date(2000, 1, 1, 0, 0, 1, 0, time.UTC), true)
	want := []byte{'r', 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 1}
	if !bytes.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestGapInTheStreamIsCorrupt(t *testing.T) {
	r := &receiver{dir: directory(t), size: segmentSize, report: func(sdk.WALProgress) {}, timeline: 1, written: 0x500000, flushed: 0x500000}
	if err := r.message(xlogData(0x500000, []byte("abc"))); err != nil {
		t.Fatal(err)
	}
	defer r.leaveSegment()
	for _, start := range []uint64{0x500004, 0x500000} {
		if err := r.message(xlogData(start, []byte("abc"))); sdk.KindOf(err) != sdk.Corrupt {
			t.Errorf("%x: kind %v of %v", start, sdk.KindOf(err), err)
		}
	}
	if r.written != 0x500003 || r.flushed != 0x500000 {
		t.Errorf("written %s, flushed %s", r.written, r.flushed)
	}
}

func xlogData(start uint64, data []byte) []byte {
	message := make([]byte, 25, 25+len(data))
	message[0] = pglogrepl.XLogDataByteID
	for i := range 8 {
		message[8-i] = byte(start >> (8 * i))
	}
	return append(message, data...)
}

func FuzzMessage(f *testing.F) {
	f.Add(xlogData(0x500000, []byte("abc")))
	f.Add(append([]byte{pglogrepl.PrimaryKeepaliveMessageByteID}, make([]byte, 17)...))
	f.Add([]byte{})
	dir := directory(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 18 && body[17] != 0 {
			return // asks for an answer, and there is no connection here
		}
		r := &receiver{dir: dir, size: segmentSize, report: func(sdk.WALProgress) {}, timeline: 1, written: 0x500000, flushed: 0x500000}
		err := r.message(body)
		if err != nil && r.written != 0x500000 {
			t.Errorf("%v, and yet written up to %s", err, r.written)
		}
		if err := r.leaveSegment(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzSegmentSize(f *testing.F) {
	f.Add("16MB")
	f.Add("1GB")
	f.Fuzz(func(t *testing.T, text string) {
		size, err := parseSegmentSize(text)
		if err == nil && size.Valid() && (size < wal.MinSegmentSize || size > wal.MaxSegmentSize) {
			t.Errorf("%q is %d", text, size)
		}
	})
}

func TestReadmeListsTheSettings(t *testing.T) {
	settings, err := schema.Of(Config{})
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := schema.Markdown(settings); !strings.Contains(string(readme), want) {
		t.Errorf("README.md lacks this table:\n%s", want)
	}
}
