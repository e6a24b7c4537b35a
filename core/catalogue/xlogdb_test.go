package catalogue

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

func xlogPath(s *Server) string { return filepath.Join(s.Layout().WALsDirectory, "xlog.db") }

func record(t testing.TB, name string, size int64, compression string) WALRecord {
	t.Helper()
	return WALRecord{Name: walName(t, name), Size: size, ModTime: time.Unix(1700000000, 0), Compression: compression}
}

func recorded(t testing.TB, s *Server) []string {
	t.Helper()
	var names []string
	for r, err := range s.WALRecords() {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, r.Name.String())
	}
	return names
}

func TestIndexOfBarman34RoundTripsByteForByte(t *testing.T) {
	want := read(t, "testdata/barman-3.4/home/main/wals/xlog.db")
	var got strings.Builder
	for r, err := range fixture(t).WALRecords() {
		if err != nil {
			t.Fatal(err)
		}
		line, err := r.format(4)
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(line)
	}
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Error(d)
	}
}

func TestLinesOfAllReleasesAreRead(t *testing.T) {
	const name = "00000001000000000000000A"
	for line, want := range map[string]WALRecord{
		name + "\t16\t1700000000.5":                     {Compression: ""},
		name + "\t16\t1700000000.5\tNone":               {Compression: ""},
		name + "\t16\t1700000000.5\tgzip":               {Compression: "gzip"},
		name + "\t16\t1700000000.5\tNone\tgpg":          {Encryption: "gpg"},
		name + " 16  1700000000.5 custom None \r":       {Compression: "custom"},
		"  " + name + "\t16\t1.7000000005e9\tzstd\tgpg": {Compression: "zstd", Encryption: "gpg"},
	} {
		got, err := parseRecord(line)
		want.Name, want.Size, want.ModTime = walName(t, name), 16, time.Unix(1700000000, 5e8)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{name, name + "\t16", name + "\t16\t1\ta\tb\tc", "x\t16\t1\tNone", "../" + name + "\t16\t1\tNone", name + "\t-1\t1\tNone",
		name + "\tx\t1\tNone", name + "\t16\tx\tNone", name + "\t16\tNaN\tNone", name + "\t16\tInf\tNone", name + "\t16\t1e300\tNone", name + "\t16\t1\t../x",
		name + "\t16\t1\tgz\x00p", "\x00\x00\x00"} {
		if r, err := parseRecord(line); err == nil {
			t.Errorf("%q is read as %+v", line, r)
		}
	}
}

func TestAppendKeepsTheOrderAndTheFormOfTheIndex(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"xlog.db", "00000002.history\t5\t1700000000.0\tgzip\n00000001000000000000000A\t16\t1700000000.0\tNone\n"},
		{"main-xlog.db", "00000002.history\t5\t1700000000.0\tgzip\tNone\n00000001000000000000000A\t16\t1700000000.0\tNone\tgpg\n"},
	} {
		s := newServer(t)
		path := filepath.Join(s.Layout().WALsDirectory, c.file)
		write(t, path, "")
		if err := s.Append(t.Context(), record(t, "00000002.history", 5, "gzip")); err != nil {
			t.Fatal(err)
		}
		encrypted := record(t, "00000001000000000000000A", 16, "")
		encrypted.Encryption = "gpg"
		if err := s.Append(t.Context(), encrypted); err != nil {
			t.Fatal(err)
		}
		if err := s.Append(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, read(t, path)); d != "" {
			t.Error(c.file, d)
		}
		if names, _ := readNames(s.Layout().WALsDirectory); len(names) != 1 {
			t.Errorf("%v", names)
		}
	}
}

