package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk/wal"
	"github.com/barman-go/barman/test/pgtest"
)

// segments is how many WAL segments a round handles.
const segments = 100

// walSite is a site whose server "main" archives to zstd, level 3, and the WAL
// that pgbench wrote.
type walSite struct {
	*site
	begun   string   // path of the complete segment that each archive begins with
	written []string // paths of those that follow, in order
}

func newWALSite(b *testing.B) *walSite {
	c := pgtest.Start(b, pgtest.Options{Major: major, Config: map[string]string{
		"max_wal_size": "8GB", "wal_keep_size": "8GB", "checkpoint_timeout": "1h", "shared_buffers": "256MB", "fsync": "off",
	}})
	s := &walSite{site: &site{B: b, cluster: c, scratch: pgtest.Scratch(b)}}
	complete := s.fill(1 + segments)
	s.begun, s.written = complete[0], complete[1:]
	s.home = pgtest.NewHome(b, fmt.Sprintf(`
server "main" {
  conninfo = %q
  wal {
    archive = true
    transform "compress" {
      codec = "zstd"
      level = 3
    }
    sink "posix" {}
  }
}
`, c.Conninfo()))
	return s
}

// fill has the server write WAL until so many segments are complete: that of a
// load, and that of transactions.
func (s *walSite) fill(wanted int) []string {
	directory := filepath.Join(s.cluster.DataDir, "pg_wal")
	for {
		s.cluster.PgbenchInit(60)
		s.cluster.Pgbench("-n", "-c", "4", "-j", "2", "-t", "5000")
		current := s.cluster.SwitchWAL()
		entries, err := os.ReadDir(directory)
		if err != nil {
			s.Fatal(err)
		}
		var complete []string
		for _, entry := range entries {
			name, err := wal.ParseName(entry.Name())
			if err == nil && name.Kind == wal.KindSegment && entry.Name() < current {
				complete = append(complete, filepath.Join(directory, entry.Name()))
			}
		}
		if len(complete) >= wanted {
			return complete[:wanted]
		}
	}
}

// archive is the directory of what "main" has archived.
func (s *walSite) archive() string { return filepath.Join(s.home.Dir, "main", "wals") }

// walArchive archives so many segments, a process for each, into an archive that
// exists, as that of pgbackrest does after stanza-create.
func (s *walSite) walArchive(segments []string) contender {
	return contender{name: "barman wal-archive", run: func() sample {
		if err := os.RemoveAll(filepath.Join(s.home.Dir, "main")); err != nil {
			s.Fatal(err)
		}
		s.home.Must("wal-archive", "main", s.begun)
		measured := run(s.B, each(s.home.Command("wal-archive", "main"), segments), 0)
		measured.stored = size(s.B, s.archive())
		return measured
	}}
}

func (s *walSite) archivePush(segments []string) contender {
	return contender{name: "pgbackrest archive-push", run: func() sample {
		repository := filepath.Join(s.place("pgbackrest-wal"), "repo")
		run(s.B, s.archiver("--no-online", "stanza-create"), 0)
		measured := run(s.B, each(s.archiver("--compress-type=zst", "--compress-level=3", "archive-push"), segments), 0)
		measured.stored = size(s.B, filepath.Join(repository, "archive"))
		return measured
	}}
}

// archiver is pgbackrest with a repository for WAL alone.
func (s *walSite) archiver(args ...string) *exec.Cmd {
	root := filepath.Join(s.scratch, "pgbackrest-wal")
	return exec.Command("pgbackrest", append([]string{
		"--stanza=bench", "--pg1-path=" + s.cluster.DataDir, "--repo1-path=" + filepath.Join(root, "repo"), "--lock-path=" + filepath.Join(root, "lock"),
		"--log-level-console=warn", "--log-level-file=off",
	}, args...)...)
}

// copied is what any archive_command has to do at the least.
func (s *walSite) copied(segments []string) contender {
	return contender{name: "cp, sync", run: func() sample {
		to := s.place("copied")
		if err := os.MkdirAll(to, 0o700); err != nil {
			s.Fatal(err)
		}
		return run(s.B, each(exec.Command("sh", "-c", `cp "$1" "$0" && sync "$0/${1##*/}" "$0"`, to), segments), 0)
	}}
}

// each runs a command once for each file, which is its last argument, in a
// shell loop as cheap as can be.
func each(cmd *exec.Cmd, files []string) *exec.Cmd {
	words := make([]string, len(cmd.Args))
	for i, arg := range cmd.Args {
		words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	words[0] = "'" + cmd.Path + "'"
	loop := exec.Command("sh", append([]string{"-c", `for f; do ` + strings.Join(words, " ") + ` "$f" || exit 1; done`, "sh"}, files...)...)
	loop.Dir, loop.Env = cmd.Dir, cmd.Env
	return loop
}

// BenchmarkWAL measures the ways of WAL into the archive and out of it.
func BenchmarkWAL(b *testing.B) {
	s := newWALSite(b)
	s.runParts(b,
		part{"one", "One segment by archive_command", func(inside *site, r *report) {
			at := &walSite{site: inside, begun: s.begun, written: s.written}
			r.versus("`barman wal-archive` of a 16 MB segment of pgbench's WAL to zstd, level 3, on a local disk, process and plugins started for it; beside "+
				"`pgbackrest archive-push`, posix, `zst` 3.", 1.0, [2]string{"barman", "pgbackrest"},
				compare(inside.B, at.walArchive(s.written[:1]), at.archivePush(s.written[:1])))
		}},
		part{"row", "A hundred segments by archive_command", func(inside *site, r *report) {
			at := &walSite{site: inside, begun: s.begun, written: s.written}
			samples := compare(inside.B, at.walArchive(s.written), at.archivePush(s.written), at.copied(s.written))
			r.versus("The same, one after the other, a process for each.", 1.0, [2]string{"barman", "pgbackrest"}, samples[:2])
			r.printf("`cp` and `sync` of each file and its directory, uncompressed: %s s.\n", seconds(wall(samples[2])))
		}},
	)
}
