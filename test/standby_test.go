package test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

func TestAStandbyFollowsItsPrimaryAndIsArchivedOnItsOwnTimelineOncePromoted(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17, Tablespaces: []string{"side"}}, zstdTar+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "side"})
	receiver := s.receive()
	id := s.backup()
	w.WaitRows(50)
	s.SwitchWAL()

	standby := pgtest.StartExisting(t, s.Major, s.restore("latest", "--standby-mode"), map[string]string{"primary_conninfo": s.ConninfoAs("streaming_barman")})
	if _, err := os.Stat(filepath.Join(standby.DataDir, "standby.signal")); err != nil {
		t.Error(err)
	}
	w.WaitRows(50)
	first := w.Stop()
	s.streamed(first.LSN)
	standby.Wait("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", first.LSN)
	first.Check(t, standby)

	// The primary is lost, the standby takes over, and barman goes on with it.
	s.Kill9()
	receiver.stop()
	standby.Promote()
	after := &site{Cluster: standby, home: s.home, t: t}
	after.configure(zstdTar + receiveLZ4)
	after.Tablespaces = s.Tablespaces
	after.receive()
	w = pgtest.StartWriter(t, standby, pgtest.WriterOptions{Table: "written_later"})
	w.WaitRows(50)
	after.SwitchWAL()
	w.WaitRows(50)
	second := w.Stop()
	after.streamed(second.LSN)
	after.home.Must("archive-wal", "main")

	// The backup of the first timeline leads to the end of either.
	latest := pgtest.StartExisting(t, s.Major, after.restore(id), nil)
	latest.WaitRecovered()
	first.Check(t, latest)
	second.Check(t, latest)
	old := pgtest.StartExisting(t, s.Major, after.restore(id, "--target-tli", "1"), nil)
	old.WaitRecovered()
	first.Check(t, old)
	if pgtest.One[bool](old, "SELECT to_regclass('written_later') IS NOT NULL") {
		t.Error("timeline 1 holds what was written on timeline 2")
	}
	// And so does one of the second timeline.
	third := after.backup()
	again := pgtest.StartExisting(t, s.Major, after.restore(third), nil)
	again.WaitRecovered()
	second.Check(t, again)
}
