package wal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/pgtest"
)

func TestAnArchiveThatIsNotMountedIsNotBegunAnew(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	place, wals := t.TempDir(), filepath.Join(s.dir, "wals")
	mount := func() {
		if err := syscall.Mount(place, wals, "", syscall.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	mount()
	t.Cleanup(func() { _ = syscall.Unmount(wals, 0) }) // it may be unmounted already
	all := names(t, "000000010000000000000001", 4)
	b := s.waiting(all[0], all[2])
	s.segment("incoming", all[0])
	s.archive()
	if err := syscall.Unmount(wals, 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range all[1:] {
		s.segment("incoming", name)
	}
	_, err := Archive(t.Context(), s.Server, ArchiveOptions{})
	if sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), "mount its file system") {
		t.Fatalf("error %v", err)
	}
	if len(s.files("incoming")) != 3 || len(s.files("wals")) != 0 || s.state(b) != catalogue.StateWaitingForWALs {
		t.Errorf("incoming %q, wals %q, backup %s", s.files("incoming"), s.files("wals"), s.state(b))
	}
	mount()
	s.archive()
	if diff := cmp.Diff(all, s.recorded()); diff != "" {
		t.Error(diff)
	}
	if s.state(b) != catalogue.StateDone {
		t.Errorf("backup %s", s.state(b))
	}
}

func TestAnArchiveThatIsLostCanBeBegunAnew(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	s.segment("incoming", "000000010000000000000001")
	s.archive()
	if err := os.RemoveAll(filepath.Join(s.dir, "wals")); err != nil {
		t.Fatal(err)
	}
	s.segment("incoming", "000000010000000000000002")
	if _, err := Archive(t.Context(), s.Server, ArchiveOptions{}); sdk.KindOf(err) != sdk.Unavailable {
		t.Fatalf("error %v", err)
	}
	if _, err := RebuildIndex(t.Context(), s.Server, nil); err != nil {
		t.Fatal(err)
	}
	s.archive()
	if diff := cmp.Diff([]string{"000000010000000000000002"}, s.recorded()); diff != "" {
		t.Error(diff)
	}
}

func TestAnIndexOfAnotherMindLosesAndRepeatsNothing(t *testing.T) {
	s := newSite(t, t.TempDir(), zstdLine)
	all := names(t, "000000010000000000000001", 6)
	for _, name := range all {
		s.segment("incoming", name)
	}
	s.archive()
	xlogDB := filepath.Join(s.dir, "wals", "xlog.db")
	right, err := os.ReadFile(xlogDB)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(right), "\n")
	for what, index := range map[string]string{
		"torn": string(right[:len(right)-20]), "without a line": strings.Join(append(lines[:2:2], lines[3:]...), ""),
		"empty": "", "wrong": strings.Replace(string(right), all[3], "garbage", 1), "missing": "-",
	} {
		if index == "-" {
			err = os.Remove(xlogDB)
		} else {
			err = os.WriteFile(xlogDB, []byte(index), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range all {
			s.segment("incoming", name)
		}
		report := s.archive()
		if report.Archived != 0 || report.Known != len(all) || len(report.Problems) > 0 {
			t.Errorf("%s: %+v", what, report)
		}
		lines := map[string]int{}
		for record, err := range s.Catalogue.WALRecords() {
			if err == nil {
				lines[record.Name.String()]++
			}
		}
		for _, name := range all {
			if lines[name] != 1 {
				t.Errorf("%s: %d lines of %s", what, lines[name], name)
			}
			if !bytes.Equal(s.stored(name), segmentOf(name, testSystemID, 1)) {
				t.Errorf("%s: %s is not what was delivered", what, name)
			}
		}
	}
}

func TestAFullErrorsDirectoryHoldsNoGoodWALUp(t *testing.T) {
	errorsDir := filepath.Join(pgtest.Tmpfs(t, 64<<10), "errors")
	s := newSiteFor(t, t.TempDir(), "conninfo = \"host=x\"\nerrors_directory = \""+errorsDir+"\"", plainLine)
	garbage := bytes.Repeat([]byte("garbage "), 1<<17)
	s.put("incoming", "000000010000000000000001", garbage)
	s.segment("incoming", "000000010000000000000002")
	report := s.archive()
	if report.Archived != 1 || len(report.Problems) != 1 || report.Problems[0].Outcome != Stuck || !strings.Contains(report.Problems[0].Reason, "no space left") {
		t.Errorf("%+v", report)
	}
	if kept, err := os.ReadFile(filepath.Join(s.dir, "incoming", "000000010000000000000001")); err != nil || !bytes.Equal(kept, garbage) {
		t.Errorf("the file is not where it was: %v", err)
	}
	entries, err := os.ReadDir(errorsDir)
	if err != nil || len(entries) > 0 {
		t.Errorf("half of it is in the errors directory: %v, %v", entries, err)
	}
}

func TestAClockThatIsWrongLosesNothing(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	all := names(t, "000000010000000000000001", 3)
	times := []time.Time{time.Date(2061, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1, 0), time.Unix(-1, 0)}
	for i, name := range all {
		s.segment("incoming", name)
		if err := os.Chtimes(filepath.Join(s.dir, "incoming", name), times[i], times[i]); err != nil {
			t.Fatal(err)
		}
	}
	// A trace of a receiver of an old timeline that is from the future.
	trace := filepath.Join(s.dir, "streaming", "000000010000000000000009.partial")
	s.put("streaming", filepath.Base(trace), nil)
	s.segment("streaming", "000000020000000000000009")
	if err := os.Chtimes(trace, times[0], times[0]); err != nil {
		t.Fatal(err)
	}
	if report := s.archive(); report.Archived != 4 || len(report.Problems) > 0 {
		t.Errorf("%+v", report)
	}
	for i, record := range records(t, s)[:3] {
		if !record.ModTime.Equal(times[i]) {
			t.Errorf("%s is recorded as of %s", record.Name, record.ModTime)
		}
	}
	// The second that a file is set aside in has been there before.
	aside := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for range 2 {
		s.put("incoming", "junk", []byte("x"))
		if _, err := moveAside(filepath.Join(s.dir, "incoming", "junk"), "junk", s.Catalogue.Layout().ErrorsDirectory, suffixUnknown, aside); err != nil {
			t.Fatal(err)
		}
	}
	if got := withSuffix(s.files("errors"), "unknown"); len(got) != 2 {
		t.Errorf("set aside: %q", got)
	}
}

func records(t *testing.T, s *site) []catalogue.WALRecord {
	t.Helper()
	var all []catalogue.WALRecord
	for record, err := range s.Catalogue.WALRecords() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record)
	}
	return all
}

