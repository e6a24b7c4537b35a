package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
)

// twoSinks stores everything a second time, below a directory.
func twoSinks(directory string, required bool) string {
	second := fmt.Sprintf("    sink \"posix\" {\n      path     = %q\n      required = %t\n    }\n  }\n", directory, required)
	return strings.Replace(zstdTar, "    sink \"posix\" {}\n  }\n", "    sink \"posix\" {}\n"+second, 1) +
		strings.Replace(receiveLZ4, "    sink \"posix\" {}\n  }\n", "    sink \"posix\" {}\n"+second, 1)
}

// stored are the objects of backups and WAL below a server's directory: sizes by
// name, without what the catalogue keeps beside them.
func stored(t *testing.T, directory string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	for _, part := range []string{"base", "wals"} {
		for path, size := range files(t, filepath.Join(directory, part)) {
			switch base := filepath.Base(path); {
			case base == "backup.info", base == "barman-objects.jsonl", base == "xlog.db", strings.HasPrefix(base, "."):
			default:
				name, err := filepath.Rel(directory, path)
				if err != nil {
					t.Fatal(err)
				}
				found[name] = size
			}
		}
	}
	return found
}

func TestEverySinkHoldsEverything(t *testing.T) {
	t.Parallel()
	second := filepath.Join(pgtest.Scratch(t), "second")
	s := newSite(t, pgtest.Options{Major: 18}, twoSinks(second, true))
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	s.receive()
	s.backup()
	s.SwitchWAL()
	last := w.Stop()
	s.streamed(last.LSN)
	s.home.Must("archive-wal", "main")
	first := stored(t, s.path())
	if len(first) < 3 {
		t.Fatalf("the first sink holds %v", first)
	}
	if diff := cmp.Diff(first, stored(t, second)); diff != "" {
		t.Fatalf("the sinks differ (-first +second):\n%s", diff)
	}
	// Either can take the other's place.
	for _, part := range []string{"base", "wals"} {
		for name := range first {
			if !strings.HasPrefix(name, part) {
				continue
			}
			if err := os.Rename(filepath.Join(second, name), s.path(name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := pgtest.StartExisting(t, s.Major, s.restore("latest"), nil)
	c.WaitRecovered()
	last.Check(t, c)
}

func TestABackupGoesOnWithoutAnOptionalSink(t *testing.T) {
	t.Parallel()
	small := pgtest.Tmpfs(t, mebibyte)
	s := newSite(t, pgtest.Options{Major: 15}, twoSinks(filepath.Join(small, "second"), false))
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	s.receive()
	r := s.home.Run("backup", "main", "--wait")
	if r.Code != 0 || !strings.Contains(r.Stderr, "optional sink") || !strings.Contains(r.Stderr, diskFull) {
		t.Fatalf("exit code %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	s.wantStatuses("DONE")
	last := w.Stop()
	s.streamed(last.LSN)
	s.SwitchWAL()
	r = s.home.Run("archive-wal", "main")
	if r.Code != 0 {
		t.Fatalf("archive-wal: exit code %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	for name := range stored(t, filepath.Join(small, "second")) {
		if strings.HasSuffix(name, ".tar.zst") {
			t.Errorf("the sink that was full holds %s", name)
		}
	}
	c := pgtest.StartExisting(t, s.Major, s.restore("latest"), nil)
	c.WaitRecovered()
	last.Check(t, c)
}

func TestABackupFailsWithARequiredSink(t *testing.T) {
	t.Parallel()
	small := pgtest.Tmpfs(t, mebibyte)
	second := filepath.Join(small, "second")
	s := newSite(t, pgtest.Options{Major: 15}, twoSinks(second, true))
	r := s.home.Run("backup", "main")
	if r.Code == 0 || !strings.Contains(r.Stderr, diskFull) {
		t.Fatalf("exit code %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	s.wantStatuses("FAILED")
}
