package wal

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
	"github.com/barman-go/barman/test/pgtest"
)

const (
	plainLine = `sink "posix" {}`
	zstdLine  = `transform "compress" { codec = "zstd" }
sink "posix" {}`
)

func TestReceivedAndDeliveredFilesAreArchivedInTheOrderOfTheirNames(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	all := names(t, "000000010000000000000FFD", 6) // across the end of a directory
	contents := map[string][]byte{}
	for i, name := range all {
		contents[name] = s.segment([]string{"streaming", "incoming"}[i%2], name)
	}
	history := []byte("1\t0/FF000000\tno recovery target specified\n")
	s.put("incoming", "00000002.history", history)
	label := []byte("START WAL LOCATION: 0/FFD00028 (file 000000010000000000000FFD)\nLABEL: x\n")
	backupHistory := "000000010000000000000FFD.00000028.backup"
	s.put("incoming", backupHistory, label)
	modified := time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)
	if err := os.Chtimes(filepath.Join(s.dir, "streaming", all[0]), modified, modified); err != nil {
		t.Fatal(err)
	}

	var told []string
	report, err := Archive(t.Context(), s.Server, ArchiveOptions{File: func(f File) { told = append(told, f.Name) }})
	if err != nil {
		t.Fatal(err)
	}
	order := append([]string{all[0], backupHistory}, all[1:]...)
	order = append(order, "00000002.history")
	if diff := cmp.Diff(Report{Archived: 8}, report); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(order, told); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(order, s.recorded()); diff != "" {
		t.Error(diff)
	}
	for name, content := range contents {
		if !bytes.Equal(s.raw(name), content) {
			t.Errorf("%s was not stored as it is", name)
		}
	}
	if !bytes.Equal(s.raw("00000002.history"), history) || !bytes.Equal(s.raw(backupHistory), label) {
		t.Error("history files were not stored as they are")
	}
	if line := all[0] + "\t1048576\t1767323045.6789\tNone"; s.lines()[0] != line {
		t.Errorf("xlog.db begins with %q, want %q", s.lines()[0], line)
	}
	info, err := os.Stat(filepath.Join(s.dir, "wals", "0000000100000000", all[0]))
	if err != nil {
		t.Fatal(err)
	}
	if !info.ModTime().Equal(modified) || info.Mode().Perm() != 0o600 {
		t.Errorf("stored with time %s and mode %s", info.ModTime(), info.Mode())
	}
	if left := append(s.files("streaming"), s.files("incoming")...); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestARunWithNothingToDoStartsNoPlugin(t *testing.T) {
	s := newSite(t, t.TempDir(), "sink \"posix\" {}\ntransform \"nosuch\" {}")
	if diff := cmp.Diff(Report{}, s.archive()); diff != "" {
		t.Error(diff)
	}
}

