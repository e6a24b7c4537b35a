package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk/wal"
	"github.com/barman-go/barman/test/pgtest"
)

const (
	// listedBackups and listedWAL are the catalogue that is listed.
	listedBackups, listedWAL = 1_000, 100_000
	// listedWithin is how long a listing may take.
	listedWithin = 200 * time.Millisecond
	// keptBackups and goneWAL are the catalogue whose oldest backup is deleted: so
	// many WAL files go with it.
	keptBackups, goneWAL = 100, 10_000
	// deletedWithin is how long that may take.
	deletedWithin = 2 * time.Second
)

// catalogueSite is a server "main" without PostgreSQL, of barman and of Debian's
// barman alike.
type catalogueSite struct {
	*site
	python string // the configuration of Debian's barman
}

func newCatalogueSite(b *testing.B) *catalogueSite {
	s := &site{B: b, scratch: pgtest.Scratch(b)}
	s.home = pgtest.NewHome(b, `
server "main" {
  conninfo  = "host=127.0.0.1 port=1"
  retention { policy = "RECOVERY WINDOW OF 100 WEEKS" }
}
`)
	self, err := user.Current()
	if err != nil {
		b.Fatal(err)
	}
	python := filepath.Join(s.scratch, "barman.conf")
	content := fmt.Sprintf(`[barman]
barman_home = %s
barman_user = %s
log_file = %s
[main]
description = Main
conninfo = host=127.0.0.1 port=1
streaming_conninfo = host=127.0.0.1 port=1
backup_method = postgres
streaming_archiver = on
slot_name = barman
retention_policy = RECOVERY WINDOW OF 100 WEEKS
`, s.home.Dir, self.Username, filepath.Join(s.scratch, "python.log"))
	if err := os.WriteFile(python, []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
	return &catalogueSite{site: s, python: python}
}

// place is a path below the server's directory.
func (s *catalogueSite) place(parts ...string) string {
	return filepath.Join(append([]string{s.home.Dir, "main"}, parts...)...)
}

// backupInfo is what Debian's barman writes of a backup.
const backupInfo = `backup_label='START WAL LOCATION: %[4]s (file %[2]s)\nBACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-01-01 00:00:00 UTC\nLABEL: pg_basebackup base backup\nSTART TIMELINE: 1\n'
begin_offset=40
begin_time=%[1]s
begin_wal=%[2]s
begin_xlog=%[4]s
compression=None
config_file=/var/lib/postgresql/15/main/postgresql.conf
copy_stats={'copy_time': 12.5, 'total_time': 12.5}
deduplicated_size=40190000
end_offset=0
end_time=%[1]s
end_wal=%[3]s
end_xlog=%[5]s
error=None
hba_file=/var/lib/postgresql/15/main/pg_hba.conf
ident_file=/var/lib/postgresql/15/main/pg_ident.conf
included_files=['/var/lib/postgresql/15/main/postgresql.auto.conf']
mode=postgres
pgdata=/var/lib/postgresql/15/main
server_name=main
size=40190000
status=DONE
systemid=7300000000000000000
tablespaces=[('fast', 16400, '/srv/fast')]
timeline=1
version=150018
xlog_segment_size=16777216
`

// fill makes a catalogue of so many backups, one a day until today, and so many
// segments: some come between a backup and the next, and first of them before the
// second.
func (s *catalogueSite) fill(backups, segments, first int) {
	s.Helper()
	if err := os.RemoveAll(s.place()); err != nil {
		s.Fatal(err)
	}
	write := func(path, content string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			s.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	today := time.Now().Truncate(24 * time.Hour)
	between := (segments - first) / (backups - 1)
	for i := range backups {
		begin := 1
		if i > 0 {
			begin += first + (i-1)*between
		}
		at := today.AddDate(0, 0, i-backups+1)
		directory := s.place("base", at.Format("20060102T150405"))
		info := fmt.Sprintf(backupInfo, at.Format("2006-01-02 15:04:05-07:00"), segmentName(begin), segmentName(begin+1),
			segmentStart(begin)+40, segmentStart(begin+2))
		write(filepath.Join(directory, "backup.info"), info)
		write(filepath.Join(directory, "data", "PG_VERSION"), "15\n")
		write(filepath.Join(directory, "data", "base", "1", "1259"), "rows")
	}
	var index bytes.Buffer
	for i := range segments {
		name := segmentName(i + 1)
		write(s.place("wals", name[:16], name), "stands for a compressed segment")
		fmt.Fprintf(&index, "%s\t31\t%d.1234567\tgzip\n", name, today.Unix()+int64(i))
	}
	write(s.place("wals", "xlog.db"), index.String())
	write(s.place("identity.json"), "{\n    \"systemid\": \"7300000000000000000\",\n    \"version\": \"15\"\n}\n")
}

func segmentStart(n int) wal.LSN {
	return wal.Segment{Timeline: 1, Number: uint64(n)}.Start(wal.DefaultSegmentSize)
}

func segmentName(n int) string {
	return wal.Segment{Timeline: 1, Number: uint64(n)}.Name(wal.DefaultSegmentSize)
}

// debian is a command of Debian's barman.
func (s *catalogueSite) debian(args ...string) *exec.Cmd {
	return exec.Command("/usr/bin/barman", append([]string{"-q", "-c", s.python}, args...)...)
}

func (s *catalogueSite) ours(args ...string) *exec.Cmd {
	return s.home.Command(append([]string{"-q"}, args...)...)
}

// command is a contender that only reads.
func (s *catalogueSite) command(name string, command func(...string) *exec.Cmd, args ...string) contender {
	return contender{name: name, run: func() sample { return run(s.B, command(args...), 0) }}
}

// deletion is a contender that deletes the oldest backup of a new catalogue.
func (s *catalogueSite) deletion(name string, command func(...string) *exec.Cmd) contender {
	return contender{name: name, run: func() sample {
		s.fill(keptBackups, goneWAL+2*keptBackups, goneWAL)
		measured := run(s.B, command("delete", "main", "oldest"), 0)
		left, err := filepath.Glob(s.place("base", "*"))
		if err != nil || len(left) != keptBackups-1 {
			s.Fatalf("%s left %d backups: %v", name, len(left), err)
		}
		if _, err := os.Stat(s.place("wals", segmentName(goneWAL)[:16], segmentName(goneWAL))); !os.IsNotExist(err) {
			s.Fatalf("%s left WAL: %v", name, err)
		}
		return measured
	}}
}

// BenchmarkCatalogue measures commands that read and change a large catalogue.
func BenchmarkCatalogue(b *testing.B) {
	s := newCatalogueSite(b)
	on := func(inside *site) *catalogueSite { return &catalogueSite{site: inside, python: s.python} }
	s.runParts(b,
		part{"list", "A catalogue of a thousand backups", func(inside *site, r *report) {
			at := on(inside)
			at.fill(listedBackups, listedWAL, listedWAL/listedBackups)
			ours := compare(inside.B, at.command("barman", at.ours, "list-backups", "main"))[0]
			theirs := run(inside.B, at.debian("list-backup", "main"), 0).wall.Seconds() // minutes: once tells enough
			r.printf("`barman list-backups` of %d backups and %d WAL files, with a retention policy: **%s s** (%s), target ≤ %s: %s. Debian's `barman`, version 3.4, takes\n"+
				"%s s for the same, **%.0f** times as long; target ≥ 10 times: %s.\n\n", listedBackups, listedWAL, seconds(wall(ours)), span(ours), listedWithin,
				verdict(wall(ours) <= listedWithin.Seconds()), seconds(theirs), theirs/wall(ours), verdict(theirs >= 10*wall(ours)))
			r.printf("| other commands on the same catalogue | s |\n|---|---:|\n")
			for _, args := range [][]string{{"show-backup", "main", "latest"}, {"wal-gaps", "main"}, {"retention", "main"}} {
				took := compare(inside.B, at.command(args[0], at.ours, args...))[0]
				r.printf("| `%s` | %s |\n", args[0], seconds(wall(took)))
			}
		}},
		part{"delete", "Deleting a backup with its WAL", func(inside *site, r *report) {
			at := on(inside)
			samples := compare(inside.B, at.deletion("barman", at.ours), at.deletion("Debian's barman", at.debian))
			r.versus(fmt.Sprintf("`barman delete` of the oldest of %d backups, with which %d WAL files go; beside Debian's `barman`, version 3.4.", keptBackups, goneWAL),
				1, [2]string{"barman", "Debian's barman"}, samples)
			r.printf("It takes **%s s** (target ≤ %s: %s).\n", seconds(wall(samples[0])), deletedWithin, verdict(wall(samples[0]) <= deletedWithin.Seconds()))
		}},
	)
}