func TestTornLineIsRepairedByTheNextAppend(t *testing.T) {
	const (
		first = "000000010000000000000001\t3\t1700000000.0\tNone\n"
		torn  = "000000010000000000000002\t31\t1700000000.0\tgzip"
		next  = "000000010000000000000003"
	)
	for n := range len(torn) + 1 {
		for _, stored := range []bool{true, false} {
			s := newServer(t)
			write(t, xlogPath(s), first+torn[:n])
			if stored {
				path := s.WALPath(walName(t, "000000010000000000000002"))
				write(t, path, "\x1f\x8b\x08"+strings.Repeat("x", 28))
				if err := os.Chtimes(path, time.Unix(1700000000, 0), time.Unix(1700000000, 0)); err != nil {
					t.Fatal(err)
				}
			}
			for r, err := range s.WALRecords() {
				if err != nil || (r.Compression != "" && r.Compression != "gzip") {
					t.Errorf("cut at %d: reading gives %+v, %v", n, r, err)
				}
			}
			if err := s.Append(t.Context(), record(t, next, 5, "lz4")); err != nil {
				t.Fatal(err)
			}
			want := first
			if stored && n > 24 {
				want += torn + "\n"
			}
			want += next + "\t5\t1700000000.0\tlz4\n"
			if d := cmp.Diff(want, read(t, xlogPath(s))); d != "" {
				t.Fatalf("cut at %d, stored %v: %s", n, stored, d)
			}
		}
	}
}

func TestZerosOfAPowerFailureAreRepaired(t *testing.T) {
	s := newServer(t)
	const first = "000000010000000000000001\t3\t1700000000.0\tNone\n"
	write(t, xlogPath(s), first+strings.Repeat("\x00", 8192))
	if got := recorded(t, s); len(got) != 1 {
		t.Error(got)
	}
	if err := s.Append(t.Context(), record(t, "000000010000000000000002", 5, "")); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, xlogPath(s)), first+"000000010000000000000002\t5\t1700000000.0\tNone\n"; got != want {
		t.Errorf("%q", got)
	}

	write(t, xlogPath(s), first+strings.Repeat("\x00", 2<<20))
	err := s.Append(t.Context(), record(t, "000000010000000000000002", 5, ""))
	wantKind(t, err, sdk.Corrupt, "xlog.db", "rebuild-xlogdb")
	if info, err := os.Stat(xlogPath(s)); err != nil || info.Size() != int64(len(first))+2<<20 {
		t.Error("the damaged file was changed", err)
	}
}

func TestDamagedLinesDoNotHideTheOthers(t *testing.T) {
	s := newServer(t)
	write(t, xlogPath(s), "000000010000000000000001\t3\t1.0\tNone\ngarbage\n"+strings.Repeat("x", 1<<20)+"\n\x00\x00\n\n000000010000000000000002\t3\t1.0\tNone\n")
	var names []string
	var damage []error
	for r, err := range s.WALRecords() {
		if err != nil {
			damage = append(damage, err)
		} else {
			names = append(names, r.Name.String())
		}
	}
	if d := cmp.Diff([]string{"000000010000000000000001", "000000010000000000000002"}, names); d != "" {
		t.Error(d)
	}
	if len(damage) != 3 {
		t.Fatal(damage)
	}
	wantKind(t, damage[0], sdk.Corrupt, "main", xlogPath(s), "line 2", "rebuild-xlogdb")
	wantKind(t, damage[1], sdk.Corrupt, "line 3")
	wantKind(t, damage[2], sdk.Corrupt, "line 4")
	if len(damage[1].Error()) > 1000 {
		t.Error("the message quotes a megabyte")
	}
	if found, err := s.HasRecord(walName(t, "000000010000000000000002")); !found || err != nil {
		t.Error(found, err)
	}
	if found, err := s.HasRecord(walName(t, "000000010000000000000003")); found || err != nil {
		t.Error(found, err)
	}
}

func TestImpossibleFiguresAreDamage(t *testing.T) {
	for _, line := range []string{
		"000000010000000000000001\t-1\t1.0\tNone", "000000010000000000000001\t9223372036854775807\t1.0\tNone", "000000010000000000000001\t99999999999999999999\t1.0\tNone",
		"000000010000000000000001\t1\t1e300\tNone", "000000010000000000000001\t1\tNaN\tNone", "000000010000000000000001\t1.5\t1.0\tNone",
	} {
		if r, err := parseRecord(line); err == nil {
			t.Errorf("%q is read as %+v", line, r)
		}
	}
}

