package test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// fetched is the outcome of a recovery that copies no WAL.
type fetched struct {
	directory string
	command   string // restore_command
	warning   string
}

// restoreFetching recovers a backup to a new place, whose owner is whom PostgreSQL
// runs as, in such a way that WAL is fetched.
func (s *site) restoreFetching(backup string, args ...string) fetched {
	s.t.Helper()
	directory, options := s.destination()
	pgtest.Own(s.t, filepath.Dir(directory))
	out := s.home.Must(append(append([]string{"-f", "json", "recover", "main", backup, directory}, options...), args...)...)
	var report struct {
		Command string   `json:"restore_command"`
		GetWAL  bool     `json:"get_wal"`
		Files   int      `json:"wal_files"`
		Warning []string `json:"_WARNING"`
	}
	decode(s.t, out, &report)
	if !report.GetWAL || report.Files != 0 || report.Command == "" {
		s.t.Fatalf("WAL is not fetched:\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(directory, "barman_wal")); !os.IsNotExist(err) {
		s.t.Errorf("WAL was copied: %v", err)
	}
	return fetched{directory: directory, command: report.Command, warning: strings.Join(report.Warning, "\n")}
}

// elsewhere is a host that WAL is fetched from over SSH.
type elsewhere struct {
	*pgtest.SSHD
	t *testing.T
}

func newElsewhere(t *testing.T) elsewhere {
	t.Helper()
	return elsewhere{pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: []string{pgtest.BarmanBin(t)}}), t}
}

// options make recover write what fetches WAL from there.
func (e elsewhere) options(more ...string) []string {
	return append([]string{"--get-wal-from", e.User + "@backup.example.com", "--recovery-option-port", strconv.Itoa(e.Port)}, more...)
}

// settings let a server find ssh and barman-wal-restore, as they would be found on
// a host where both are installed.
func (e elsewhere) settings(f fetched) map[string]string {
	path := e.Client + ":" + pgtest.BarmanBin(e.t) + ":/usr/bin:/bin"
	return map[string]string{"restore_command": "PATH=" + path + " " + f.command}
}

func TestAServerOnBarmansHostFetchesItsWAL(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17}, zstdTar+receiveLZ4+"  recovery {\n    options = [\"get-wal\"]\n  }\n")
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	receiver := s.receive()
	id := s.backup()
	w.WaitRows(50)
	moment := w.Moment("")
	s.SwitchWAL()
	w.WaitRows(50)
	last := w.Stop()
	s.streamed(last.LSN)
	s.Kill9()
	receiver.stop()
	s.home.Must("archive-wal", "main")
	s.ownedByPostgres()

	end := s.restoreFetching(id)
	if want := filepath.Join(pgtest.BarmanBin(t), "barman") + " -c " + s.home.Config + " get-wal -P main %f > %p"; end.command != want || !strings.HasPrefix(end.warning, "WARNING: 'get-wal' is in the specified 'recovery_options'") {
		t.Errorf("restore_command is %q, want %q; warnings %q", end.command, want, end.warning)
	}
	target := s.restoreFetching(id, "--target-time", moment.Time)
	s.ownedByPostgres()
	for f, want := range map[fetched]pgtest.Moment{end: last, target: moment} {
		c := pgtest.StartExisting(t, s.Major, f.directory, nil)
		c.WaitRecovered()
		want.Check(t, c)
	}
	directory, _ := s.destination()
	if out := s.home.Must("recover", "main", id, directory, "--no-get-wal"); !strings.Contains(out, " files in "+directory+"/barman_wal") {
		t.Errorf("--no-get-wal copies no WAL:\n%s", out)
	}
	directory, _ = s.destination()
	if out := s.home.Must("recover", "main", id, directory); !strings.Contains(out, "get-wal -P main %f > %p") {
		t.Errorf("it does not say that WAL is fetched:\n%s", out)
	}
}

// ownedByPostgres gives barman's home to whom PostgreSQL runs as, who will run
// barman get-wal.
func (s *site) ownedByPostgres() {
	s.t.Helper()
	pgtest.Own(s.t, s.home.Dir)
	if err := os.Chmod(s.home.Config, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func TestAServerOnAnotherHostFetchesItsWALOverSSH(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, zstdTar+receiveLZ4)
	barman := newElsewhere(t)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	receiver := s.receive()
	id := s.backup()
	w.WaitRows(50)
	moment := w.Moment(restorePoint)
	for range 3 {
		s.SwitchWAL()
		w.WaitRows(10)
	}
	last := w.Stop()
	s.streamed(last.LSN)
	s.Kill9()
	receiver.stop()

	end := s.restoreFetching(id, barman.options("--jobs", "2")...)
	want := "barman-wal-restore -P -U " + barman.User + " --port " + strconv.Itoa(barman.Port) + " -c " + s.home.Config + " backup.example.com main %f %p -p 2"
	if end.command != want {
		t.Errorf("restore_command is %q, want %q", end.command, want)
	}
	target := s.restoreFetching(id, barman.options("--target-name", moment.Name)...)
	for f, want := range map[fetched]pgtest.Moment{end: last, target: moment} {
		c := pgtest.StartExisting(t, s.Major, f.directory, barman.settings(f))
		c.WaitRecovered()
		want.Check(t, c)
	}
}

func TestAStandbyFollowsByWhatItFetchesAndByStreaming(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17}, zstdTar+receiveLZ4)
	barman := newElsewhere(t)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	s.receive()
	id := s.backup()
	f := s.restoreFetching(id, barman.options("--standby-mode")...)
	if strings.Contains(f.command, " -P") {
		t.Errorf("a standby asks for the unfinished segment: %s", f.command)
	}

	// It cannot stream, and the primary's WAL is in the archive alone.
	s.SwitchWAL()
	w.WaitRows(50)
	moment := w.Moment("")
	finished := s.SwitchWAL()
	eventually(t, "the segment is archived", func() bool {
		s.home.Must("archive-wal", "main")
		_, err := os.Stat(s.path("wals", finished[:16], finished+".lz4"))
		_, plain := os.Stat(s.path("wals", finished[:16], finished))
		return err == nil || plain == nil
	})
	standby := pgtest.StartExisting(t, s.Major, f.directory, barman.settings(f))
	standby.Wait("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", moment.LSN)
	standby.Exec("ALTER SYSTEM SET primary_conninfo = '" + s.ConninfoAs("streaming_barman") + "'")
	standby.Exec("SELECT pg_reload_conf()")
	w.WaitRows(50)
	last := w.Stop()
	standby.Wait("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", last.LSN)
	standby.Wait("SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')")
	if !pgtest.One[bool](standby, "SELECT pg_is_in_recovery()") {
		t.Error("it is no standby any more")
	}
	last.Check(t, standby)
}
