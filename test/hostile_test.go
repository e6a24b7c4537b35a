package test

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
)

// hostile is a store that somebody else has written to, and what must not be
// touched by recovering from it.
type hostile struct {
	*site
	id      string
	outside string // a directory beside every destination
	before  map[string]string
}

// newHostile takes a backup as one tar file that is not compressed, and forgets
// its checksums, as whoever changes a store would.
func newHostile(t *testing.T, blocks string) *hostile {
	t.Helper()
	s := newSite(t, pgtest.Options{Major: 15}, blocks+receiveLZ4)
	receiver := s.receive()
	h := &hostile{site: s, id: s.backup(), outside: filepath.Join(pgtest.Scratch(t), "outside")}
	receiver.stop()
	if err := os.Remove(s.path("base", h.id, "barman-objects.jsonl")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(h.outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.outside, "sentinel"), []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.before = h.look(t)
	return h
}

const oneTar = `
  backup {
    layout = "tar"
    source "pgbasebackup" { checkpoint = "fast" }
    sink "posix" {}
  }
`

// look is what is outside: paths with kinds, sizes and contents.
func (h *hostile) look(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(h.outside, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			found[path] = "no file"
			return err
		}
		content, err := os.ReadFile(path)
		found[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// recovers runs barman recover into a directory beside what must not be touched,
// and returns the directory.
func (h *hostile) recovers(t *testing.T, backup string) (string, pgtest.Result) {
	t.Helper()
	parent := filepath.Dir(h.outside)
	directory := filepath.Join(parent, "restored")
	if err := os.RemoveAll(directory); err != nil {
		t.Fatal(err)
	}
	siblings := names(t, parent)
	r := h.home.Run("recover", "main", backup, directory, "--target-immediate")
	if strings.Contains(r.Stderr, "panic") || strings.Contains(r.Stderr, "goroutine ") {
		t.Errorf("it panics:\n%s", r.Stderr)
	}
	if diff := cmp.Diff(h.before, h.look(t)); diff != "" {
		t.Errorf("what is outside the destination has changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(siblings, without(names(t, parent), "restored")); diff != "" {
		t.Errorf("files beside the destination (-before +after):\n%s", diff)
	}
	return directory, r
}

// refused fails the test unless the recovery was refused and cannot be started.
func (h *hostile) refused(t *testing.T, backup string) pgtest.Result {
	t.Helper()
	directory, r := h.recovers(t, backup)
	if r.Code == 0 {
		t.Errorf("it recovers:\n%s%s", r.Stdout, r.Stderr)
	}
	// In an empty directory there is nothing to start.
	if entries, err := os.ReadDir(directory); err == nil && len(entries) > 0 {
		if _, err := os.Lstat(filepath.Join(directory, "postmaster.pid")); err != nil {
			t.Errorf("nothing keeps PostgreSQL from starting there: %v", err)
		}
	}
	return r
}

func names(t *testing.T, directory string) []string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

func without(all []string, name string) []string {
	kept := []string{}
	for _, n := range all {
		if n != name {
			kept = append(kept, n)
		}
	}
	return kept
}

// entry is one of a tar file.
func entry(kind byte, name, link string) tar.Header {
	return tar.Header{Typeflag: kind, Name: name, Linkname: link, Mode: 0o644, Size: 0, Format: tar.FormatPAX}
}

func file(name string) tar.Header {
	h := entry(tar.TypeReg, name, "")
	h.Size = int64(len(evil))
	return h
}

const evil = "evil"

func TestAHostileTarTouchesNothingOutsideTheDestination(t *testing.T) {
	t.Parallel()
	h := newHostile(t, oneTar)
	path := h.path("base", h.id, "data", "base.tar")
	genuine, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The store may have been changed, but what it held comes back.
	if directory, r := h.recovers(t, h.id); r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	} else {
		verify(t, directory)
	}
	outside := h.outside
	for _, attack := range []struct {
		name    string
		entries []tar.Header
	}{
		{"upwards", []tar.Header{file("../outside/evil")}},
		{"upwards from below", []tar.Header{file("base/../../outside/evil")}},
		{"absolute", []tar.Header{file(outside + "/evil")}},
		{"upwards directory", []tar.Header{entry(tar.TypeDir, "../outside/evil/", "")}},
		{"through a symbolic link", []tar.Header{entry(tar.TypeSymlink, "link", outside), file("link/evil")}},
		{"through a relative symbolic link", []tar.Header{entry(tar.TypeSymlink, "link", "../outside"), file("link/evil")}},
		{"through a tablespace nobody knows", []tar.Header{entry(tar.TypeSymlink, "pg_tblspc/99999", outside), file("pg_tblspc/99999/evil")}},
		{"over a symbolic link", []tar.Header{entry(tar.TypeSymlink, "sentinel", outside+"/sentinel"), file("sentinel")}},
		{"where WAL is staged", []tar.Header{entry(tar.TypeSymlink, "barman_wal", outside)}},
		{"where settings are written", []tar.Header{entry(tar.TypeSymlink, "recovery.signal", outside+"/evil"), entry(tar.TypeSymlink, "postgresql.auto.conf", outside+"/sentinel")}},
		{"in the place of a directory", []tar.Header{entry(tar.TypeSymlink, "new", outside), entry(tar.TypeDir, "new/", ""), file("new/evil")}},
		{"hard link out", []tar.Header{entry(tar.TypeLink, "link", outside+"/sentinel"), file("link")}},
		{"relative hard link out", []tar.Header{entry(tar.TypeLink, "link", "../outside/sentinel"), file("link")}},
		{"device", []tar.Header{entry(tar.TypeBlock, "disk", "")}},
		{"pipe", []tar.Header{entry(tar.TypeFifo, "global/pipe", "")}},
		{"100,000 directories deep", []tar.Header{file(strings.Repeat("d/", 100_000) + "evil")}},
		{"a name of half a megabyte", []tar.Header{file(strings.Repeat("n", mebibyte/2))}},
		{"a file in the place of a directory", []tar.Header{file("global/pg_control/evil")}},
	} {
		t.Run(attack.name, func(t *testing.T) {
			if err := os.WriteFile(path, append(archive(t, attack.entries), genuine...), 0o600); err != nil {
				t.Fatal(err)
			}
			h.refused(t, h.id)
		})
	}
	t.Run("cut short", func(t *testing.T) {
		for _, length := range []int{0, 100, 512, 1000, len(genuine) / 2, len(genuine) - 1024} {
			if err := os.WriteFile(path, genuine[:length], 0o600); err != nil {
				t.Fatal(err)
			}
			h.refused(t, h.id)
		}
	})
	t.Run("size of exbibytes", func(t *testing.T) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "huge", Mode: 0o600, Size: 1 << 62, Format: tar.FormatGNU}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b.Bytes(), genuine...), 0o600); err != nil {
			t.Fatal(err)
		}
		h.refused(t, h.id)
	})
	t.Run("no tar at all", func(t *testing.T) {
		if err := os.WriteFile(path, bytes.Repeat([]byte("garbage\n"), 10_000), 0o600); err != nil {
			t.Fatal(err)
		}
		h.refused(t, h.id)
	})
}

