package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// slowTar takes some seconds for even the smallest cluster, so that there is a
// middle to be killed in.
const slowTar = `
  backup {
    source "pgbasebackup" {
      checkpoint = "fast"
      max_rate   = "4MiB"
    }
    transform "compress" { codec = "lz4" }
    sink "posix" {}
  }
`

// backupPlugins are those of slowTar.
var backupPlugins = []string{"source-pgbasebackup", "transform-compress", "sink-posix"}

// backupInTheMiddle starts a backup and returns when its data arrives.
func (s *site) backupInTheMiddle() *background {
	s.t.Helper()
	before := ids(s.t, s.path("base"))
	b := start(s.t, s.home.Command("backup", "main"))
	eventually(s.t, "the data of a backup arrives", func() bool {
		b.mustRun()
		for id := range ids(s.t, s.path("base")) {
			if !before[id] && bytesBelow(s.t, s.path("base", id, "data")) > 0 {
				return true
			}
		}
		return false
	})
	running := b.plugins()
	for _, name := range backupPlugins {
		if len(running[name]) != 1 {
			s.t.Fatalf("plugins of the backup: %v, want one %s", running, name)
		}
	}
	return b
}

// ids are the names of the directories of backups.
func ids(t *testing.T, base string) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir(base)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, entry := range entries {
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			found[entry.Name()] = true
		}
	}
	return found
}

// label is how a plugin is named to people.
func label(plugin string) string {
	kind, name, _ := strings.Cut(plugin, "-")
	return fmt.Sprintf("%s %q", kind, name)
}

func TestABackupOfWhichAProcessIsKilledIsFailedAndTheNextOneWorks(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17}, slowTar+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	s.receive()
	var want []string
	for _, victim := range append([]string{"core"}, backupPlugins...) {
		b := s.backupInTheMiddle()
		if victim == "core" {
			b.signal(syscall.SIGKILL)
		} else {
			kill(t, b.plugins()[victim][0], syscall.SIGKILL)
		}
		r := b.end()
		b.noOrphans()
		if r.Code == 0 {
			t.Fatalf("%s was killed, and the backup succeeded:\n%s%s", victim, r.Stdout, r.Stderr)
		}
		if victim != "core" && (!strings.Contains(r.Stderr, label(victim)) || !strings.Contains(r.Stderr, "killed")) {
			t.Errorf("it does not say that %s was killed:\n%s", label(victim), r.Stderr)
		}
		want = append(want, "FAILED")
		s.wantStatuses(want...)
		s.noLocksLeft()
	}
	s.configure(zstdTar + receiveLZ4)
	s.backup()
	s.wantStatuses(append(want, "DONE")...)
	last := w.Stop()
	s.streamed(last.LSN)
	c := pgtest.StartExisting(t, s.Major, s.restore("latest"), nil)
	c.WaitRecovered()
	last.Check(t, c)
}

// noLocksLeft fails the test when a process is still at one of the server's
// backups.
func (s *site) noLocksLeft() {
	s.t.Helper()
	s.Wait("SELECT NOT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = 'barman_streaming_backup')")
}

func TestAnInterruptedBackupStopsCleanly(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, slowTar+receiveLZ4)
	for i, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		b := s.backupInTheMiddle()
		b.signal(sig)
		r := b.end()
		b.noOrphans()
		if want := 128 + int(sig); r.Code != want {
			t.Errorf("exit code after %s: %d, want %d\n%s", sig, r.Code, want, r.Stderr)
		}
		if !strings.Contains(r.Stderr, "interrupted") {
			t.Errorf("it does not say that it was interrupted:\n%s", r.Stderr)
		}
		s.wantStatuses([]string{"FAILED", "FAILED"}[:i+1]...)
		s.noLocksLeft()
	}
}

func TestAHungPluginIsNoticedAndGivenUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, slowTar+receiveLZ4)
	b := s.backupInTheMiddle()
	kill(t, b.plugins()["sink-posix"][0], syscall.SIGSTOP)
	eventually(t, "the silence is logged", func() bool { return strings.Contains(b.stderr.String(), "no sign of life") })
	r := b.end()
	b.noOrphans()
	if r.Code != exitUnavailable || !strings.Contains(r.Stderr, `sink "posix": hangs`) {
		t.Errorf("exit code %d, want %d:\n%s", r.Code, exitUnavailable, r.Stderr)
	}
	s.wantStatuses("FAILED")
}

func TestNoWALIsMissingAfterReceivingWasKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 18}, zstdTar+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	receiver := s.receive()
	s.backup()
	for _, victim := range []string{"core", "source-pgreceivewal", "core", "source-pgreceivewal"} {
		w.WaitRows(100)
		s.SwitchWAL()
		w.WaitRows(100)
		running := receiver.plugins()
		if len(running["source-pgreceivewal"]) != 1 {
			t.Fatalf("plugins of receive-wal: %v", running)
		}
		if victim == "core" {
			receiver.signal(syscall.SIGKILL)
			receiver.noOrphans()
			receiver = s.receive()
			continue
		}
		kill(t, running[victim][0], syscall.SIGKILL)
		eventually(t, "receive-wal has ended or starts another plugin", func() bool {
			select {
			case <-receiver.done:
				return true
			default:
				now := receiver.plugins()[victim]
				return len(now) == 1 && now[0] != running[victim][0]
			}
		})
		select {
		case <-receiver.done:
			if !strings.Contains(receiver.stderr.String(), "killed") {
				t.Errorf("receive-wal does not say that its plugin was killed:\n%s", receiver.stderr)
			}
			receiver = s.receive()
		default:
		}
	}
	last := w.Stop()
	s.streamed(last.LSN)
	c := pgtest.StartExisting(t, s.Major, s.restore("latest"), nil)
	c.WaitRecovered()
	last.Check(t, c)
	if r := receiver.stop(); r.Code != 128+int(syscall.SIGTERM) && r.Code != 0 {
		t.Errorf("receive-wal after SIGTERM: exit code %d\n%s", r.Code, r.Stderr)
	}
	receiver.noOrphans()
}

func TestNoWALIsMissingAfterArchivingWasKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15, SegmentSizeMB: 64}, zstdTar+strings.Replace(receiveLZ4, `"lz4"`, `"gzip"`, 1))
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	s.home.Must("receive-wal", "--create-slot", "main")
	s.home.Must("backup", "main")
	receiver := s.receive()
	s.SwitchWAL()
	for _, victim := range []string{"core", "transform-compress", "sink-posix"} {
		s.PgbenchInit(3)
		s.SwitchWAL()
		s.allStreamed()
		a := start(t, s.home.Command("archive-wal", "main"))
		var running map[string][]int
		eventually(t, "archive-wal has started its plugins", func() bool {
			a.mustRun()
			running = a.plugins()
			return len(running["transform-compress"]) == 1 && len(running["sink-posix"]) == 1
		})
		if victim == "core" {
			a.signal(syscall.SIGKILL)
		} else {
			kill(t, running[victim][0], syscall.SIGKILL)
		}
		if r := a.end(); r.Code == 0 {
			t.Fatalf("%s was killed, and archive-wal succeeded:\n%s%s", victim, r.Stdout, r.Stderr)
		}
		a.noOrphans()
	}
	last := w.Stop()
	s.streamed(last.LSN)
	receiver.stop()
	s.home.Must("archive-wal", "main")
	s.wantStatuses("DONE")
	c := pgtest.StartExisting(t, s.Major, s.restore("latest"), nil)
	c.WaitRecovered()
	last.Check(t, c)
}

