package test

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

// restorer is PostgreSQL's host: from there ssh leads to barman's.
type restorer struct {
	*pgtest.SSHD
	site    *site
	program string // barman-wal-restore
	spool   string
}

// newRestorer makes a host from which barman of the site is reached. Further
// directories come first on the PATH of what runs at barman's.
func newRestorer(t *testing.T, s *site, path ...string) *restorer {
	t.Helper()
	// What PostgreSQL runs must be where user postgres can get.
	bin := pgtest.Scratch(t)
	run(t, "cp", filepath.Join(pgtest.BarmanBin(t), "barman"), filepath.Join(bin, "barman-wal-restore"))
	spool := filepath.Join(pgtest.Scratch(t), "spool")
	if err := os.Mkdir(spool, 0o700); err != nil {
		t.Fatal(err)
	}
	pgtest.Own(t, spool)
	return &restorer{
		SSHD: pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: append(path, pgtest.BarmanBin(t))}), site: s,
		program: filepath.Join(bin, "barman-wal-restore"), spool: spool,
	}
}

// command is a restore_command.
func (r *restorer) command(options string) string {
	return fmt.Sprintf("PATH=%s %s -U %s -c %s --spool-dir %s %s backup main %%f %%p", r.ClientPath(), r.program, r.User, r.site.home.Config, r.spool, options)
}

// breakable puts an ssh before the real one that fails while a file is there,
// and returns the file's path.
func (r *restorer) breakable(t *testing.T) string {
	t.Helper()
	bin := pgtest.Scratch(t)
	broken := filepath.Join(bin, "broken")
	script := fmt.Sprintf("#!/bin/sh\n[ ! -e %s ] || exit 255\nexec %s/ssh \"$@\"\n", broken, r.Client)
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	r.Client = bin
	return broken
}

// prefetchers are the processes that fill a spool.
func prefetchers(t *testing.T, spool string) []int {
	t.Helper()
	var found []int
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range processes {
		line, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(line), "--prefetch\x00"+spool) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/cmdline", &pid); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

// segments makes the server write n segments, with rows in each.
func (s *site) segments(w *pgtest.Writer, n int) {
	s.t.Helper()
	for range n {
		w.WaitRows(5)
		s.SwitchWAL()
	}
}

func TestAStandbyReplaysWhatIsFetchedAhead(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17, SegmentSizeMB: 1}, zstdTar+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Every: time.Millisecond})
	s.receive()
	directory := s.restore(s.backup(), "--standby-mode")
	s.segments(w, 30)
	last := w.Stop()
	s.SwitchWAL()
	s.allStreamed()
	s.home.Must("archive-wal", "main")

	r := newRestorer(t, s)
	standby := pgtest.StartExisting(t, s.Major, directory, map[string]string{"restore_command": r.command("-p 4")})
	standby.Wait("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", last.LSN)
	last.Check(t, standby)
	if n := strings.Count(r.Log(), "Starting session: command"); n > 12 {
		t.Errorf("%d connections for 30 segments", n)
	}
	eventually(t, "no prefetcher is left", func() bool { return len(prefetchers(t, r.spool)) == 0 })
}

// Recovery from the archive ends where no more can be had. What cannot be had
// only now, or is damaged, must not look like that.
func TestRecoveryEndsNeitherWhereBarmanIsOutOfReachNorWhereASegmentIsDamaged(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15, SegmentSizeMB: 1}, zstdTar+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Every: time.Millisecond})
	receiver := s.receive()
	directory := s.restore(s.backup())
	s.segments(w, 6)
	middle := s.SwitchWAL()
	s.segments(w, 3)
	last := w.Stop() // in the segment that is not finished
	s.allStreamed()
	s.home.Must("archive-wal", "main")
	receiver.stop()

	r := newRestorer(t, s)
	broken := r.breakable(t)
	settings := map[string]string{"restore_command": r.command("-P -p 2 --retry-timeout 1s"), "recovery_target_timeline": "latest"}
	refuses := func(code int) {
		t.Helper()
		c, err := pgtest.TryStart(t, s.Major, directory, settings)
		if err == nil {
			c.WaitExit()
		}
		if want := fmt.Sprintf("child process exited with exit code %d", code); !strings.Contains(c.Log(), want) {
			t.Fatalf("PostgreSQL says nothing of %q:\n%s", want, c.Log())
		}
		if strings.Contains(c.Log(), "selected new timeline ID") {
			t.Fatalf("recovery has ended:\n%s", c.Log())
		}
	}
	write := func(path string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(broken, nil)
	refuses(202)
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	segment := s.path("wals", middle[:16], middle)
	content, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	write(segment, content[:len(content)/2])
	refuses(206)
	write(segment, content)

	c := pgtest.StartExisting(t, s.Major, directory, settings)
	c.Wait("SELECT NOT pg_is_in_recovery()")
	last.Check(t, c)
}

func TestRecoveryFollowsTheTimelinesOfTheArchive(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 18, SegmentSizeMB: 1}, zstdTar+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Every: time.Millisecond})
	receiver := s.receive()
	id := s.backup()
	s.segments(w, 5)
	first := w.Stop()
	s.streamed(first.LSN)
	standby := pgtest.StartExisting(t, s.Major, s.restore(id, "--standby-mode"), map[string]string{"primary_conninfo": s.ConninfoAs("streaming_barman")})
	standby.Wait("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", first.LSN)
	directory := s.restore(id)
	s.Kill9()
	receiver.stop()
	standby.Promote()
	after := &site{Cluster: standby, home: s.home, t: t}
	after.configure(zstdTar + receiveLZ4)
	after.receive()
	w = pgtest.StartWriter(t, standby, pgtest.WriterOptions{Table: "written_later", Every: time.Millisecond})
	after.segments(w, 5)
	second := w.Stop()
	after.streamed(second.LSN)
	after.home.Must("archive-wal", "main")

	r := newRestorer(t, after)
	c := pgtest.StartExisting(t, s.Major, directory, map[string]string{
		"restore_command": r.command("-P -p 3"), "recovery_target_timeline": "latest",
	})
	c.Wait("SELECT NOT pg_is_in_recovery()")
	first.Check(t, c)
	second.Check(t, c)
}

// Through sudo the data directory is another user's, and does not tell what its
// PostgreSQL does.
func TestWithoutASightOfTheDataDirectoryPartialTellsRecoveryFromAStandby(t *testing.T) {
	t.Parallel()
	home := pgtest.NewHome(t, "server \"main\" {\n  conninfo = \"host=127.0.0.1 port=1\"\n}\n")
	bin := pgtest.Scratch(t)
	run(t, "cp", filepath.Join(pgtest.BarmanBin(t), "barman"), bin)
	pgtest.Own(t, home.Dir)
	run(t, "chmod", "644", home.Config)
	directory := t.TempDir()
	if err := os.Chmod(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	for options, want := range map[string]int{"": 2, "--partial --retry-timeout 0": 202} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf("exec runuser -u postgres -- %s/barman -c %s get-wal %s main 000000010000000000000001", bin, home.Config, options))
		cmd.Dir = directory
		if r := pgtest.Run(t, cmd); r.Code != want || !strings.Contains(r.Stderr, "the archive is not there") {
			t.Errorf("%q: exit code %d, want %d: %s", options, r.Code, want, r.Stderr)
		}
	}
}
