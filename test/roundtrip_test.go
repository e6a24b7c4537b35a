package test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// The name of a restore point may hold what both a shell and a configuration
// file read as something else.
const restorePoint = `before Bob's 100% "accident" \ $HOME`

func TestABackupIsRecoveredToAnyTarget(t *testing.T) {
	pgtest.EachVersion(t, func(t *testing.T, major int) {
		t.Parallel()
		s := newSite(t, pgtest.Options{Major: major, Tablespaces: []string{"side"}, Checksums: true}, zstdTar+receiveLZ4)
		if major == 15 {
			s.Exec("CREATE EXTENSION amcheck")
		}
		w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "side", Every: 2 * time.Millisecond})
		s.receive()
		begin := w.Row()
		id := s.backup()
		end := w.Row()
		w.WaitRows(50)
		moment := w.Moment(restorePoint)
		w.WaitRows(50)
		s.SwitchWAL()
		w.WaitRows(50)
		last := w.Stop()
		s.streamed(last.LSN)
		earlier := moment
		earlier.Row--

		for _, target := range []struct {
			name     string
			everyone bool // on all versions
			options  []string
			want     pgtest.Moment
		}{
			{"none", true, nil, last},
			{"time", true, []string{"--target-time", moment.Time}, moment},
			{"xid", false, []string{"--target-xid", moment.XID}, moment},
			{"xid, exclusive", true, []string{"--target-xid", moment.XID, "--exclusive"}, earlier},
			{"lsn", false, []string{"--target-lsn", moment.LSN}, moment},
			{"lsn, exclusive", false, []string{"--target-lsn", moment.LSN, "--exclusive", "--target-tli", "current"}, moment},
			{"name", true, []string{"--target-name", moment.Name}, moment},
		} {
			if major != 15 && !target.everyone {
				continue
			}
			t.Run(target.name, func(t *testing.T) {
				directory := s.in(t).restore("latest", target.options...)
				if major == 15 {
					verify(t, directory)
				}
				c := pgtest.StartExisting(t, major, directory, nil)
				c.WaitRecovered()
				target.want.Check(t, c)
				if major == 15 {
					amcheck(t, c)
				}
				if paused := pgtest.One[bool](c, "SELECT pg_is_in_recovery()"); paused != (target.name != "none") {
					t.Errorf("in recovery: %t", paused)
				}
			})
		}
		t.Run("immediate", func(t *testing.T) {
			c := pgtest.StartExisting(t, major, s.in(t).restore(id, "--target-immediate", "--target-action", "promote"), nil)
			c.Wait("SELECT NOT pg_is_in_recovery()")
			rows := pgtest.One[int64](c, "SELECT count(*) FROM written")
			if rows < begin || rows > end {
				t.Fatalf("%d rows, the backup began after row %d and ended before row %d", rows, begin, end)
			}
			exactly := moment
			exactly.Row = rows
			exactly.Check(t, c)
		})
	})
}

// in is the site for the use of a subtest.
func (s *site) in(t *testing.T) *site {
	return &site{Cluster: s.Cluster, home: s.home.In(t), t: t}
}

func TestPostgreSQLDoesAtTheTargetWhatItIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17}, zstdTar+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	s.receive()
	s.backup()
	moment := w.Moment("")
	w.WaitRows(20)
	s.streamed(w.Stop().LSN)

	promoted := pgtest.StartExisting(t, s.Major, s.restore("latest", "--target-time", moment.Time, "--target-action", "promote"), nil)
	promoted.Wait("SELECT NOT pg_is_in_recovery()")
	moment.Check(t, promoted)
	if _, err := os.Stat(filepath.Join(promoted.DataDir, "barman_wal")); !os.IsNotExist(err) {
		t.Errorf("the directory in which WAL waited is still there after recovery: %v", err)
	}
	promoted.Exec("CREATE TABLE writable ()")

	directory := s.restore("latest", "--target-time", moment.Time, "--target-action", "shutdown")
	c, err := pgtest.TryStart(t, s.Major, directory, nil)
	if err == nil {
		c.WaitExit()
	} else if c.Running() {
		t.Fatal(err)
	}
	again := pgtest.StartExisting(t, s.Major, directory, map[string]string{"recovery_target_action": "pause"})
	again.WaitRecovered()
	moment.Check(t, again)
}

func TestFilesStoredOneByOneAreTheDataDirectory(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15, Tablespaces: []string{"side"}}, plainFiles+receiveLZ4)
	s.Exec("CREATE EXTENSION amcheck")
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "side"})
	s.receive()
	id := s.backup("--jobs", "2")
	oid := pgtest.One[string](s.Cluster, "SELECT oid::text FROM pg_tablespace WHERE spcname = 'side'")
	for _, path := range []string{s.path("base", id, "data", "PG_VERSION"), s.path("base", id, "data", "backup_manifest"), s.path("base", id, oid)} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	w.WaitRows(50)
	last := w.Stop()
	s.streamed(last.LSN)
	directory := s.restore("latest", "--jobs", "2")
	verify(t, directory)
	c := pgtest.StartExisting(t, s.Major, directory, nil)
	c.WaitRecovered()
	last.Check(t, c)
	amcheck(t, c)
}

func TestEveryCodecOnEitherSideOfTheWireIsUndone(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, "")
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	for _, codecs := range []struct{ server, client, wal string }{
		{server: "lz4", wal: "gzip"},
		{server: "gzip", wal: "zstd"},
		{server: "zstd", wal: "none"},
		{client: "lz4", wal: "lz4"},
		{client: "gzip", wal: "gzip"},
	} {
		t.Run(fmt.Sprintf("%+v", codecs), func(t *testing.T) {
			s := s.in(t)
			backup := "backup {\n layout = \"tar\"\n source \"pgbasebackup\" {\n checkpoint = \"fast\"\n"
			if codecs.server != "" {
				backup += fmt.Sprintf("server_compression { codec = %q }\n", codecs.server)
			}
			backup += "}\n"
			if codecs.client != "" {
				backup += fmt.Sprintf("transform \"compress\" { codec = %q }\n", codecs.client)
			}
			wal := "wal {\n source \"pgreceivewal\" {\n slot = \"barman\"\n create_slot = \"auto\"\n status_interval = \"100ms\"\n }\n"
			wal += fmt.Sprintf("transform \"compress\" { codec = %q }\n", codecs.wal)
			s.configure(backup + "sink \"posix\" {}\n}\n" + wal + "sink \"posix\" {}\n}\n")
			receiver := s.receive()
			id := s.backup()
			moment := w.Moment("")
			s.streamed(moment.LSN)
			directory := s.restore(id, "--target-time", moment.Time)
			receiver.stop()
			verify(t, directory)
			c := pgtest.StartExisting(t, s.Major, directory, nil)
			c.WaitRecovered()
			moment.Check(t, c)
		})
	}
}