func TestARecoveryOfWhichAProcessIsKilledCannotBeStartedButRepeated(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15, Tablespaces: []string{"side"}}, strings.Replace(zstdTar, "zstd", "lz4", 1)+receiveLZ4)
	s.PgbenchInit(8)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "side"})
	s.receive()
	s.backup()
	last := w.Stop()
	s.streamed(last.LSN)
	directory, options := s.destination()
	command := append([]string{"recover", "main", "latest", directory}, options...)
	for _, victim := range []string{"core", "core SIGINT", "transform-compress", "sink-posix", "sink-posix 2"} {
		b := start(t, s.home.Command(command...))
		var running map[string][]int
		eventually(t, "data arrives at the destination", func() bool {
			b.mustRun()
			running = b.plugins()
			return bytesBelow(t, directory) > 1<<20 && len(running["sink-posix"]) == 2 && len(running["transform-compress"]) == 1
		})
		switch name, second, _ := strings.Cut(victim, " "); {
		case second == "SIGINT":
			b.signal(syscall.SIGINT)
		case name == "core":
			b.signal(syscall.SIGKILL)
		case second == "2":
			kill(t, max(running[name][0], running[name][1]), syscall.SIGKILL)
		case name == "sink-posix":
			kill(t, min(running[name][0], running[name][1]), syscall.SIGKILL)
		default:
			kill(t, running[name][0], syscall.SIGKILL)
		}
		r := b.end()
		b.noOrphans()
		if r.Code == 0 {
			t.Fatalf("%s was killed, and the recovery succeeded", victim)
		}
		s.refusesToStart(directory)
	}
	s.home.Must(command...)
	verify(t, directory)
	c := pgtest.StartExisting(t, s.Major, directory, nil)
	c.WaitRecovered()
	last.Check(t, c)
}

// refusesToStart fails the test if PostgreSQL starts in a directory that was not
// recovered to the end.
func (s *site) refusesToStart(directory string) {
	s.t.Helper()
	for _, name := range []string{"PG_VERSION", "global/pg_control"} {
		if _, err := os.Stat(filepath.Join(directory, name)); os.IsNotExist(err) {
			return // PostgreSQL does not take it for a data directory
		}
	}
	if c, err := pgtest.TryStart(s.t, s.Major, directory, nil); err == nil {
		c.Stop(pgtest.Immediate)
		s.t.Fatal("PostgreSQL starts in a directory that was not recovered to the end")
	} else if !strings.Contains(err.Error(), "postmaster.pid") {
		s.t.Errorf("it is not the guard that keeps PostgreSQL from starting: %v", err)
	}
}

func TestARecoveredServerLosesNoCommitThatReturned(t *testing.T) {
	t.Parallel()
	for round := range 3 {
		t.Run(fmt.Sprintf("round %d", round), func(t *testing.T) {
			major := pgtest.Majors()[round%len(pgtest.Majors())]
			s := newSite(t, pgtest.Options{Major: major}, zstdTar+strings.Replace(receiveLZ4, `status_interval = "100ms"`, "synchronous     = true", 1))
			receiver := s.receive()
			s.backup()
			s.Exec("ALTER SYSTEM SET synchronous_standby_names = 'barman_receive_wal'")
			s.Exec("SELECT pg_reload_conf()")
			s.Wait("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')")
			w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Every: time.Microsecond})
			w.WaitRows(int64(200 + 150*round))
			if round == 1 { // the newest rows are in the first page of a segment
				s.SwitchWAL()
				w.WaitRows(3)
			}
			s.Kill9()
			if err := os.RemoveAll(s.DataDir); err != nil {
				t.Fatal(err)
			}
			acknowledged := w.Abandon()
			if round == 2 {
				receiver.signal(syscall.SIGKILL)
			}
			directory := s.restore("latest")
			c := pgtest.StartExisting(t, major, directory, map[string]string{"synchronous_standby_names": ""})
			c.WaitRecovered()
			held := pgtest.One[int64](c, "SELECT count(*) FROM written")
			if held < acknowledged || held > acknowledged+1 {
				t.Fatalf("%d commits had returned to the client, %d were recovered", acknowledged, held)
			}
			pgtest.Moment{Table: "written", Row: held}.Check(t, c)
		})
	}
}
