package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// newStandby makes a standby of the site's server from its latest backup.
func (s *site) newStandby() *site {
	s.t.Helper()
	directory := s.restore("latest", "--standby-mode")
	settings, err := os.OpenFile(filepath.Join(directory, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(settings, "primary_conninfo = '%s'\n", s.ConninfoAs("streaming_barman")); err != nil {
		s.t.Fatal(err)
	}
	if err := settings.Close(); err != nil {
		s.t.Fatal(err)
	}
	standby := pgtest.StartExisting(s.t, s.Major, directory, nil)
	standby.Wait("SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')")
	return &site{Cluster: standby, home: s.home, t: s.t}
}

// has waits until a standby has replayed an LSN.
func (s *site) has(lsn string) {
	s.t.Helper()
	s.Wait("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", lsn)
}

// recovered recovers a backup and starts what came of it.
func (s *site) recovered(backup string, args ...string) *pgtest.Cluster {
	s.t.Helper()
	c := pgtest.StartExisting(s.t, s.Major, s.restore(backup, args...), nil)
	c.WaitRecovered()
	return c
}

func lacks(t *testing.T, c *pgtest.Cluster, table string) {
	t.Helper()
	if pgtest.One[bool](c, "SELECT to_regclass($1) IS NOT NULL", table) {
		t.Errorf("a timeline holds table %s, which was written on another", table)
	}
}

func TestWALComesFromAStandbyAndGoesOnWhenItIsPromoted(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17, SegmentSizeMB: 1}, zstdTar+receiveLZ4)
	receiver := s.receive()
	id := s.backup()
	receiver.stop()
	standby := s.newStandby()
	s.home.Configure(strings.Replace(serverBlock(s.Cluster, zstdTar+receiveLZ4), "\n", fmt.Sprintf("\n  wal_conninfo = %q\n  wal_streaming_conninfo = %q\n",
		standby.ConninfoAs("barman")+" dbname=postgres", standby.ReplicationConninfo("streaming_barman")), 1))
	receiver = standby.receive()
	if pgtest.One[bool](s.Cluster, "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = 'barman_receive_wal')") {
		t.Error("WAL is received from the primary")
	}
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	w.WaitRows(200)
	s.backup() // from the primary, with its WAL from the standby
	first := w.Stop()
	standby.has(first.LSN)
	standby.streamed(first.LSN)

	s.Kill9()
	standby.Promote()
	w = pgtest.StartWriter(t, standby.Cluster, pgtest.WriterOptions{Table: "written_later"})
	w.WaitRows(200)
	standby.SwitchWAL()
	w.WaitRows(200)
	second := w.Stop()
	standby.streamed(second.LSN)
	receiver.mustRun()
	s.home.Must("archive-wal", "main")
	if left, err := filepath.Glob(s.path("streaming", "00000001*")); err != nil || len(left) > 0 {
		t.Errorf("left of timeline 1: %q, %v", left, err)
	}
	if _, err := os.Stat(s.path("wals", "00000002.history")); err != nil {
		t.Error(err)
	}

	for _, args := range [][]string{{}, {"--target-tli", "latest"}, {"--target-tli", "2"}} {
		c := s.recovered(id, args...)
		first.Check(t, c)
		second.Check(t, c)
		c.Stop(pgtest.Immediate)
	}
	old := s.recovered(id, "--target-tli", "1")
	first.Check(t, old)
	lacks(t, old, "written_later")
}

func TestAPromotedStandbyThatHadLessThanBarmanIsFollowed(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15, SegmentSizeMB: 1}, zstdTar+receiveLZ4)
	receiver := s.receive()
	id := s.backup()
	receiver.stop()
	standby := s.newStandby()
	both := func(as func(*pgtest.Cluster) string) string {
		return as(s.Cluster) + " " + fmt.Sprintf("host=127.0.0.1,127.0.0.1 port=%d,%d target_session_attrs=primary", s.Port, standby.Port)
	}
	s.home.Configure(fmt.Sprintf("server \"main\" {\n  conninfo = %q\n  streaming_conninfo = %q\n%s}\n",
		both(func(c *pgtest.Cluster) string { return c.ConninfoAs("barman") + " dbname=postgres" }),
		both(func(c *pgtest.Cluster) string { return c.ReplicationConninfo("streaming_barman") }), zstdTar+receiveLZ4))
	receiver = s.receive()
	shared := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	shared.WaitRows(100)
	common := shared.Stop()
	standby.has(common.LSN)

	// The standby loses its primary before barman does, by some segments.
	standby.Exec("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
	standby.Exec("SELECT pg_reload_conf()")
	standby.Wait("SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')")
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Table: "lost_by_the_standby"})
	for range 3 {
		w.WaitRows(30)
		s.SwitchWAL()
	}
	w.WaitRows(30)
	lost := w.Stop()
	s.streamed(lost.LSN)
	s.Kill9()
	standby.Promote()

	w = pgtest.StartWriter(t, standby.Cluster, pgtest.WriterOptions{Table: "written_later"})
	w.WaitRows(100)
	standby.SwitchWAL()
	w.WaitRows(100)
	later := w.Stop()
	standby.streamed(later.LSN)
	standby.Wait("SELECT active AND restart_lsn IS NOT NULL FROM pg_replication_slots WHERE slot_name = 'barman'") // it had none before
	receiver.mustRun()
	s.home.Must("archive-wal", "main")

	latest := s.recovered(id)
	common.Check(t, latest)
	later.Check(t, latest)
	lacks(t, latest, "lost_by_the_standby")
	latest.Stop(pgtest.Immediate)
	old := s.recovered(id, "--target-tli", "1") // barman still has what the standby never got
	common.Check(t, old)
	lost.Check(t, old)
	lacks(t, old, "written_later")
	later.Check(t, s.recovered(standby.backup()))
}