// archive makes a tar file without its end, so that another can follow.
func archive(t *testing.T, entries []tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if err := w.WriteHeader(&e); err != nil {
			t.Fatal(err)
		}
		if e.Size > 0 {
			if _, err := io.WriteString(w, evil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAStoreThatHasLostBytesIsNoticed(t *testing.T) {
	t.Parallel()
	for name, blocks := range map[string]string{"tar": oneTar, "files": plainFiles, "compressed": zstdTar} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, pgtest.Options{Major: 15, Tablespaces: []string{"side"}}, blocks+receiveLZ4)
			s.Exec("CREATE TABLE elsewhere TABLESPACE side AS SELECT generate_series(1, 10000)")
			receiver := s.receive()
			id := s.backup()
			receiver.stop()
			verify(t, s.restore(id))
			largest, size := "", int64(0)
			for path, n := range files(t, s.path("base", id, "data")) {
				if n > size {
					largest, size = path, n
				}
			}
			genuine, err := os.ReadFile(largest)
			if err != nil {
				t.Fatal(err)
			}
			flipped := bytes.Clone(genuine)
			flipped[len(flipped)/2] ^= 4
			for what, content := range map[string][]byte{"flipped": flipped, "cut": genuine[:len(genuine)-512], "empty": {}, "missing": nil} {
				if err := os.Remove(largest); err != nil {
					t.Fatal(err)
				}
				if content != nil {
					if err := os.WriteFile(largest, content, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				directory, options := s.destination()
				r := s.home.Run(append([]string{"recover", "main", id, directory}, options...)...)
				want := exitCorrupt
				if what == "missing" && name != "files" {
					want = exitFailed // there is nothing else
				}
				if r.Code != want {
					t.Errorf("%s: exit code %d, want %d: %s", what, r.Code, want, r.Stderr)
				}
				_, err := os.Lstat(filepath.Join(directory, "postmaster.pid"))
				if begun := len(glob(t, filepath.Join(directory, "*"))) > 0; begun && err != nil {
					t.Errorf("%s: nothing keeps PostgreSQL from starting there: %v", what, err)
				}
				if err := os.WriteFile(largest, genuine, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestAHostileCatalogueTouchesNothingOutsideTheDestination(t *testing.T) {
	t.Parallel()
	h := newHostile(t, plainFiles)
	infoPath, data := h.path("base", h.id, "backup.info"), h.path("base", h.id, "data")
	info, err := os.ReadFile(infoPath)
	if err != nil {
		t.Fatal(err)
	}
	outside := h.outside

	t.Run("backup.info", func(t *testing.T) {
		for name, change := range map[string]string{
			"tablespace upwards":           "tablespaces=[('t', 16999, '../outside')]",
			"tablespace without a path":    "tablespaces=[('t', 16999, '')]",
			"tablespace in a used place":   "tablespaces=[('t', 16999, '" + outside + "')]",
			"tablespace of the root":       "tablespaces=[('t', 16999, '/')]",
			"tablespace in the data":       "tablespaces=[('t', 16999, '" + filepath.Dir(outside) + "/restored/global')]",
			"tablespace around the data":   "tablespaces=[('t', 16999, '" + filepath.Dir(outside) + "')]",
			"tablespace without a number":  "tablespaces=[('t', '../../../outside', '/t')]",
			"tablespace of a big number":   "tablespaces=[('t', 99999999999999999999, '/t')]",
			"tablespace of a bad number":   "tablespaces=[('t', -1, '/t')]",
			"many brackets":                "tablespaces=" + strings.Repeat("[", 100_000),
			"begin_wal elsewhere":          "begin_wal=../../../outside/sentinel",
			"end_wal elsewhere":            "end_wal=" + outside + "/sentinel",
			"timeline that is no timeline": "timeline=-1",
			"xlog_segment_size of zero":    "xlog_segment_size=0",
			"another backup's ID":          "backup_id=../../outside",
		} {
			key, _, _ := strings.Cut(change, "=")
			lines := strings.Split(string(info), "\n")
			changed := false
			for i, line := range lines {
				if strings.HasPrefix(line, key+"=") {
					lines[i], changed = change, true
				}
			}
			if !changed {
				lines = append(lines, change, "")
			}
			if err := os.WriteFile(infoPath, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			if r := h.refused(t, h.id); t.Failed() {
				t.Fatalf("%s: exit code %d\n%s", name, r.Code, r.Stderr)
			}
		}
		if err := os.WriteFile(infoPath, info, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("links in the store", func(t *testing.T) {
		for name, target := range map[string]string{
			"a-file": filepath.Join(outside, "sentinel"), "a-directory": outside, "base/1/a-file": "../../../../../../../etc/passwd",
		} {
			link := filepath.Join(data, name)
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			directory, _ := h.recovers(t, h.id)
			for path := range files(t, directory) {
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if string(content) == "untouched" {
					t.Errorf("what a link of the store leads to was restored as %s", path)
				}
			}
			if _, err := os.Lstat(filepath.Join(directory, name)); err == nil {
				t.Errorf("%s of the store was restored", name)
			}
			if err := os.Remove(link); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("WAL archive", func(t *testing.T) {
		index := h.path("wals", "xlog.db")
		before, err := os.ReadFile(index)
		if err != nil {
			t.Fatal(err)
		}
		hostileLines := "../../../outside/sentinel\t9223372036854775807\t0\tNone\n" + outside + "/sentinel\t1\t1\tlz4\n" +
			strings.Repeat("0", 1<<20) + "\n\x00\xff\n000000010000000000000001\t-5\t1e400\t\n"
		if err := os.WriteFile(index, append([]byte(hostileLines), before...), 0o600); err != nil {
			t.Fatal(err)
		}
		h.recovers(t, h.id)
		if err := os.WriteFile(index, before, 0o600); err != nil {
			t.Fatal(err)
		}
		segment := "000000010000000000000077"
		if err := os.Symlink(filepath.Join(outside, "sentinel"), h.path("wals", segment[:16], segment)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, h.path("wals", "0000000100000009")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(outside, "sentinel"), h.path("streaming", "000000010000000000000078.partial")); err != nil {
			t.Fatal(err)
		}
		directory, _ := h.recovers(t, h.id)
		for path, size := range files(t, filepath.Join(directory, "barman_wal")) {
			if size == int64(len("untouched")) {
				t.Errorf("what a link of the archive leads to was restored as %s", path)
			}
		}
	})
}
