package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// receiveWith is receiveLZ4 without compression, with the source's settings.
func receiveWith(settings string) string {
	return "\n  wal {\n    source \"pgreceivewal\" {\n" + settings + "\n    }\n    sink \"posix\" {}\n  }\n"
}

// holdsAllWAL compares what barman holds of the timelines with the server's own
// files: every segment from the first that barman has on, once, and the same.
func (s *site) holdsAllWAL() {
	s.t.Helper()
	held := map[string][]string{}
	for _, pattern := range []string{"wals/*/*", "streaming/*"} {
		found, err := filepath.Glob(s.path(pattern))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, path := range found {
			if name := filepath.Base(path); len(name) == 24 {
				held[name] = append(held[name], path)
			}
		}
	}
	written, err := filepath.Glob(filepath.Join(s.DataDir, "pg_wal", "0000*"))
	if err != nil {
		s.t.Fatal(err)
	}
	current := pgtest.One[string](s.Cluster, "SELECT pg_walfile_name(pg_current_wal_lsn())")
	first := ""
	for name := range held {
		if first == "" || name < first {
			first = name
		}
	}
	compared := 0
	for _, path := range written {
		name := filepath.Base(path)
		if len(name) != 24 || name < first || name >= current {
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(held[name]) != 1 {
			s.t.Errorf("segment %s is at %q, it should be in one place", name, held[name])
			continue
		}
		got, err := os.ReadFile(held[name][0])
		if err != nil {
			s.t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			s.t.Errorf("%s is not what the server wrote", held[name][0])
		}
		compared++
	}
	if compared < 3 {
		s.t.Errorf("only %d segments to compare: barman holds %d", compared, len(held))
	}
	if aside, err := os.ReadDir(s.path("errors")); err != nil && !os.IsNotExist(err) || len(aside) > 0 {
		s.t.Errorf("set aside: %v, %v", aside, err)
	}
}

// fill writes a few segments of WAL.
func (s *site) fill() {
	s.t.Helper()
	s.Exec("CREATE TABLE IF NOT EXISTS filler (t text)")
	s.Exec("INSERT INTO filler SELECT repeat(md5(i::text), 20) FROM generate_series(1, 4000) i")
}

// isStreaming waits until WAL streams to barman.
func (s *site) isStreaming() {
	s.t.Helper()
	s.Wait("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = 'barman_receive_wal' AND state = 'streaming')")
}

func TestNoWALIsMissingWhateverHappensToTheNetworkAndTheServer(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17, SegmentSizeMB: 1, Config: map[string]string{"wal_keep_size": "500MB", "wal_sender_timeout": "2s"}}, "")
	network := pgtest.NewProxy(t, s.Cluster)
	s.home.Configure(fmt.Sprintf("server \"main\" {\n  conninfo = %q\n  streaming_conninfo = %q\n%s}\n", s.ConninfoAs("barman")+" dbname=postgres",
		fmt.Sprintf("host=127.0.0.1 port=%d user=streaming_barman connect_timeout=2", network.Port), receiveWith(`
      slot             = "barman"
      create_slot      = "auto"
      status_interval  = "100ms"
      receiver_timeout = "1s"`)))
	receiver := s.receive()
	for round, fault := range []func(){
		network.Cut,
		func() { network.Swallow(); time.Sleep(1500 * time.Millisecond); network.Heal() }, // longer than receiver_timeout
		func() { s.Kill9(); s.Restart() },
		func() { network.Swallow(); network.Cut(); time.Sleep(500 * time.Millisecond); network.Heal() },
		func() { s.Stop(pgtest.Fast); s.Restart() },
	} {
		s.fill()
		fault()
		s.fill()
		s.isStreaming()
		if round%2 == 1 {
			s.home.Must("archive-wal", "main")
		}
	}
	s.SwitchWAL()
	s.allStreamed()
	receiver.mustRun()
	s.holdsAllWAL()
	if said := receiver.stderr.String(); !strings.Contains(said, "said nothing for 1s") || !strings.Contains(said, "trying again") {
		t.Error("it does not say why WAL was not received")
	}
}

func TestSlotsAreMadeAndDroppedByCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15, SegmentSizeMB: 1}, receiveWith(`slot = "barman"`))
	exists := func() bool {
		return pgtest.One[bool](s.Cluster, "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'barman' AND restart_lsn IS NOT NULL)")
	}
	command := func(code int, says string, args ...string) {
		t.Helper()
		r := s.home.Run(append([]string{"receive-wal"}, args...)...)
		if r.Code != code || !strings.Contains(r.Stdout+r.Stderr, says) {
			t.Errorf("receive-wal %s: exit code %d, want %d and %q:\n%s%s", strings.Join(args, " "), r.Code, code, says, r.Stdout, r.Stderr)
		}
	}
	command(exitFailed, "receive-wal --create-slot main", "main")
	command(exitFailed, "does not exist", "--drop-slot", "main")
	command(0, "created", "--create-slot", "main")
	if !exists() {
		t.Error("the slot keeps no WAL until somebody uses it")
	}
	command(exitFailed, "already exists", "--create-slot", "main")
	command(0, "exists", "--create-slot", "--if-not-exists", "main")
	receiver := s.receive()
	command(exitBusy, "active", "--drop-slot", "main")
	command(exitBusy, "", "main")
	receiver.stop()
	command(0, "dropped", "--drop-slot", "main")
	command(0, "", "--create-slot", "--if-not-exists", "main")
	if !exists() {
		t.Error("no slot was made")
	}
	s.home.Must("receive-wal", "--drop-slot", "main")

	// Somebody else streams from the slot.
	s.Exec("SELECT pg_create_physical_replication_slot('barman', true)")
	other := exec.CommandContext(t.Context(), pgtest.Tool(t, s.Major, "pg_receivewal"), "-d", s.ReplicationConninfo("streaming_barman"), "-D", t.TempDir(), "-S", "barman")
	start(t, other)
	s.Wait("SELECT active FROM pg_replication_slots")
	command(exitBusy, "pg_replication_slots.active_pid", "main")
}