func TestMoreSegmentsThanABatchAreArchived(t *testing.T) {
	s := newSite(t, t.TempDir(), zstdLine)
	all := names(t, "000000010000000000000001", batchFiles+40)
	for _, name := range all {
		s.segment("streaming", name)
	}
	if report := s.archive(); report.Archived != len(all) {
		t.Errorf("%d archived", report.Archived)
	}
	if diff := cmp.Diff(all, s.recorded()); diff != "" {
		t.Error(diff)
	}
	for _, name := range all {
		if !bytes.Equal(s.stored(name), segmentOf(name, testSystemID, 1)) {
			t.Fatalf("%s is not what was received", name)
		}
	}
	if left := s.files("streaming"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestTheLargestSegmentsAreArchived(t *testing.T) {
	s := newSite(t, t.TempDir(), zstdLine)
	const name, size = "000000010000000200000003", int64(wal.MaxSegmentSize)
	header := segmentOf("000000010000000000000000", testSystemID, 1)[:wal.LongPageHeaderSize]
	binary.LittleEndian.PutUint64(header[8:], 11<<30)
	binary.LittleEndian.PutUint32(header[32:], uint32(size))
	s.put("incoming", name, header)
	path := filepath.Join(s.dir, "incoming", name)
	for _, length := range []int64{size - 1, size, size + 1} {
		if err := os.Truncate(path, length); err != nil {
			t.Fatal(err)
		}
		if report := s.archive(); (report.Archived == 1) != (length == size) {
			t.Errorf("%d bytes: %+v", length, report)
		}
		if length == size {
			s.put("incoming", name, header)
		}
	}
	if stored := tool(t, s.raw(name), "sh", "-c", "zstd -dc | wc -c"); strings.TrimSpace(string(stored)) != itoa(size) {
		t.Errorf("%s bytes are stored", stored)
	}
	if aside := withSuffix(s.files("errors"), "unknown"); len(aside) != 1 {
		t.Errorf("set aside: %q", aside)
	}
}

func TestCompressedWALIsReadByTheToolsAndRecordedByItsName(t *testing.T) {
	for settings, want := range map[string]struct{ read, column string }{
		`codec = "gzip"`:   {"gzip -dc", "gzip"},
		`codec = "pigz"`:   {"gzip -dc", "gzip"},
		`codec = "bzip2"`:  {"bzip2 -dc", "bzip2"},
		`codec = "xz"`:     {"xz -dc", "xz"},
		`codec = "zstd"`:   {"zstd -dc", "zstd"},
		`codec = "lz4"`:    {"lz4 -dc", "lz4"},
		`codec = "none"`:   {"cat", "None"},
		`codec = "snappy"`: {"", "snappy"},
		"codec = \"custom\"\nfilter = \"printf ZIP! && gzip -1\"\ndecompression_filter = \"tail -c +5 | gzip -d\"\nmagic = \"0x5a495021\"": {"tail -c +5 | gzip -d", "custom"},
	} {
		t.Run(want.column, func(t *testing.T) {
			s := newSite(t, t.TempDir(), "transform \"compress\" {\n"+settings+"\n}\nsink \"posix\" {}")
			const name = "00000001000000000000000A"
			content := s.segment("incoming", name)
			s.archive()
			got := s.plain(s.raw(name))
			if want.read != "" {
				got = tool(t, s.raw(name), "sh", "-c", want.read)
			}
			if !bytes.Equal(got, content) {
				t.Error("not what was delivered")
			}
			line := s.lines()[0]
			if fields := strings.Split(line, "\t"); fields[3] != want.column || fields[1] != itoa(int64(len(s.raw(name)))) {
				t.Errorf("recorded as %q, stored are %d bytes", fields, len(s.raw(name)))
			}
			if _, err := RebuildIndex(t.Context(), s.Server, nil); err != nil || s.lines()[0] != line {
				t.Errorf("recorded anew as %q instead of %q, error %v", s.lines()[0], line, err)
			}
			// The same file again is recognised as what is archived.
			s.put("incoming", name, content)
			if report := s.archive(); report.Known != 1 {
				t.Errorf("delivered again: %+v", report)
			}
		})
	}
}

func TestWALThatIsCompressedAlreadyStaysAsItIs(t *testing.T) {
	for codec, compress := range map[string][]string{
		"gzip": {"gzip", "-c"}, "bzip2": {"bzip2", "-c"}, "lz4": {"lz4", "-c"}, "zstd": {"zstd", "-c"}, "xz": {"xz", "-c"},
	} {
		t.Run(codec, func(t *testing.T) {
			s := newSite(t, t.TempDir(), zstdLine)
			const name = "00000001000000000000000A"
			delivered := tool(t, segmentOf(name, testSystemID, 1), compress[0], compress[1:]...)
			s.put("incoming", name, delivered)
			other := s.segment("incoming", "00000001000000000000000B")
			s.archive()
			if !bytes.Equal(s.raw(name), delivered) {
				t.Error("not stored as it is")
			}
			if !bytes.Equal(s.stored("00000001000000000000000B"), other) {
				t.Error("the other one is not what was delivered")
			}
			if fields := strings.Split(s.lines()[0], "\t"); fields[3] != codec {
				t.Errorf("recorded as %q", fields)
			}
		})
	}
}

func TestOnlyOneArchiverRunsAtATime(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	s.segment("incoming", "00000001000000000000000A")
	lock, err := s.Catalogue.Lock(catalogue.LockArchiveWAL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Archive(t.Context(), s.Server, ArchiveOptions{}); sdk.KindOf(err) != sdk.Busy {
		t.Errorf("error %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if report := s.archive(); report.Archived != 1 {
		t.Errorf("%+v", report)
	}
}

func TestDeliveriesAreLeftAloneWhenArchivingThemIsOff(t *testing.T) {
	s := newSite(t, t.TempDir(), "archive = false\nsource \"pgreceivewal\" {}\nsink \"posix\" {}")
	s.segment("incoming", "00000001000000000000000A")
	s.segment("streaming", "00000001000000000000000B")
	s.archive()
	if diff := cmp.Diff([]string{"00000001000000000000000B"}, s.recorded()); diff != "" {
		t.Error(diff)
	}
}

func TestTheArchiveMayBeElsewhere(t *testing.T) {
	home := t.TempDir()
	archive := filepath.Join(home, "else", "where")
	s := newSiteFor(t, home, "conninfo = \"host=x\"\nwals_directory = \""+archive+"\"", plainLine)
	const name = "00000001000000000000000A"
	s.segment("incoming", name)
	s.archive()
	if diff := cmp.Diff([]string{name}, s.recorded()); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(archive, name[:16], name)); err != nil {
		t.Error(err)
	}
	if left := s.files("incoming"); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestAFullDiskLosesNothing(t *testing.T) {
	s := newSite(t, pgtest.Tmpfs(t, 8<<20), plainLine)
	all := names(t, "000000010000000000000001", 6)
	for _, name := range all {
		s.segment("incoming", name) // what is stored takes as much again
	}
	for range 2 * len(all) {
		_, err := Archive(t.Context(), s.Server, ArchiveOptions{})
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), `sink "posix"`) || !strings.Contains(err.Error(), "no space left on device") {
			t.Fatalf("error %v", err)
		}
		for _, name := range all {
			_, here := os.Stat(filepath.Join(s.dir, "incoming", name))
			if here != nil && !bytes.Equal(s.stored(name), segmentOf(name, testSystemID, 1)) {
				t.Errorf("%s is lost", name)
			}
		}
		if len(s.files("incoming")) == len(all) {
			// Archived files were removed, so that a later run gets further.
			t.Fatal("nothing was archived")
		}
	}
	if diff := cmp.Diff(all, s.recorded()); diff != "" {
		t.Error(diff)
	}
}

func TestASinkThatIsNotRequiredHoldsNothingUp(t *testing.T) {
	home := t.TempDir()
	small := pgtest.Tmpfs(t, 2<<20)
	s := newSite(t, home, `sink "posix" {}
sink "posix" {
  path     = "`+small+`"
  required = false
}`)
	all := names(t, "000000010000000000000001", 5)
	for _, name := range all {
		s.segment("streaming", name)
	}
	report := s.archive()
	if report.Archived != len(all) || len(report.Lost) != 1 {
		t.Errorf("%+v", report)
	}
	if diff := cmp.Diff(all, s.recorded()); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(small, "wals", "0000000100000000", all[0])); err != nil {
		t.Error("what fitted is not there:", err)
	}
}

func TestTwoSinksBothGetEverything(t *testing.T) {
	home, second := t.TempDir(), t.TempDir()
	for _, required := range []string{"true", "false"} {
		s := newSite(t, filepath.Join(home, required), `sink "posix" {}
sink "posix" {
  path     = "`+filepath.Join(second, required)+`"
  required = `+required+`
}`)
		all := names(t, "000000010000000000000001", 4)
		for _, name := range all {
			s.segment("streaming", name)
		}
		if err := s.Catalogue.EnsureIndex(t.Context()); err != nil {
			t.Fatal(err)
		}
		// A run that was killed left the second file in the first sink, and the third
		// in the second sink.
		for dir, name := range map[string]string{s.dir: all[1], filepath.Join(second, required): all[2]} {
			hash := filepath.Join(dir, "wals", "0000000100000000")
			if err := os.MkdirAll(hash, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(hash, name), segmentOf(name, testSystemID, 1), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		report := s.archive()
		if report.Archived+report.Known != 4 || len(report.Lost) > 0 || len(report.Problems) > 0 {
			t.Errorf("required = %s: %+v", required, report)
		}
		for _, name := range all {
			for _, dir := range []string{s.dir, filepath.Join(second, required)} {
				content, err := os.ReadFile(filepath.Join(dir, "wals", "0000000100000000", name))
				if err != nil || !bytes.Equal(content, segmentOf(name, testSystemID, 1)) {
					t.Errorf("required = %s: %s: %v", required, dir, err)
				}
			}
		}
	}
}
