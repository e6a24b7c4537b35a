package wal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// store puts a file into the archive behind the archiver's back.
func (s *site) store(name string, content []byte) {
	s.t.Helper()
	dir := filepath.Join(s.dir, "wals", name[:16])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func TestWhatComesTwiceIsArchivedOnce(t *testing.T) {
	s := newSite(t, t.TempDir(), zstdLine)
	all := names(t, "000000010000000000000001", 70) // more than a batch
	for _, name := range all {
		s.segment("streaming", name)
		s.segment("incoming", name)
	}
	if report := s.archive(); report.Archived != 70 || report.Known != 70 || len(report.Problems) > 0 {
		t.Errorf("%+v", report)
	}
	for i, name := range all {
		content := segmentOf(name, testSystemID, 1)
		if i%2 == 0 {
			content = tool(t, content, "gzip", "-c") // compressed on its way this time
		}
		s.put("incoming", name, content)
	}
	if report := s.archive(); report.Archived != 0 || report.Known != 70 || len(report.Problems) > 0 {
		t.Errorf("%+v", report)
	}
	if diff := cmp.Diff(all, s.recorded()); diff != "" {
		t.Error(diff)
	}
	if left := append(s.files("streaming"), s.files("incoming")...); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestDifferentContentUnderAnArchivedNameIsKeptAside(t *testing.T) {
	s := newSite(t, t.TempDir(), zstdLine)
	const name = "00000001000000000000000A"
	first := s.segment("incoming", name)
	s.archive()
	for _, other := range [][]byte{segmentOf(name, testSystemID, 2), tool(t, segmentOf(name, testSystemID, 3), "gzip", "-c")} {
		s.put("incoming", name, other)
		report := s.archive()
		if len(report.Problems) != 1 || report.Problems[0].Outcome != SetAside {
			t.Fatalf("%+v", report)
		}
		if kept, err := os.ReadFile(report.Problems[0].Path); err != nil || !bytes.Equal(kept, other) {
			t.Errorf("what was kept aside is not what was delivered: %v", err)
		}
		if !bytes.Equal(s.stored(name), first) {
			t.Error("the archived file was overwritten")
		}
	}
	if diff := cmp.Diff([]string{name, name}, withSuffix(s.files("errors"), "duplicate")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{name}, s.recorded()); diff != "" {
		t.Error(diff)
	}
}

func TestAFileThatIsStoredAndNotRecordedIsRecorded(t *testing.T) {
	s := newSite(t, t.TempDir(), zstdLine)
	all := names(t, "000000010000000000000001", 3)
	s.segment("incoming", all[0])
	s.archive()
	stored := tool(t, segmentOf(all[1], testSystemID, 1), "gzip", "-c") // the codec was another then
	s.store(all[1], stored)
	s.segment("incoming", all[1])
	s.segment("incoming", all[2])
	if report := s.archive(); report.Archived != 1 || report.Known != 1 {
		t.Errorf("%+v", report)
	}
	recorded := map[string]string{}
	for record, err := range s.Catalogue.WALRecords() {
		if err != nil {
			t.Fatal(err)
		}
		recorded[record.Name.String()] = record.Compression + " " + itoa(record.Size)
	}
	if len(recorded) != 3 || recorded[all[1]] != "gzip "+itoa(int64(len(stored))) {
		t.Errorf("%v", recorded)
	}
}

func TestAnEmptyFileInTheArchiveIsReplaced(t *testing.T) {
	s := newSite(t, t.TempDir(), zstdLine)
	all := names(t, "000000010000000000000001", 3)
	s.store(all[1], nil)
	for _, name := range all {
		s.segment("incoming", name)
	}
	if report := s.archive(); report.Archived != 3 {
		t.Errorf("%+v", report)
	}
	for _, name := range all {
		if !bytes.Equal(s.stored(name), segmentOf(name, testSystemID, 1)) {
			t.Errorf("%s is not what was delivered", name)
		}
	}
}

func TestADamagedFileInTheArchiveIsNoReasonToLoseTheGoodOne(t *testing.T) {
	s := newSite(t, t.TempDir(), zstdLine)
	all := names(t, "000000010000000000000001", 3)
	damaged := tool(t, segmentOf(all[1], testSystemID, 1), "zstd", "-c")
	damaged = damaged[:len(damaged)/2]
	s.store(all[1], damaged)
	for _, name := range all {
		s.segment("incoming", name)
	}
	report := s.archive()
	if report.Archived != 2 || len(report.Problems) != 1 {
		t.Fatalf("%+v", report)
	}
	if kept, err := os.ReadFile(report.Problems[0].Path); err != nil || !bytes.Equal(kept, segmentOf(all[1], testSystemID, 1)) {
		t.Errorf("the good one is lost: %v", err)
	}
	if !bytes.Equal(s.raw(all[1]), damaged) {
		t.Error("the archive was overwritten")
	}
}