// forgetful is a server that removes WAL as soon as it can.
func forgetful(keep string) map[string]string {
	return map[string]string{"wal_keep_size": "0", "min_wal_size": "2MB", "max_wal_size": "2MB", "max_slot_wal_keep_size": keep, "checkpoint_timeout": "1h"}
}

// fall lets the server write and remove WAL while nobody receives.
func (s *site) fall() {
	s.t.Helper()
	for range 8 {
		s.fill()
		s.Exec("CHECKPOINT")
	}
}

// lostWAL runs receive-wal, which must fail for WAL that is gone, and returns
// what it said.
func (s *site) lostWAL(says ...string) {
	s.t.Helper()
	r := s.home.Run("receive-wal", "main")
	if r.Code != exitFailed {
		s.t.Errorf("receive-wal: exit code %d, want %d", r.Code, exitFailed)
	}
	for _, text := range says {
		if !strings.Contains(r.Stderr, text) {
			s.t.Errorf("receive-wal does not say %q:\n%s", text, r.Stderr)
		}
	}
}

// goesOn follows the way out: after a reset and a new backup, all is recovered.
func (s *site) goesOn(firstMissing string) {
	s.t.Helper()
	if out := s.home.Run("receive-wal", "--reset", "main"); out.Code != 0 || !strings.Contains(out.Stderr, firstMissing) {
		s.t.Errorf("reset: exit code %d, it must name %s:\n%s%s", out.Code, firstMissing, out.Stdout, out.Stderr)
	}
	s.receive()
	id := s.backup()
	s.fill()
	s.allStreamed()
	c := s.recovered(id)
	if got, want := pgtest.One[int64](c, "SELECT count(*) FROM filler"), pgtest.One[int64](s.Cluster, "SELECT count(*) FROM filler"); got != want {
		s.t.Errorf("%d of %d rows were recovered", got, want)
	}
}

// unfinished is the segment that the receiver goes on with.
func (s *site) unfinished() string {
	s.t.Helper()
	found, err := filepath.Glob(s.path("streaming", "*.partial"))
	if err != nil || len(found) == 0 {
		s.t.Fatalf("no segment is unfinished: %v", err)
	}
	slices.Sort(found)
	return strings.TrimSuffix(filepath.Base(found[0]), ".partial")
}

func TestWALThatTheServerRemovedIsNamedAndReceivingCanBeginAnew(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17, SegmentSizeMB: 1, Config: forgetful("-1")}, zstdTar+receiveWith(`status_interval = "100ms"`))
	receiver := s.receive()
	s.fill()
	s.allStreamed()
	receiver.stop()
	missing := s.unfinished()
	s.fall()
	s.lostWAL(missing, "missing", "receive-wal --reset main", "new backup")
	// Or the next checkpoint might remove what the new receiver begins with.
	s.Exec("ALTER SYSTEM SET wal_keep_size = '1GB'")
	s.Exec("SELECT pg_reload_conf()")
	s.goesOn(missing)
}

func TestASlotThatLostItsWALIsNamedAndCanBeMadeAnew(t *testing.T) {
	t.Parallel()
	for _, major := range pgtest.Majors() {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			const settings = "slot = \"barman\"\nstatus_interval = \"100ms\"\n"
			s := newSite(t, pgtest.Options{Major: major, SegmentSizeMB: 1, Config: forgetful("8MB")}, zstdTar+receiveWith(settings))
			s.home.Must("receive-wal", "--create-slot", "main")
			receiver := s.receive()
			s.fill()
			s.allStreamed()
			receiver.stop()
			missing := s.unfinished()
			s.fall()
			s.Wait("SELECT wal_status = 'lost' FROM pg_replication_slots")
			s.lostWAL(`"barman" is lost`, "max_slot_wal_keep_size", missing, "receive-wal --drop-slot main", "receive-wal --create-slot main", "receive-wal --reset main", "new backup")
			if major%2 == 0 { // as the message says
				s.home.Must("receive-wal", "--drop-slot", "main")
				s.home.Must("receive-wal", "--create-slot", "main")
			} else { // or by itself
				s.configure(zstdTar + receiveWith(settings+"create_slot = \"auto\"\n"))
			}
			s.lostWAL(missing, "missing", "receive-wal --reset main", "new backup")
			s.goesOn(missing)
			s.Wait("SELECT wal_status <> 'lost' FROM pg_replication_slots")
		})
	}
}
