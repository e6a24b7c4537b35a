package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
)

// bothWays is the WAL block of a server that streams and delivers.
const bothWays = `
  wal {
    archive = true
    source "pgreceivewal" {
      slot            = "barman"
      create_slot     = "auto"
      status_interval = "100ms"
    }
    transform "compress" { codec = "zstd" }
    sink "posix" {}
  }
`

// deliver makes the server's archive_command, with archive_mode on, put segments
// into the incoming directory.
func (s *site) deliver() {
	s.t.Helper()
	incoming := s.path("incoming")
	if err := os.MkdirAll(incoming, 0o711); err != nil {
		s.t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{s.home.Dir: 0o711, s.path(): 0o711, incoming: 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			s.t.Fatal(err)
		}
	}
	s.Exec(fmt.Sprintf("ALTER SYSTEM SET archive_command = 'cp %%p %s/.%%f && mv %s/.%%f %s/%%f'", incoming, incoming, incoming))
	s.Exec("SELECT pg_reload_conf()")
	s.Wait("SELECT current_setting('archive_command') LIKE 'cp %'")
}

// told runs barman with the exit code and returns what it printed, line by line.
func (s *site) told(code int, args ...string) []string {
	s.t.Helper()
	r := s.home.Run(args...)
	if r.Code != code {
		s.t.Fatalf("barman %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.Code, code, r.Stdout, r.Stderr)
	}
	return strings.Split(strings.TrimSuffix(r.Stdout, "\n"), "\n")
}

// toldJSON is told for a command that prints JSON.
func (s *site) toldJSON(code int, into any, args ...string) {
	s.t.Helper()
	decode(s.t, strings.Join(s.told(code, append([]string{"-f", "json"}, args...)...), "\n"), into)
}

// matches fails the test unless each line matches its pattern, from end to end.
func matches(t *testing.T, lines []string, patterns ...string) {
	t.Helper()
	for i, line := range lines {
		if i >= len(patterns) || !regexp.MustCompile("^(?:"+patterns[i]+")$").MatchString(line) {
			t.Errorf("line %d: %q", i+1, line)
		}
	}
	if len(lines) < len(patterns) {
		t.Errorf("%d lines, want %d: %q", len(lines), len(patterns), lines)
	}
}

// withoutWaiting leaves out the line about segments that happen to wait.
func withoutWaiting(lines []string) []string {
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "\twaiting to be archived: ") })
}

const (
	aSegment = "[0-9A-F]{24}"
	anLSN    = "[0-9A-F]+/[0-9A-F]+"
	aTime    = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ 0-9]\\d \\d\\d:\\d\\d:\\d\\d \\d{4}"
)

// row is a line of "barman status", or a key of its JSON.
type row struct{ Description, Message string }

