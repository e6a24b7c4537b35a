package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// A server that nobody writes to: the segment in which the backup ends is the
// last one there is, and has to be archived for the backup to be of use.
func TestABackupOfAnIdleServerBecomesDone(t *testing.T) {
	for _, way := range []struct {
		name      string
		streaming bool
		delivered bool
	}{{"streaming", true, false}, {"archive_command", false, true}, {"both", true, true}} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			s := newIdleSite(t, pgtest.Options{Major: 17}, way.streaming, way.delivered)
			id := s.backup()
			c := pgtest.StartExisting(t, s.Major, s.restore(id), nil)
			c.WaitRecovered()
			if n := pgtest.One[int](c, "SELECT count(*)::int FROM pg_database"); n != 3 {
				t.Errorf("%d databases", n)
			}
		})
	}
}

// newIdleSite is a server without a single write, whose WAL comes in the given
// ways.
func newIdleSite(t *testing.T, o pgtest.Options, streaming, delivered bool) *site {
	t.Helper()
	d := newDelivery(t)
	if delivered {
		o.Config = d.settings()
	}
	source := ""
	if streaming {
		source = "    source \"pgreceivewal\" {\n      slot = \"barman\"\n      create_slot = \"auto\"\n    }\n"
	}
	s := newSite(t, o, zstdTar+d.block()+fmt.Sprintf("  wal {\n    archive = %v\n%s    transform \"compress\" { codec = \"lz4\" }\n    sink \"posix\" {}\n  }\n", delivered, source))
	if streaming {
		s.receive()
	}
	return s
}

func TestSegmentsOfAnySizeAreArchived(t *testing.T) {
	for _, megabytes := range []int{1, 64} {
		t.Run(fmt.Sprint(megabytes), func(t *testing.T) {
			t.Parallel()
			s := newIdleSite(t, pgtest.Options{Major: 15, SegmentSizeMB: megabytes}, true, true)
			s.backup()
			s.home.Must("archive-wal", "main") // whatever came the second way
			end := s.lastArchived()
			plain := run(t, "sh", "-c", "lz4 -dcq "+end+" | wc -c")
			if got, want := strings.TrimSpace(plain), fmt.Sprint(megabytes<<20); got != want {
				t.Errorf("%s holds %s bytes, not %s", end, got, want)
			}
			if left, err := filepath.Glob(s.path("errors", "*")); err != nil || len(left) > 0 {
				t.Errorf("set aside: %q (%v)", left, err)
			}
			c := pgtest.StartExisting(t, s.Major, s.restore("latest"), nil)
			c.WaitRecovered()
		})
	}
}

// lastArchived is the path of the newest archived segment.
func (s *site) lastArchived() string {
	s.t.Helper()
	paths, err := filepath.Glob(s.path("wals", "????????????????", "????????????????????????"))
	if err != nil || len(paths) == 0 {
		s.t.Fatalf("archived: %q (%v)", paths, err)
	}
	return paths[len(paths)-1]
}

func TestArchiveWALTellsOfBothWaysAndOfBatches(t *testing.T) {
	t.Parallel()
	home := pgtest.NewHome(t, `server "main" {
  conninfo = "host=x"
  wal {
    archive             = true
    incoming_batch_size = 1
    source "pgreceivewal" {}
    sink "posix" {}
  }
}
`)
	for directory, history := range map[string][]string{"streaming": {"00000002"}, "incoming": {"00000002", "00000003"}} {
		if err := os.MkdirAll(filepath.Join(home.Dir, "main", directory), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, timeline := range history {
			path := filepath.Join(home.Dir, "main", directory, timeline+".history")
			if err := os.WriteFile(path, []byte("1\t0/3000000\tno recovery target specified\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	streaming, incoming := "Processing xlog segments from streaming for main\n", "Processing xlog segments from file archival for main (batch size: 1)\n"
	for _, want := range []string{
		streaming + "\t00000002.history\n" + incoming + "\t00000002.history\n",
		streaming + "\tno file found\n" + incoming + "\t00000003.history\n",
		streaming + "\tno file found\n" + incoming + "\tno file found\n",
	} {
		if got := home.Must("archive-wal", "main"); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}
