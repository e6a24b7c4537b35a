package wal

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
	"github.com/barman-go/barman/test/pgtest"
)

// pgWAL is a directory of segments that are PostgreSQL's.
type pgWAL struct {
	t   *testing.T
	dir string
}

func newPgWAL(t *testing.T) pgWAL { return pgWAL{t, t.TempDir()} }

func (p pgWAL) path(name string) string { return filepath.Join(p.dir, name) }

// write writes a file and returns its path.
func (p pgWAL) write(name string, content []byte) string {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), content, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return p.path(name)
}

func (p pgWAL) segment(name string) string {
	p.t.Helper()
	return p.write(name, segmentOf(name, testSystemID, 1))
}

// push archives a file, with success.
func (s *site) push(path string) Outcome {
	s.t.Helper()
	outcome, report, err := Push(s.t.Context(), s.Server, path)
	if err != nil || len(report.Lost) > 0 {
		s.t.Fatalf("%+v, %v", report, err)
	}
	return outcome
}

func TestWhatArchiveCommandNamesIsArchivedAndStays(t *testing.T) {
	s := newSite(t, t.TempDir(), zstdLine)
	pg := newPgWAL(t)
	t.Chdir(filepath.Dir(pg.dir))
	partial := secondWAL + ".partial"
	contents := map[string][]byte{
		firstWAL: segmentOf(firstWAL, testSystemID, 1), partial: segmentOf(secondWAL, testSystemID, 1),
		"00000002.history":            []byte("1\t0/B000000\tno recovery target specified\n"),
		firstWAL + ".00000028.backup": []byte("START WAL LOCATION: 0/A00028 (file 00000001000000000000000A)\n"),
	}
	order := []string{firstWAL, firstWAL + ".00000028.backup", partial, "00000002.history"}
	for _, name := range order {
		pg.write(name, contents[name])
		relative := filepath.Join(filepath.Base(pg.dir), name)
		if outcome := s.push(relative); outcome != Archived {
			t.Errorf("%s: %s", name, outcome)
		}
		if outcome := s.push(relative); outcome != Known {
			t.Errorf("%s again: %s", name, outcome)
		}
		if !bytes.Equal(s.stored(name), contents[name]) {
			t.Errorf("%s is not what PostgreSQL has", name)
		}
		if left, err := os.ReadFile(pg.path(name)); err != nil || !bytes.Equal(left, contents[name]) {
			t.Errorf("%s was touched: %v", name, err)
		}
	}
	if diff := cmp.Diff(order, s.recorded()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatCannotBeArchivedIsRefusedAndStays(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	pg := newPgWAL(t)
	s.push(pg.segment(firstWAL))
	whole := segmentOf(secondWAL, testSystemID, 1)
	for name, c := range map[string]struct {
		content []byte
		base    string
		kind    sdk.ErrorKind
		says    string
	}{
		"another file of a name": {segmentOf(firstWAL, testSystemID, 2), firstWAL, sdk.Exists, "another file of this name"},
		"half a segment":         {whole[:len(whole)/2], secondWAL, sdk.Invalid, "a segment of this cluster"},
		"an empty file":          {nil, secondWAL, sdk.Invalid, "empty"},
		"no WAL":                 {bytes.Repeat([]byte("text"), 1<<18), secondWAL, sdk.Invalid, ""},
		"another segment's":      {segmentOf(firstWAL, testSystemID, 1), secondWAL, sdk.Invalid, ""},
		"another cluster's":      {segmentOf(secondWAL, testSystemID+1, 1), secondWAL, sdk.Invalid, "system identifier"},
		"another name":           {whole, "pg_control", sdk.Invalid, "not the name of a WAL file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := pg.write(c.base, c.content)
			outcome, _, err := Push(t.Context(), s.Server, path)
			if sdk.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || outcome != "" {
				t.Errorf("%q, %v", outcome, err)
			}
			if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, c.content) {
				t.Errorf("it was touched: %v", err)
			}
			if aside := s.files("errors"); len(aside) > 0 {
				t.Errorf("in errors: %q", aside)
			}
		})
	}
	if err := os.Symlink("/etc/passwd", pg.path("00000003.history")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Push(t.Context(), s.Server, pg.path("00000003.history")); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("a link: %v", err)
	}
	if _, _, err := Push(t.Context(), s.Server, pg.path("00000004.history")); sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("nothing: %v", err)
	}
	if !bytes.Equal(s.stored(firstWAL), segmentOf(firstWAL, testSystemID, 1)) {
		t.Error("the archive was touched")
	}
	if diff := cmp.Diff([]string{firstWAL}, s.recorded()); diff != "" {
		t.Error(diff)
	}
	inactive := newSiteFor(t, t.TempDir(), "conninfo = \"host=x\"\nactive = false", plainLine)
	if _, _, err := Push(t.Context(), inactive.Server, pg.segment(firstWAL)); sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "inactive") {
		t.Errorf("an inactive server: %v", err)
	}
}