func TestWhatThereIsToKnowOfWALIsTold(t *testing.T) {
	t.Parallel()
	main := newSite(t, pgtest.Options{Major: 17, Config: map[string]string{"archive_mode": "on", "archive_command": "false"}}, zstdTar+bothWays)
	main.deliver()
	run := func(name string, test func(t *testing.T, s *site)) {
		t.Helper()
		if !t.Run(name, func(t *testing.T) { test(t, main.in(t)) }) {
			t.FailNow() // each goes on from the one before
		}
	}

	run("an archive without WAL is ready for a new cluster", func(t *testing.T, s *site) {
		matches(t, s.told(0, "check-wal-archive", "main"), "Server main:", " - WAL archive check for server main passed")
	})

	main.receive()
	run("a check of a new server makes its first WAL arrive", func(t *testing.T, s *site) {
		out := s.told(0, "check", "main")
		for _, name := range []string{"WAL archive", "archiver errors: FAILED"} {
			if slices.ContainsFunc(out, func(line string) bool { return strings.HasPrefix(line, "\t"+name+":") }) {
				t.Errorf("row %q in %q", name, out)
			}
		}
		if !slices.Contains(out, "\tWAL continuity: OK (no backup needs WAL yet)") {
			t.Errorf("%q", out)
		}
		if r := s.home.Run("check-wal-archive", "main"); r.Code != 1 || !strings.Contains(r.Stderr, "WAL archive check failed for server main: Expected empty archive") {
			t.Errorf("check-wal-archive: exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
		}
	})

	run("switch-wal closes a segment, and archives it on request", func(t *testing.T, s *site) {
		s.Exec("SELECT pg_create_restore_point('something to switch')")
		matches(t, s.told(0, "switch-wal", "main"), "The WAL file "+aSegment+" has been closed on server 'main'")
		var none map[string][]string
		for none == nil || strings.Contains(none["_INFO"][0], "closed") { // the server itself may write
			s.toldJSON(0, &none, "switch-xlog", "main")
		}
		if diff := cmp.Diff(map[string][]string{"_INFO": {"No switch required for server 'main'"}}, none); diff != "" {
			t.Error(diff)
		}

		out := s.told(0, "switch-wal", "--force", "--archive", "main")
		closed := regexp.MustCompile(aSegment).FindString(out[0])
		if _, err := os.Stat(s.path("wals", closed[:16], closed)); err != nil {
			t.Error(err)
		}
		if out[1] != "Waiting for the WAL file "+closed+" from server 'main' (max: 30 seconds)" || !slices.Contains(out, "\t"+closed) {
			t.Errorf("%q", out)
		}
		matches(t, s.told(0, "check-wal-archive", "--timeline", "2", "main"), "Server main:", " - WAL archive check for server main passed")
	})

	var backup string
	run("a backup waits for WAL until check-backup finds it archived", func(t *testing.T, s *site) {
		var taken struct {
			ID     string `json:"backup_id"`
			EndWAL string `json:"end_wal"`
		}
		s.toldJSON(0, &taken, "backup", "main")
		backup = taken.ID
		matches(t, s.told(0, "check-backup", "main", "latest"), "Backup "+backup+" of server main: (WAITING_FOR_WALS|DONE)")
		s.SwitchWAL()
		eventually(t, "the backup is DONE", func() bool {
			var checked map[string]map[string]string
			s.toldJSON(0, &checked, "check-backup", "main", backup)
			return checked["main"]["status"] == "DONE" && checked["main"]["end_wal"] == taken.EndWAL
		})
	})

	run("status knows the server, its archiving and the WAL since the backup", func(t *testing.T, s *site) {
		s.told(0, "switch-wal", "--force", "--archive", "main")
		matches(t, s.told(0, "status", "main"),
			"Server main:", "\tDescription: ", "\tActive: True", "\tDisabled: False", "\tPostgreSQL version: 17\\.\\d+", "\tCluster state: in production",
			"\tCurrent data size: \\d+\\.\\d MiB", "\tPostgreSQL Data directory: "+main.DataDir, "\tCurrent WAL segment: "+aSegment,
			"\tPostgreSQL 'archive_command' setting: cp %p .*", "\tLast archived WAL: "+aSegment+"(\\.[0-9A-F]{8}\\.backup)?, at "+aTime,
			"\tFailures of WAL archiver: \\d+( \\("+aSegment+" at "+aTime+"\\))?", "\tServer WAL archiving rate: \\d+\\.\\d\\d/hour",
			"\tPassive node: False", "\tRetention policies: not enforced", "\tNo. of available backups: 1", "\tFirst available backup: "+backup,
			"\tLast available backup: "+backup, "\tMinimum redundancy requirements: satisfied \\(1/0\\)",
			"\tWAL since the last backup: \\d+ files, .* KiB", "\tWAL rate since the last backup: \\d+\\.\\d\\d/hour", "\tWAL compression ratio: 9\\d\\.\\d\\d%",
			"\tLast WAL in the archive: "+aSegment)
		var status map[string]map[string]row
		s.toldJSON(0, &status, "status", "all")
		if got := status["main"]["is_in_recovery"]; got != (row{"Cluster state", "in production"}) {
			t.Errorf("%+v", got)
		}
		for _, key := range []string{"description", "active", "disabled", "pg_version", "current_size", "data_directory", "current_xlog", "archive_command",
			"last_archived_wal", "failed_count", "server_archived_wals_per_hour", "passive_node", "retention_policies", "backups_number", "first_backup",
			"last_backup", "minimum_redundancy"} {
			if status["main"][key].Message == "" && key != "description" {
				t.Errorf("%s: %+v", key, status["main"][key])
			}
		}
	})

	run("a CHECKPOINT that is not allowed is a clear error", func(t *testing.T, s *site) {
		s.Exec("REVOKE pg_checkpoint FROM barman")
		r := s.home.Run("switch-wal", "--force", "main")
		if r.Code != 1 || !strings.Contains(r.Stderr, "GRANT pg_checkpoint TO \"barman\"") {
			t.Errorf("exit code %d: %s", r.Code, r.Stderr)
		}
		s.Exec("REVOKE EXECUTE ON FUNCTION pg_switch_wal() FROM barman")
		if r := s.home.Run("switch-wal", "main"); r.Code != 1 || !strings.Contains(r.Stderr, "server main: no switch of WAL: ") {
			t.Errorf("exit code %d: %s", r.Code, r.Stderr)
		}
		s.Exec("GRANT EXECUTE ON FUNCTION pg_switch_wal() TO barman; GRANT pg_checkpoint TO barman")
	})

	run("a lost segment is a gap that recovery ends at", func(t *testing.T, s *site) {
		w := pgtest.StartWriter(t, main.Cluster, pgtest.WriterOptions{})
		w.WaitRows(20)
		early := w.Stop()
		for range 3 {
			s.told(0, "switch-wal", "--force", "--archive", "main")
		}
		matches(t, withoutWaiting(s.told(0, "wal-gaps", "main")), "Server main:", "\tcomplete: "+aSegment+"\\.\\."+aSegment+", \\d+ segments, timeline 1",
			"\tbackup "+backup+": can be recovered to the newest WAL, "+anLSN+" on timeline 1")
		segments, err := filepath.Glob(s.path("wals", "*", strings.Repeat("?", 24)))
		if err != nil || len(segments) < 4 {
			t.Fatal(segments, err)
		}
		lost := segments[len(segments)-2]
		if err := os.Rename(lost, lost+".lost"); err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(lost)
		matches(t, withoutWaiting(s.told(1, "wal-gaps", "main")), "Server main:", "\tmissing: "+name+".."+name+", 1 segment, timeline 1, needed by "+backup,
			"\tbackup "+backup+": can be recovered up to "+anLSN+" on timeline 1: "+name+" is missing")
		var gaps map[string]struct {
			Missing int
			Gaps    []struct {
				First, Last string
				Timeline    int
				Backups     []string
			}
		}
		s.toldJSON(1, &gaps, "wal-gaps", "main")
		if got := gaps["main"]; got.Missing != 1 || got.Gaps[0].First != name || got.Gaps[0].Last != name || got.Gaps[0].Timeline != 1 || !slices.Equal(got.Gaps[0].Backups, []string{backup}) {
			t.Errorf("%+v", got)
		}
		if out := s.told(1, "check", "main"); !slices.Contains(out, "\tWAL continuity: FAILED (segment "+name+" is missing: 'barman wal-gaps main' tells which backups are affected)") {
			t.Errorf("%q", out)
		}
		// What lies before the gap is there.
		restored := pgtest.StartExisting(t, main.Major, s.restore(backup, "--target-lsn", early.LSN), nil)
		restored.WaitRecovered()
		early.Check(t, restored)
		if err := os.Rename(lost+".lost", lost); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAPromotionIsFollowedByEverythingThatTellsOfWAL(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, zstdTar+receiveLZ4)
	receiver := s.receive()
	id := s.backup()
	s.SwitchWAL()
	standby := pgtest.StartExisting(t, s.Major, s.restore("latest", "--standby-mode"), map[string]string{"primary_conninfo": s.ConninfoAs("streaming_barman")})
	s.Wait("SELECT count(*) = 2 FROM pg_stat_replication WHERE state = 'streaming'")

	// Both kinds of clients.
	s.allStreamed()
	s.Wait("SELECT bool_and(replay_lsn = pg_current_wal_lsn()) FROM pg_stat_replication WHERE replay_lsn IS NOT NULL")
	out := s.told(0, "replication-status", "main")
	client := []string{"", "  \\d\\. Async (standby|WAL streamer)", "     Application name: (walreceiver|barman_receive_wal)", "     Sync stage      : [1-5]/[35] .*",
		"     Communication   : TCP/IP", "     IP Address      : 127.0.0.1 / Port: \\d+ / Host: -", "     User name       : streaming_barman",
		"     Current state   : streaming \\(async\\)"}
	end := []string{"     WAL sender PID  : \\d+", "     Started at      : \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d.*", "     Sent LSN   : " + anLSN + " \\(diff: .*\\)",
		"     Write LSN  : " + anLSN + " \\(diff: .*\\)", "     Flush LSN  : " + anLSN + " \\(diff: .*\\)"}
	slot, replay := []string{"     Replication slot: barman"}, []string{"     Replay LSN : " + anLSN + " \\(diff: .*\\)"}
	head := []string{"Status of streaming clients for server 'main':", "  Current LSN on master: " + anLSN, "  Number of streaming clients: 2"}
	matches(t, out, slices.Concat(head, client, slot, end, client, end, replay)...)
	matches(t, s.told(0, "replication-status", "--minimal", "--target", "hot-standby", "main"), "Hot standby servers for master 'main' \\(LSN @ "+anLSN+"\\):",
		"  1\\. A\\) streaming_barman@127.0.0.1 S:"+anLSN+" F:"+anLSN+" R:"+anLSN+" P:0 AN:walreceiver")
	var streamers map[string]struct {
		Streamers []map[string]any `json:"wal_streamers"`
	}
	s.toldJSON(0, &streamers, "replication-status", "--target", "wal-streamer", "main")
	if got := streamers["main"].Streamers; len(got) != 1 || got[0]["application_name"] != "barman_receive_wal" || got[0]["replication_slot"] != "barman" ||
		got[0]["name"] != "Async WAL streamer" || got[0]["sent_lsn"] == "" || got[0]["replay_lsn"] != nil {
		t.Errorf("%v", got)
	}

	s.Exec("REVOKE pg_read_all_stats FROM barman")
	if r := s.home.Run("replication-status", "main"); r.Code != 0 || !strings.Contains(r.Stderr, "GRANT pg_read_all_stats") {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
	s.Exec("GRANT pg_read_all_stats TO barman")

	// The standby is the host that WAL comes from.
	s.home.Configure(strings.Replace(serverBlock(s.Cluster, zstdTar+receiveLZ4), "\n", fmt.Sprintf("\n  wal_conninfo = %q\n  wal_streaming_conninfo = %q\n",
		standby.ConninfoAs("barman")+" dbname=postgres", standby.ReplicationConninfo("streaming_barman")), 1))
	matches(t, s.told(0, "replication-status", "--source", "wal-host", "main"), "Status of streaming clients for server 'main':",
		"  Current LSN on master: "+anLSN, "  No streaming clients attached")
	checked := s.told(1, "check", "main")
	for _, row := range []string{"has monitoring privileges (WAL streaming): OK", "PostgreSQL streaming (WAL streaming): OK", "wal_level (WAL streaming): OK",
		"systemid coherence (WAL streaming): OK",
		"replication slot (WAL streaming): FAILED (replication slot 'barman' doesn't exist. Please execute 'barman receive-wal --create-slot main')"} {
		if !slices.Contains(checked, "\t"+row) {
			t.Errorf("no row %q in\n%s", row, strings.Join(checked, "\n"))
		}
	}

	// The standby takes over.
	after := &site{Cluster: standby, home: s.home, t: t}
	after.configure(zstdTar + receiveLZ4)
	matches(t, after.told(0, "switch-wal", "--force", "main"), "No switch performed because server 'main' is a standby\\.")
	if status := after.told(0, "status", "main"); !slices.Contains(status, "\tCluster state: in archive recovery") {
		t.Errorf("%q", status)
	}
	s.Kill9()
	receiver.stop()
	standby.Promote()
	after.receive()
	after.told(0, "switch-wal", "--force", "--archive", "main")
	matches(t, withoutWaiting(after.told(0, "wal-gaps", "main")), "Server main:", "\tcomplete: 00000001[0-9A-F]{16}\\.\\.00000001[0-9A-F]{16}, \\d+ segments?, timeline 1",
		"\tcomplete: 00000002[0-9A-F]{16}\\.\\.00000002[0-9A-F]{16}, \\d+ segments?, timeline 2",
		"\tbackup "+id+": can be recovered to the newest WAL, "+anLSN+" on timeline 2")
	if shown := after.told(0, "show-backup", "main", id); !slices.Contains(shown, "    Reachable timelines  : 2") {
		t.Errorf("%q", shown)
	}
	second, err := filepath.Glob(s.path("wals", "00000002*", strings.Repeat("?", 24)))
	if err != nil || len(second) == 0 {
		t.Fatal(second, err)
	}
	// Without the segment in which timeline 2 begins there is no way to it.
	if err := os.Truncate(second[0], 0); err != nil {
		t.Fatal(err)
	}
	after.told(0, "switch-wal", "--force", "--archive", "main")
	name := filepath.Base(second[0])
	if out := after.told(1, "wal-gaps", "main"); !slices.Contains(out, "\tmissing: "+name+".."+name+", 1 segment, timeline 2, needed by "+id) {
		t.Errorf("%q", out)
	}
}