func TestParallelAppendsLoseNothing(t *testing.T) {
	s := newServer(t)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for j := range 10 {
				if err := s.Append(context.Background(), record(t, fmt.Sprintf("0000000100000000%08X", i*10+j), 1, "")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	seen := map[string]bool{}
	for _, name := range recorded(t, s) {
		seen[name] = true
	}
	if len(seen) != 40 {
		t.Errorf("%d records", len(seen))
	}
}

func TestIndexThatIsALinkIsRefused(t *testing.T) {
	s := newServer(t)
	outside := filepath.Join(t.TempDir(), "x")
	write(t, outside, "precious\n")
	if err := os.Symlink(outside, xlogPath(s)); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), record(t, "000000010000000000000001", 1, "")); err == nil {
		t.Error("appended through a link")
	}
	if read(t, outside) != "precious\n" {
		t.Error("the file behind the link was changed")
	}
	for _, err := range s.WALRecords() {
		wantKind(t, err, sdk.Corrupt, "symbolic link")
	}
}

func TestUnrecordableFilesAreRefused(t *testing.T) {
	s := newServer(t)
	for _, r := range []WALRecord{{}, record(t, "000000010000000000000001", -1, ""), record(t, "000000010000000000000001", 1, "a b"), record(t, "000000010000000000000001", 1, "a\nb")} {
		wantKind(t, s.Append(t.Context(), r), sdk.Invalid, "xlog.db")
	}
	if _, err := os.Stat(xlogPath(s)); err == nil {
		t.Error("xlog.db was created")
	}
}

// fillArchive fills an archive as in the tests of what rebuild-xlogdb records.
func fillArchive(t *testing.T, s *Server) []string {
	t.Helper()
	want := []string{"00000001000000000000000A", "00000001000000000000000A.00000028.backup", "00000001000000000000000B", "00000002.history", "00000002000000000000000B"}
	addWAL(t, s, want...)
	addWAL(t, s, "00000001000000000000000C.partial")
	write(t, s.WALPath(walName(t, "00000001000000000000000B")), "\x28\xb5\x2f\xfdzstd")
	write(t, s.WALPath(walName(t, "00000002000000000000000B")), "\x85\x02\x0c\x03gpg")
	write(t, filepath.Join(s.Layout().WALsDirectory, "0000000100000000", "00000001000000000000000D.tmp"), "x")
	write(t, filepath.Join(s.Layout().WALsDirectory, "junk"), "x")
	return want
}

