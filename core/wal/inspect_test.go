package wal

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk/wal"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func TestWhatCanNeverBeRightIsSetAside(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	good := s.segment("incoming", "00000001000000000000000A")
	s.put("incoming", "some file", []byte("x"))
	s.put("streaming", "00000001000000000000000C.gz", []byte("x"))
	s.put("incoming", "00000001000000000000000D", bytes.Repeat([]byte("garbage "), 1<<17))
	s.put("incoming", "00000001000000000000000E", segmentOf("00000001000000000000000F", testSystemID, 1)) // another position
	s.put("incoming", "00000001000000000000000F", append(segmentOf("00000001000000000000000F", testSystemID, 1), 0))
	s.put("incoming", "00000003.history", []byte("this is no history\n"))
	s.put("incoming", "000000010000000000000001.00000028.backup", []byte("nor a backup history\n"))
	damaged := tool(t, segmentOf("000000010000000000000010", testSystemID, 1), "gzip", "-c")
	damaged[len(damaged)/2] ^= 0xff
	s.put("incoming", "000000010000000000000010", damaged)
	if err := os.Mkdir(filepath.Join(s.dir, "incoming", "000000010000000000000011"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(s.dir, "incoming", "000000010000000000000012")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(s.dir, "incoming", "000000010000000000000013"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.put("incoming", ".hidden", []byte("x"))
	s.put("incoming", "000000010000000000000014.tmp", []byte("x"))

	report := s.archive()
	want := []string{
		"000000010000000000000001.00000028.backup", "00000001000000000000000C.gz", "00000001000000000000000D", "00000001000000000000000E", "00000001000000000000000F",
		"000000010000000000000010", "000000010000000000000011", "000000010000000000000012", "000000010000000000000013", "00000003.history", "some file",
	}
	if diff := cmp.Diff(want, withSuffix(s.files("errors"), "unknown")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{".hidden", "000000010000000000000014.tmp"}, s.files("incoming")); diff != "" {
		t.Error(diff)
	}
	if report.Archived != 1 || len(report.Problems) != len(want) {
		t.Errorf("%+v", report)
	}
	if diff := cmp.Diff([]string{"00000001000000000000000A"}, s.recorded()); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(s.stored("00000001000000000000000A"), good) {
		t.Error("the good one is not stored")
	}
	for _, problem := range report.Problems {
		if _, err := os.Lstat(problem.Path); err != nil || problem.Reason == "" {
			t.Errorf("%+v: %v", problem, err)
		}
	}
}

func TestWhatIsStillWrittenIsLeft(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	whole := segmentOf("00000001000000000000000A", testSystemID, 1)
	half := map[string][]byte{
		"00000001000000000000000A":                 whole[:len(whole)/2],
		"00000001000000000000000B":                 nil,
		"00000001000000000000000C":                 make([]byte, testSize),
		"00000001000000000000000D":                 {0x10, 0xd1},
		"000000010000000000000010":                 bytes.TrimSuffix(tool(t, segmentOf("000000010000000000000010", testSystemID, 1), "gzip", "-c"), []byte("\x00")),
		"000000010000000000000011":                 tool(t, segmentOf("000000010000000000000011", testSystemID, 1)[:1000], "zstd", "-c"),
		"000000010000000000000012":                 tool(t, segmentOf("000000010000000000000012", testSystemID, 1), "xz", "-c")[:100],
		"000000010000000000000013":                 tool(t, segmentOf("000000010000000000000013", testSystemID, 1), "lz4", "-c")[:3000],
		"000000010000000000000014":                 tool(t, segmentOf("000000010000000000000014", testSystemID, 1), "bzip2", "-c")[:3000],
		"00000002.history":                         []byte("1\t0/3000"),
		"00000001000000000000000A.00000028.backup": []byte("START WAL LOCATION: 0/A000028 (fi"),
	}
	for name, content := range half {
		s.put("incoming", name, content)
	}
	report := s.archive()
	if len(report.Problems) != len(half) || report.Archived > 0 {
		t.Errorf("%+v", report)
	}
	for _, problem := range report.Problems {
		if problem.Outcome != Left {
			t.Errorf("%+v", problem)
		}
	}
	for name, content := range half {
		if got, err := os.ReadFile(filepath.Join(s.dir, "incoming", name)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Once they are complete they are archived.
	s.put("incoming", "00000001000000000000000A", whole)
	if report := s.archive(); report.Archived != 1 {
		t.Errorf("%+v", report)
	}
}

func TestWALOfAnotherClusterIsRefused(t *testing.T) {
	const other = 42
	for name, prepare := range map[string]func(s *site){
		"by identity.json": func(s *site) {
			if err := s.Catalogue.WriteIdentity(catalogue.Identity{SystemID: "7710531007977330367", Version: "15"}); err != nil {
				t.Fatal(err)
			}
		},
		"by the archive": func(s *site) {
			s.segment("incoming", "000000010000000000000001")
			s.archive()
		},
		"by the first file": func(s *site) { s.segment("incoming", "000000010000000000000001") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, t.TempDir(), zstdLine)
			prepare(s)
			s.put("incoming", "00000001000000000000000A", segmentOf("00000001000000000000000A", other, 1))
			s.put("incoming", "00000001000000000000000B", tool(t, segmentOf("00000001000000000000000B", other, 1), "gzip", "-c"))
			s.segment("incoming", "00000001000000000000000C")
			report := s.archive()
			if diff := cmp.Diff([]string{"00000001000000000000000A", "00000001000000000000000B"}, withSuffix(s.files("errors"), "unknown")); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(report.Problems[0].Reason, "system identifier 42") {
				t.Errorf("reason: %s", report.Problems[0].Reason)
			}
			if !bytes.Equal(s.stored("00000001000000000000000C"), segmentOf("00000001000000000000000C", testSystemID, 1)) {
				t.Error("the right one is not archived")
			}
		})
	}
}

func TestPartialSegmentsOfTheNewestTimelineAreTheReceivers(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	s.segment("streaming", "000000010000000000000004")
	old := s.segment("streaming", "000000010000000000000005.partial")
	// The receiver makes the next file before it gives the finished one its name.
	s.segment("streaming", "000000020000000000000005.partial")
	s.put("streaming", "000000020000000000000006.partial", nil)
	s.put("streaming", "00000002.history", []byte("1\t0/500100\tpromoted\n"))
	s.archive()
	if diff := cmp.Diff([]string{"000000020000000000000005.partial", "000000020000000000000006.partial"}, s.files("streaming")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"000000010000000000000004", "000000010000000000000005.partial", "00000002.history"}, s.recorded()); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(s.stored("000000010000000000000005.partial"), old) {
		t.Error("the old timeline's last segment is not what was received")
	}
}

func TestTheLastSegmentOfAnIdleServerIsArchived(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	s.segment("streaming", "000000010000000000000004")
	if report := s.archive(); report.Archived != 1 {
		t.Errorf("%+v", report)
	}
}

func TestAnEmptyTraceOfAnOldTimelineGoesInTheEnd(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	s.put("streaming", "000000010000000000000005.partial", nil)
	s.segment("streaming", "000000020000000000000005.partial")
	s.archive()
	if len(s.files("streaming")) != 2 {
		t.Error("it went at once: the receiver may be about to remove it")
	}
	past := time.Now().Add(-2 * staleAfter)
	if err := os.Chtimes(filepath.Join(s.dir, "streaming", "000000010000000000000005.partial"), past, past); err != nil {
		t.Fatal(err)
	}
	s.archive()
	if diff := cmp.Diff([]string{"000000020000000000000005.partial"}, s.files("streaming")); diff != "" {
		t.Error(diff)
	}
}

func TestSegmentsOfBigEndianMachinesAreKnown(t *testing.T) {
	const name = "000000010000000000000004"
	header, err := readHeader(segmentIn(binary.BigEndian, name, testSystemID, 1)[:wal.LongPageHeaderSize])
	if err != nil {
		t.Fatal(err)
	}
	if header.SystemID != testSystemID || header.SegmentSize != testSize || header.BlockSize != 8192 {
		t.Errorf("%+v", header)
	}
}

func TestNothingInTheErrorsDirectoryIsOverwritten(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 59, 0, time.UTC)
	for i := range 3 {
		path := filepath.Join(from, "file")
		if err := os.WriteFile(path, []byte{byte(i)}, 0o600); err != nil {
			t.Fatal(err)
		}
		aside, err := moveAside(path, filepath.Base(path), to, "unknown", now)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(aside)
		if err != nil || content[0] != byte(i) {
			t.Errorf("%s: %v", aside, err)
		}
	}
	entries, err := os.ReadDir(to)
	if err != nil || len(entries) != 3 || entries[0].Name() != "file.20260102T030459Z.unknown" {
		t.Errorf("%v, %v", entries, err)
	}
}

func FuzzExamine(f *testing.F) {
	const name = "00000001000000000000000A"
	whole := segmentOf(name, testSystemID, 1)
	f.Add(name, whole)
	f.Add(name, whole[:4096])
	f.Add("00000002.history", []byte("1\t0/3000000\tx\n"))
	f.Add(name, []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"))
	f.Add(name, []byte("\x28\xb5\x2f\xfd\x00\x00\x00\x00"))
	f.Add(name, []byte("\x04\x22\x4d\x18\x64\x40\xa7\x00\x00\x00\x00"))
	f.Add(name, []byte("BZh91AY&SY"))
	f.Add(name, []byte("\xff\x06\x00\x00sNaPpY"))
	f.Fuzz(func(t *testing.T, base string, content []byte) {
		n, err := wal.ParseName(base)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		opened, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		file := &file{base: base, name: n}
		if file.info, err = opened.Stat(); err != nil {
			t.Fatal(err)
		}
		// Accepted is only what has the right header, or is text of the right kind.
		err = new(run).examine(file, opened)
		if err == nil && n.Kind == wal.KindSegment && file.compression == "" && len(content) < int(wal.MinSegmentSize) {
			t.Errorf("%d bytes were accepted as a segment", len(content))
		}
	})
}
