package test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// delivery is a directory of whom PostgreSQL runs as, that its archive_command
// copies WAL into and barman takes it from.
type delivery string

func newDelivery(t *testing.T) delivery {
	t.Helper()
	incoming := filepath.Join(pgtest.Scratch(t), "incoming")
	if err := os.Mkdir(incoming, 0o700); err != nil {
		t.Fatal(err)
	}
	pgtest.Own(t, incoming)
	return delivery(incoming)
}

// block is for the server's block of the configuration.
func (d delivery) block() string { return fmt.Sprintf("  incoming_wals_directory = %q\n", string(d)) }

// settings are those of a server that delivers.
func (d delivery) settings() map[string]string {
	return map[string]string{"archive_mode": "on", "archive_command": fmt.Sprintf("cp %%p %[1]s/%%f.tmp && mv %[1]s/%%f.tmp %[1]s/%%f", string(d))}
}

// standby makes a standby that follows a server, and delivers WAL once it is
// promoted.
func (s *site) standby(backup string, d delivery) *pgtest.Cluster {
	s.t.Helper()
	settings := d.settings()
	settings["primary_conninfo"] = s.ConninfoAs("streaming_barman")
	return pgtest.StartExisting(s.t, s.Major, s.restore(backup, "--standby-mode"), settings)
}

const streamAndDeliver = `
  wal {
    archive = true
    source "pgreceivewal" {
      slot            = "barman"
      create_slot     = "auto"
      status_interval = "100ms"
    }
    sink "posix" {}
  }
`

// recoversTo recovers a backup along a timeline to its end, with WAL that is
// copied and with WAL that is fetched, and holds the rows against moments.
func (s *site) recoversTo(barman elsewhere, backup, timeline string, want ...pgtest.Moment) {
	s.t.Helper()
	copied := pgtest.StartExisting(s.t, s.Major, s.restore(backup, "--target-tli", timeline), nil)
	f := s.restoreFetching(backup, barman.options("--target-tli", timeline)...)
	for how, c := range map[string]*pgtest.Cluster{"copied": copied, "fetched": pgtest.StartExisting(s.t, s.Major, f.directory, barman.settings(f))} {
		c.WaitRecovered()
		s.t.Logf("WAL %s:", how)
		for _, moment := range want {
			moment.Check(s.t, c)
		}
		c.Stop(pgtest.Immediate)
	}
}

func TestTheUnfinishedSegmentsOfEveryTimelineAreRecovered(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17}, zstdTar+receiveLZ4)
	barman := newElsewhere(t)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	receiver := s.receive()
	id := s.backup()
	standby := pgtest.StartExisting(t, s.Major, s.restore(id, "--standby-mode"), map[string]string{"primary_conninfo": s.ConninfoAs("streaming_barman")})
	w.WaitRows(50)
	first := w.Stop()
	s.streamed(first.LSN)
	standby.Wait("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", first.LSN)
	s.Kill9()
	receiver.stop()
	standby.Promote()
	after := &site{Cluster: standby, home: s.home, t: t}
	after.configure(zstdTar + receiveLZ4)
	receiver = after.receive()
	w = pgtest.StartWriter(t, standby, pgtest.WriterOptions{Table: "written_later"})
	w.WaitRows(50)
	second := w.Stop()
	after.streamed(second.LSN)
	standby.Kill9()
	receiver.stop()
	after.home.Must("archive-wal", "main")

	after.recoversTo(barman, id, "1", first)
	after.recoversTo(barman, id, "latest", first, second)
}

func TestWhatAPromotedStandbyDeliversOfTheOldTimelineIsRecovered(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	s := newSite(t, pgtest.Options{Major: 17, Config: d.settings()}, d.block()+zstdTar)
	barman := newElsewhere(t)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	id := s.backup()
	standby := s.standby(id, d)
	w.WaitRows(50)
	last := w.Stop()
	standby.Wait("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", last.LSN)
	partial := pgtest.One[string](s.Cluster, "SELECT pg_walfile_name($1::text::pg_lsn)", last.LSN) + ".partial"
	s.Kill9()
	standby.Promote()
	eventually(t, "the standby delivers what it has of the old timeline", func() bool { return exists(filepath.Join(string(d), partial)) })
	s.recoversTo(barman, id, "1", last)
	if _, err := os.Stat(s.path("wals", partial[:16], partial)); err != nil {
		t.Error(err)
	}
}

func TestOfAReceivedAndADeliveredPartialSegmentTheLongerOneIsRecovered(t *testing.T) {
	for _, longer := range []string{"received", "delivered"} {
		t.Run(longer, func(t *testing.T) {
			t.Parallel()
			d := newDelivery(t)
			s := newSite(t, pgtest.Options{Major: 17}, d.block()+zstdTar+streamAndDeliver)
			barman := newElsewhere(t)
			receiver := s.receive()
			s.Exec("CREATE TABLE filler ()")
			id := s.backup()
			standby := s.standby(id, d)
			w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
			w.WaitRows(20)
			moment := w.Moment("")
			s.streamed(moment.LSN)
			standby.Wait("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", moment.LSN)
			if longer == "received" {
				standby.Stop(pgtest.Fast)
			} else {
				receiver.stop()
			}
			w.WaitRows(100)
			last := w.Stop()
			if longer == "received" {
				s.streamed(last.LSN)
			} else {
				standby.Wait("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", last.LSN)
			}
			partial := pgtest.One[string](s.Cluster, "SELECT pg_walfile_name($1::text::pg_lsn)", last.LSN) + ".partial"
			s.Kill9()
			if longer == "received" {
				receiver.stop()
				standby.Restart()
			}
			standby.Promote()
			eventually(t, "the standby delivers what it has of the old timeline", func() bool { return exists(filepath.Join(string(d), partial)) })
			s.home.Must("archive-wal", "main")
			for _, path := range []string{s.path("wals", partial[:16], partial), s.path("streaming", partial)} {
				if _, err := os.Stat(path); err != nil {
					t.Fatal(err)
				}
			}
			s.recoversTo(barman, id, "1", last)
		})
	}
}