func TestACompressedFileIsArchivedAsItIs(t *testing.T) {
	s := newSite(t, t.TempDir(), zstdLine)
	compressed := tool(t, segmentOf(firstWAL, testSystemID, 1), "gzip", "-c")
	if outcome := s.push(newPgWAL(t).write(firstWAL, compressed)); outcome != Archived || !bytes.Equal(s.raw(firstWAL), compressed) {
		t.Error(outcome)
	}
}

// Whoever brings a segment at the same time, the archive has it once.
func TestASegmentThatComesByEveryWayAtOnceIsArchivedOnce(t *testing.T) {
	home := t.TempDir()
	s := newSite(t, home, zstdLine+"\nsink \"posix\" {\n  path = \""+filepath.Join(home, "second")+"\"\n}")
	pg := newPgWAL(t)
	all := names(t, firstWAL, 4)
	for _, name := range all {
		path := pg.segment(name)
		s.segment("streaming", name)
		s.segment("incoming", name)
		var group errgroup.Group
		for range 3 {
			group.Go(func() error {
				_, _, err := Push(t.Context(), s.Server, path)
				return err
			})
		}
		group.Go(func() error {
			_, err := Archive(t.Context(), s.Server, ArchiveOptions{})
			if sdk.KindOf(err) == sdk.Busy {
				return nil
			}
			return err
		})
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	s.archive()
	if diff := cmp.Diff(all, s.recorded()); diff != "" {
		t.Error(diff)
	}
	for _, name := range all {
		n, err := wal.ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(filepath.Join(home, "second", "wals", n.HashDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		want := segmentOf(name, testSystemID, 1)
		if !bytes.Equal(s.stored(name), want) || !bytes.Equal(s.plain(second), want) {
			t.Errorf("%s is not what PostgreSQL has", name)
		}
	}
	if left := append(s.files("errors"), append(s.files("streaming"), s.files("incoming")...)...); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestPushingWaitsForTheArchiver(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	path := newPgWAL(t).segment(firstWAL)
	lock, err := s.Catalogue.Lock(catalogue.LockArchiveWAL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := Push(ctx, s.Server, path); err == nil || len(s.recorded()) > 0 {
		t.Errorf("while somebody archives: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, _, err := Push(t.Context(), s.Server, path)
		done <- err
	}()
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPushingToAFullDiskFailsAndWorksOnceThereIsRoom(t *testing.T) {
	small := pgtest.Tmpfs(t, 3<<20)
	s := newSite(t, small, plainLine)
	pg := newPgWAL(t)
	filler := filepath.Join(small, "filler")
	if err := os.WriteFile(filler, make([]byte, 5<<19), 0o600); err != nil {
		t.Fatal(err)
	}
	path := pg.segment(firstWAL)
	if _, _, err := Push(t.Context(), s.Server, path); err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Fatalf("error %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if outcome := s.push(path); outcome != Archived || !bytes.Equal(s.stored(firstWAL), segmentOf(firstWAL, testSystemID, 1)) {
		t.Error(outcome)
	}
}
