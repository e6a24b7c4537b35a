package bench

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

const (
	// tables of 1 MB each there are by default, of which one in a hundred changes
	// between two backups.
	tables = 1500
	oneIn  = 100
)

// rsyncSite is a server whose files are copied by barman, Debian's barman and
// rsync alone.
type rsyncSite struct {
	*site
	tables int
	round  int
	python string // the configuration of Debian's barman
}

func newRsyncSite(b *testing.B) *rsyncSite {
	s := &rsyncSite{site: &site{B: b, scratch: pgtest.Scratch(b)}, tables: tables * scaleWanted(b) / scale}
	arriving := func(server string) string { return filepath.Join(s.scratch, "incoming", server) }
	var delivering []string
	for _, server := range []string{"full", "linked", "python"} {
		delivering = append(delivering, fmt.Sprintf("cp %%p %[1]s/.%%f && mv %[1]s/.%%f %[1]s/%%f", arriving(server)))
	}
	for _, directory := range []string{s.scratch, filepath.Join(s.scratch, "incoming"), arriving("full"), arriving("linked"), arriving("python"), filepath.Join(s.scratch, "python")} {
		if err := os.MkdirAll(directory, 0o777); err != nil {
			b.Fatal(err)
		}
		if err := os.Chmod(directory, 0o777); err != nil { // PostgreSQL delivers WAL there
			b.Fatal(err)
		}
	}
	s.cluster = pgtest.Start(b, pgtest.Options{Major: major, Config: map[string]string{
		"max_wal_size": "8GB", "checkpoint_timeout": "1h", "shared_buffers": "256MB", "autovacuum": "off",
		"archive_mode": "on", "archive_command": strings.Join(delivering, " && "),
	}})
	s.cluster.Exec(fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP
		EXECUTE format('CREATE TABLE t%%s AS SELECT j, repeat(md5(j::text), 30) AS t FROM generate_series(1, 1000) j', i);
	END LOOP; END $$`, s.tables))
	s.cluster.Exec("CHECKPOINT")
	s.cluster.SwitchWAL()
	self, err := user.Current()
	if err != nil {
		b.Fatal(err)
	}
	s.python = filepath.Join(s.scratch, "barman.conf")
	content := fmt.Sprintf("[barman]\nbarman_home = %s\nbarman_user = %s\nlog_file = %s\n[main]\ndescription = Main\nconninfo = %s\nstreaming_conninfo = %[4]s\n"+
		"backup_method = local-rsync\nreuse_backup = link\nimmediate_checkpoint = true\narchiver = on\nparallel_jobs = 2\nincoming_wals_directory = %[5]s\n",
		filepath.Join(s.scratch, "python"), self.Username, filepath.Join(s.scratch, "python.log"), s.cluster.Conninfo(), arriving("python"))
	if err := os.WriteFile(s.python, []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
	server := func(name, reuse string) string {
		return fmt.Sprintf(`
server %q {
  conninfo                = %q
  incoming_wals_directory = %q
  wal { archive = true }
  backup {
    source "rsync" {
      immediate_checkpoint = true
      reuse_backup         = %q
    }
    sink "posix" {}
    jobs = 2
  }
}
`, name, s.cluster.Conninfo(), arriving(name), reuse)
	}
	s.home = pgtest.NewHome(b, server("full", "off")+server("linked", "link"))
	return s
}

// rsync copies the data directory with two processes, as barman's two jobs, and
// makes the copy durable, as barman does: one takes the databases' directories whose
// numbers are even, which hold next to nothing, so it is given the tables' first half.
// Of a server at work files vanish, which rsync ends with 23 or 24 for.
func (s *rsyncSite) rsync(to string, options ...string) *exec.Cmd {
	from := s.cluster.DataDir
	lists := filepath.Join(s.scratch, "list")
	s.lists(from, lists)
	script := `for half in 0 1; do rsync -a --files-from="$LISTS.$half" "$@" "$FROM/" "$TO/" & jobs="$jobs $!"; done; for job in $jobs; do wait $job; case $? in 0 | 23 | 24) ;; *) exit 1 ;; esac; done; sync -f "$TO"`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, options...)...)
	cmd.Env = append(os.Environ(), "FROM="+from, "TO="+to, "LISTS="+lists)
	return cmd
}

// lists deals the files of a directory out to two lists of the same size.
func (s *rsyncSite) lists(from, name string) {
	var lists [2]*os.File
	var bytes [2]int64
	for i := range lists {
		var err error
		if lists[i], err = os.Create(fmt.Sprint(name, ".", i)); err != nil {
			s.Fatal(err)
		}
	}
	err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() && path == filepath.Join(from, "pg_wal") {
			if err == nil {
				err = filepath.SkipDir
			}
			return err
		}
		if !entry.Type().IsRegular() || entry.Name() == "postmaster.pid" {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		least := 0
		if bytes[1] < bytes[0] {
			least = 1
		}
		bytes[least] += info.Size()
		relative, err := filepath.Rel(from, path)
		if err == nil {
			_, err = fmt.Fprintln(lists[least], relative)
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	for _, list := range lists {
		if err := list.Close(); err != nil {
			s.Fatal(err)
		}
	}
}

// change changes one table in a hundred.
func (s *rsyncSite) change() {
	s.round++
	for i := 1; i <= s.tables; i += oneIn {
		s.cluster.Exec(fmt.Sprintf("UPDATE t%d SET t = md5('%d' || t) WHERE j %% 100 = 0", 1+(i+s.round)%s.tables, s.round))
	}
	s.cluster.Exec("CHECKPOINT")
	s.nextSecond()
}

// nextSecond waits until a backup gets another ID than the one before.
func (s *rsyncSite) nextSecond() {
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
}

// keepOne removes all backups of a directory but the newest.
func (s *rsyncSite) keepOne(base string) {
	there, err := filepath.Glob(filepath.Join(base, "2*"))
	if err != nil {
		s.Fatal(err)
	}
	for i := range len(there) - 1 {
		if err := os.RemoveAll(there[i]); err != nil {
			s.Fatal(err)
		}
	}
}

// linked is a contender that takes a backup on top of the one that is there, after
// something has changed. keep is where its backups are.
func (s *rsyncSite) linked(name, keep string, command func(round string) *exec.Cmd) contender {
	return contender{name: name, run: func() sample {
		s.change()
		measured := run(s.B, command(strconv.Itoa(s.round)), 0)
		s.keepOne(keep)
		return measured
	}}
}

// BenchmarkRsync measures backups by rsync.
func BenchmarkRsync(b *testing.B) {
	s := newRsyncSite(b)
	inside := func(f func(s *rsyncSite, r *report)) func(*site, *report) {
		return func(at *site, r *report) {
			within := *s
			within.site = at
			f(&within, r)
		}
	}
	s.runParts(b,
		part{"full", "Base backup with rsync", inside(func(s *rsyncSite, r *report) {
			copied := contender{name: "rsync -a", run: func() sample {
				to := s.place("rsync")
				measured := run(s.B, s.rsync(to), 0)
				measured.stored = size(s.B, to)
				return measured
			}}
			r.versus("With two jobs, without ssh, fsynced, with manifest; beside two `rsync -a` of the same files and `sync -f`. "+s.database(), 1.1,
				[2]string{"barman", "rsync -a"}, compare(s.B, s.backup("full"), copied))
		})},
		part{"linked", "Second backup with rsync", inside(func(s *rsyncSite, r *report) {
			run(s.B, s.home.Command("-q", "backup", "linked"), 0)
			s.cluster.Wait("SELECT last_archived_wal IS NOT NULL FROM pg_stat_archiver")
			python := func(args ...string) *exec.Cmd {
				return exec.Command("/usr/bin/barman", append([]string{"-q", "-c", s.python}, args...)...)
			}
			run(s.B, python("archive-wal", "main"), 0)
			run(s.B, python("backup", "main"), 0)
			copies := s.place("copies")
			if err := os.MkdirAll(copies, 0o700); err != nil {
				s.Fatal(err)
			}
			place := func(round int) string { return filepath.Join(copies, fmt.Sprintf("2%09d", round)) }
			last := place(s.round)
			run(s.B, s.rsync(last), 0)
			ours := s.linked("barman", s.base("linked"), func(string) *exec.Cmd { return s.home.Command("-q", "backup", "linked") })
			plain := s.linked("rsync --link-dest", copies, func(string) *exec.Cmd {
				cmd := s.rsync(place(s.round), "--link-dest="+last)
				last = place(s.round)
				return cmd
			})
			theirs := s.linked("Debian's barman", filepath.Join(s.scratch, "python", "main", "base"), func(string) *exec.Cmd { return python("backup", "main") })
			samples := compare(s.B, ours, plain, theirs)
			r.versus(fmt.Sprintf("On top of a first one, after one table in %d has changed, with `reuse_backup = \"link\"` and two jobs; beside two `rsync -a --link-dest` and `sync -f`. %s",
				oneIn, s.database()), 1.1, [2]string{"barman", "rsync --link-dest"}, samples[:2])
			r.versus("The same beside Debian's `barman backup` with the same settings.", 1.0, [2]string{"barman", "Debian's barman"}, [][]sample{samples[0], samples[2]})
		})},
	)
}
