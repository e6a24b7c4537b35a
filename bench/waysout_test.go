package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// replayed is how many segments a standby replays.
const replayed = 200

// BenchmarkWALOut measures the ways of WAL out of the archive.
func BenchmarkWALOut(b *testing.B) {
	b.Run("get", func(b *testing.B) {
		s := newWALSite(b)
		s.runParts(b, part{"segment", "Ten segments out of the archive", func(inside *site, r *report) {
			at := &walSite{site: inside, written: s.written}
			wanted := s.written[len(s.written)-10:]
			at.walArchive(wanted).run()
			at.archivePush(wanted).run()
			r.versus("`barman get-wal -o` of ten 16 MB segments of pgbench's WAL from zstd, level 3, on a local disk, a process for each; beside "+
				"`pgbackrest archive-get`, posix, `zst` 3.", 1.2, [2]string{"barman", "pgbackrest"},
				compare(inside.B, at.getWAL(wanted), at.archiveGet(wanted)))
		}})
	})
	b.Run("replay", func(b *testing.B) {
		s := newReplaySite(b)
		s.runParts(b, part{"standby", fmt.Sprintf("A standby that replays %d segments", replayed), func(inside *site, r *report) {
			at := *s
			at.walSite = &walSite{site: inside, written: s.written}
			r.versus("From the start of PostgreSQL to the last record of pgbench's WAL: with `barman-wal-restore -p 4` over ssh from an archive in zstd, level 3, all "+
				"on one machine; beside `cp` from a directory.", 1.15, [2]string{"barman-wal-restore", "cp"},
				compare(inside.B, at.replay("barman-wal-restore", at.walRestore()), at.replay("cp", "cp "+at.plain+"/%f %p")))
		}})
	})
}

// getWAL gets segments, a process for each.
func (s *walSite) getWAL(segments []string) contender {
	return contender{name: "barman get-wal", run: func() sample {
		to := s.place("got")
		if err := os.MkdirAll(to, 0o700); err != nil {
			s.Fatal(err)
		}
		measured := run(s.B, each(s.home.Command("-q", "get-wal", "-o", to, "main"), names(segments)), 0)
		measured.stored = size(s.B, to)
		return measured
	}}
}

func (s *walSite) archiveGet(segments []string) contender {
	return contender{name: "pgbackrest archive-get", run: func() sample {
		to := s.place("got")
		if err := os.MkdirAll(to, 0o700); err != nil {
			s.Fatal(err)
		}
		loop := each(s.archiver("archive-get"), names(segments))
		loop.Args[2] = strings.Replace(loop.Args[2], `"$f" ||`, `"$f" '`+to+`'/"$f" ||`, 1)
		measured := run(s.B, loop, 0)
		measured.stored = size(s.B, to)
		return measured
	}}
}

// names are those of files.
func names(paths []string) []string {
	var all []string
	for _, path := range paths {
		all = append(all, filepath.Base(path))
	}
	return all
}

// replaySite has a base backup, and after it the WAL to replay: in barman's
// archive and in a plain directory.
type replaySite struct {
	*walSite
	base, plain string
	sshd        *pgtest.SSHD
	program     string
}

func newReplaySite(b *testing.B) *replaySite {
	c := pgtest.Start(b, pgtest.Options{Major: major, Config: map[string]string{
		"max_wal_size": "32GB", "wal_keep_size": "32GB", "checkpoint_timeout": "1h", "shared_buffers": "256MB",
	}})
	s := &replaySite{walSite: &walSite{site: &site{B: b, cluster: c, scratch: pgtest.Scratch(b)}}}
	s.base, s.plain = filepath.Join(s.scratch, "base"), filepath.Join(s.scratch, "plain")
	backup := exec.Command(pgtest.Tool(b, major, "pg_basebackup"), "-D", s.base, "-X", "none", "-c", "fast", "-R", "-d", c.ConninfoAs("postgres"))
	if output, err := backup.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, output)
	}
	// A standby asks its restore_command first; it has no primary to ask then.
	if err := os.WriteFile(filepath.Join(s.base, "postgresql.auto.conf"), nil, 0o600); err != nil {
		b.Fatal(err)
	}
	s.written = s.fill(replayed)
	s.archiveBoth()
	s.sshd = pgtest.StartSSHD(b, pgtest.SSHDOptions{Path: []string{pgtest.BarmanBin(b)}})
	s.program = filepath.Join(pgtest.Scratch(b), "barman-wal-restore")
	if output, err := exec.Command("cp", filepath.Join(pgtest.BarmanBin(b), "barman"), s.program).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, output)
	}
	return s
}

// archiveBoth puts the segments into barman's archive and into the plain
// directory.
func (s *replaySite) archiveBoth() {
	s.home = pgtest.NewHome(s.B, fmt.Sprintf(`
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
`, s.cluster.Conninfo()))
	incoming := filepath.Join(s.home.Dir, "main", "incoming")
	for _, directory := range []string{s.plain, incoming} {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			s.Fatal(err)
		}
		run(s.B, exec.Command("cp", append(append([]string{}, s.written...), directory)...), 0)
	}
	if output, err := exec.Command("chmod", "-R", "a+rX", s.plain).CombinedOutput(); err != nil {
		s.Fatalf("%v\n%s", err, output)
	}
	run(s.B, s.home.Command("-q", "archive-wal", "main"), 0)
}

// walRestore is a restore_command that fetches ahead.
func (s *replaySite) walRestore() string {
	spool := pgtest.Scratch(s.B)
	pgtest.Own(s.B, spool)
	return fmt.Sprintf("PATH=%s %s -U %s -c %s --spool-dir %s -p 4 backup main %%f %%p", s.sshd.ClientPath(), s.program, s.sshd.User, s.home.Config, spool)
}

// replay starts a standby of the base backup and waits until it has replayed
// the last segment.
func (s *replaySite) replay(name, restoreCommand string) contender {
	last := filepath.Base(s.written[len(s.written)-1])
	return contender{name: name, run: func() sample {
		data := s.place("standby")
		if output, err := exec.Command("cp", "-a", s.base, data).CombinedOutput(); err != nil {
			s.Fatalf("%v\n%s", err, output)
		}
		sync(s.B)
		begun := time.Now()
		standby := pgtest.StartExisting(s.B, major, data, map[string]string{"restore_command": restoreCommand, "shared_buffers": "256MB", "max_wal_size": "32GB"})
		for !pgtest.One[bool](standby, "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') >= ('x' || substr($1::text, 9, 8))::bit(32)::bigint::numeric * 4294967296 + (('x' || right($1::text, 8))::bit(32)::bigint + 1)::numeric * 16777216 - 8192", last) {
			time.Sleep(20 * time.Millisecond)
		}
		measured := sample{wall: time.Since(begun)}
		standby.Stop(pgtest.Immediate)
		return measured
	}}
}