func TestRebuildRecordsWhatTheArchiveHas(t *testing.T) {
	for _, columns := range []string{"xlog.db", "main-xlog.db"} {
		s := newServer(t)
		want := fillArchive(t, s)
		path := filepath.Join(s.Layout().WALsDirectory, columns)
		write(t, path, "garbage\n")
		report, err := s.Rebuild(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if report.Segments != 3 || report.BackupHistories != 1 || report.Histories != 1 || report.Skipped != 3 || len(report.SkippedPaths) != 3 {
			t.Errorf("%+v", report)
		}
		if d := cmp.Diff(want, recorded(t, s)); d != "" {
			t.Error(d)
		}
		text := read(t, path)
		if !strings.Contains(text, "\tzstd") || strings.Contains(text, "gpg") != (columns == "main-xlog.db") {
			t.Error(text)
		}
		wantNoTemporaryFiles(t, s.Layout().WALsDirectory)
	}
}

func TestMissingIndexIsBuiltFromTheArchive(t *testing.T) {
	s := newServer(t)
	want := fillArchive(t, s)
	if d := cmp.Diff(want, recorded(t, s)); d != "" {
		t.Error("read:", d)
	}
	if _, err := os.Stat(xlogPath(s)); err == nil {
		t.Error("reading created xlog.db")
	}
	// The file being recorded is in the archive already, and recorded once.
	if err := s.Append(t.Context(), record(t, "00000001000000000000000A", 7, "gzip")); err != nil {
		t.Fatal(err)
	}
	want = append(want[1:], want[0])
	if d := cmp.Diff(want, recorded(t, s)); d != "" {
		t.Error("after append:", d)
	}
}

func TestRebuildStoppedHalfwayChangesNothing(t *testing.T) {
	s := newServer(t)
	fillArchive(t, s)
	write(t, xlogPath(s), "old\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Rebuild(ctx, nil); err == nil {
		t.Error("no error")
	}
	if read(t, xlogPath(s)) != "old\n" {
		t.Error("xlog.db changed")
	}
	wantNoTemporaryFiles(t, s.Layout().WALsDirectory)
}

func TestRecordOfMissingFile(t *testing.T) {
	_, err := newServer(t).RecordOf(walName(t, "000000010000000000000001"))
	wantKind(t, err, sdk.NotFound, "main")
}

func TestTimesSurviveTheIndex(t *testing.T) {
	for _, text := range []string{"1795247899.2264616", "1795247899.231633", "0.0", "1704884400.0", "-1.5", "1704884400.1234567"} {
		r, err := parseRecord("00000001000000000000000A\t1\t" + text)
		if err != nil {
			t.Fatal(err)
		}
		if got := formatFloat(secondsOf(r.ModTime)); got != text {
			t.Errorf("%s becomes %s", text, got)
		}
	}
}

func FuzzWALRecords(f *testing.F) {
	f.Add([]byte("000000010000000000000002\t16461\t1795247899.2264616\tgzip\n00000002.history\t57\t1.0\tNone\tNone\n"))
	f.Add([]byte("torn"))
	f.Add([]byte("\x00\x00\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		for r, err := range readRecords(strings.NewReader(string(content))) {
			if err != nil {
				continue
			}
			line, err := r.format(5)
			if err != nil {
				t.Fatalf("%+v is read but not written: %v", r, err)
			}
			again, err := parseRecord(line)
			if err != nil || again.Name != r.Name || again.Size != r.Size || again.Compression != r.Compression || again.Encryption != r.Encryption {
				t.Fatalf("%+v becomes %q, which is read as %+v, %v", r, line, again, err)
			}
		}
	})
}

func BenchmarkWALRecords(b *testing.B) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "00000001%08X%08X\t16461\t1795247899.2264616\tgzip\n", i/256, i%256)
	}
	for b.Loop() {
		n := 0
		for range readRecords(io.Reader(strings.NewReader(text.String()))) {
			n++
		}
		if n != 100_000 {
			b.Fatal(n)
		}
	}
}

func TestNewLinesAreFoundWithoutReadingAllOfTheIndex(t *testing.T) {
	s := newServer(t)
	var index strings.Builder
	const lines = 20_000
	for i := range lines {
		fmt.Fprintf(&index, "00000001%08X%08X\t16777216\t1767225600.0\tzstd\n", i>>8, i&255)
	}
	if err := os.WriteFile(xlogPath(s), []byte(index.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var recent []string
	for record, err := range s.RecentRecords() {
		if err != nil {
			t.Fatal(err)
		}
		recent = append(recent, record.Name.String())
	}
	last := fmt.Sprintf("00000001%08X%08X", (lines-1)>>8, (lines-1)&255)
	if n := len(recent); n < 1000 || n > lines/2 || recent[n-1] != last {
		t.Fatalf("%d lines are recent, the last is %q", n, recent[max(0, n-1)])
	}
	for name, want := range map[string]bool{
		"000000010000000000000000": true, last: true, recent[0]: true, "000000010000FFFF00000000": false,
	} {
		if found, err := s.HasRecord(walName(t, name)); found != want || err != nil {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

func TestAnIndexOfWhatIsElsewhereIsNotRebuilt(t *testing.T) {
	s := newServer(t)
	const index = "000000010000000000000001\t16777216\t1767225600.0\tzstd\n"
	path := xlogPath(s)
	if err := os.WriteFile(path, []byte(index), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rebuild(t.Context(), nil); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("error %v", err)
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != index {
		t.Errorf("the index is now %q (%v)", kept, err)
	}
}