func TestAFileThatASinkRefusesHoldsUpNoneBeforeIt(t *testing.T) {
	home, small := t.TempDir(), pgtest.Tmpfs(t, 5<<20)
	s := newSite(t, home, "sink \"posix\" {}\nsink \"posix\" { path = \""+small+"\" }")
	all := names(t, "000000010000000000000001", 8)
	for _, name := range all {
		s.segment("incoming", name)
	}
	_, err := Archive(t.Context(), s.Server, ArchiveOptions{})
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Fatalf("error %v", err)
	}
	recorded := s.recorded()
	if len(recorded) == 0 || len(recorded) == len(all) {
		t.Fatalf("recorded: %q", recorded)
	}
	if diff := cmp.Diff(all[:len(recorded)], recorded); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(all[len(recorded):], s.files("incoming")); diff != "" {
		t.Error(diff)
	}
	for _, name := range recorded {
		content, err := os.ReadFile(filepath.Join(small, "wals", name[:16], name))
		if err != nil || !bytes.Equal(content, segmentOf(name, testSystemID, 1)) {
			t.Errorf("%s is not in the second sink: %v", name, err)
		}
	}
}

func TestTheIndexIsRebuiltOnlyWhileNobodyArchives(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	s.segment("incoming", "000000010000000000000001")
	s.archive()
	lock, err := s.Catalogue.Lock(catalogue.LockArchiveWAL)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := RebuildIndex(t.Context(), s.Server, nil)
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := errors.Join(lock.Release(), <-ended); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"000000010000000000000001"}, s.recorded()); diff != "" {
		t.Error(diff)
	}
}
