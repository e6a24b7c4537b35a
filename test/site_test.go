package test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// patience bounds every wait for a condition.
const patience = time.Minute

// site is a PostgreSQL server, and a barman that knows it as server "main".
type site struct {
	*pgtest.Cluster
	home *pgtest.Home
	t    *testing.T
}

// Blocks of configuration that tests share.
const (
	zstdTar = `
  backup {
    source "pgbasebackup" { checkpoint = "fast" }
    transform "compress" { codec = "zstd" }
    sink "posix" {}
  }
`
	plainFiles = `
  backup {
    source "pgbasebackup" { checkpoint = "fast" }
    sink "posix" {}
  }
`
	receiveLZ4 = `
  wal {
    source "pgreceivewal" {
      slot            = "barman"
      create_slot     = "auto"
      status_interval = "100ms"
    }
    transform "compress" { codec = "lz4" }
    sink "posix" {}
  }
`
)

// newSite starts a server, with the roles of the manual, and configures barman
// for it.
func newSite(t *testing.T, o pgtest.Options, blocks string) *site {
	t.Helper()
	c := pgtest.Start(t, o)
	c.BarmanRoles()
	s := &site{Cluster: c, t: t, home: pgtest.NewHome(t, "")}
	s.configure(blocks)
	return s
}

// configure replaces the blocks of server "main".
func (s *site) configure(blocks string) {
	s.t.Helper()
	s.home.Configure(serverBlock(s.Cluster, blocks))
}

func serverBlock(c *pgtest.Cluster, blocks string) string {
	return fmt.Sprintf("server \"main\" {\n  conninfo           = %q\n  streaming_conninfo = %q\n%s}\n",
		c.ConninfoAs("barman")+" dbname=postgres", c.ReplicationConninfo("streaming_barman"), blocks)
}

// receive starts barman receive-wal and returns once WAL streams.
func (s *site) receive() *background {
	s.t.Helper()
	receiver := start(s.t, s.home.Command("receive-wal", "main"))
	eventually(s.t, "WAL streams to barman", func() bool {
		receiver.mustRun()
		return pgtest.One[bool](s.Cluster, "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = 'barman_receive_wal' AND state = 'streaming')")
	})
	return receiver
}

// streamed waits until barman has reported everything before an LSN as durable.
func (s *site) streamed(lsn string) {
	s.t.Helper()
	s.Wait("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = 'barman_receive_wal' AND flush_lsn >= $1::text::pg_lsn)", lsn)
}

// allStreamed waits until barman has reported all WAL until now as durable.
func (s *site) allStreamed() {
	s.t.Helper()
	s.streamed(pgtest.One[string](s.Cluster, "SELECT pg_create_restore_point('all of it')::text"))
}

// backup takes a backup that must become DONE, and returns its ID.
func (s *site) backup(args ...string) string {
	s.t.Helper()
	out := s.home.Must(append([]string{"-f", "json", "backup", "main", "--wait", "--wait-timeout", "60s"}, args...)...)
	var taken struct {
		ID     string `json:"backup_id"`
		Status string `json:"status"`
	}
	decode(s.t, out, &taken)
	if taken.Status != "DONE" {
		s.t.Fatalf("backup --wait ended with status %q:\n%s", taken.Status, out)
	}
	return taken.ID
}

// listed is a backup as list-backups has it.
type listed struct {
	ID     string `json:"backup_id"`
	Status string `json:"status"`
}

// backups lists the backups, oldest first.
func (s *site) backups() []listed {
	s.t.Helper()
	var all map[string][]listed
	decode(s.t, s.home.Must("-f", "json", "list-backups", "main"), &all)
	slices.SortFunc(all["main"], func(a, b listed) int { return strings.Compare(a.ID, b.ID) })
	return all["main"]
}

// statuses are those of the backups, oldest first.
func (s *site) statuses() []string {
	s.t.Helper()
	statuses := []string{}
	for _, b := range s.backups() {
		statuses = append(statuses, b.Status)
	}
	return statuses
}

// wantStatuses fails the test unless these are the statuses of the backups, and
// the failed ones hold no data.
func (s *site) wantStatuses(want ...string) {
	s.t.Helper()
	if got := s.statuses(); !slices.Equal(got, want) {
		s.t.Fatalf("the backups are %q, want %q", got, want)
	}
	for _, b := range s.backups() {
		if b.Status != "FAILED" {
			continue
		}
		if left := bytesBelow(s.t, s.path("base", b.ID, "data")); left != 0 {
			s.t.Errorf("FAILED backup %s still holds %d bytes of data", b.ID, left)
		}
	}
}

// path is a path in the server's directory of barman's home.
func (s *site) path(elements ...string) string {
	return filepath.Join(append([]string{s.home.Dir, "main"}, elements...)...)
}

// destination is a new place to recover to: the data directory, and the options
// that put the tablespaces beside it.
func (s *site) destination() (directory string, options []string) {
	s.t.Helper()
	scratch := pgtest.Scratch(s.t)
	for name := range s.Tablespaces {
		options = append(options, "--tablespace", name+":"+filepath.Join(scratch, "tablespaces", name))
	}
	return filepath.Join(scratch, "restored"), options
}

// restore recovers a backup to a new place, with tablespaces beside it, and
// returns the data directory.
func (s *site) restore(backup string, args ...string) string {
	s.t.Helper()
	directory, options := s.destination()
	s.home.Must(slices.Concat([]string{"recover", "main", backup, directory}, options, args)...)
	return directory
}

// verify runs pg_verifybackup over a restored directory that was not started. The
// manifest, which has the backup's ID in its name there, knows nothing of what
// recovery adds and takes away, and of settings that it makes harmless.
func verify(t *testing.T, directory string) {
	t.Helper()
	manifests, err := filepath.Glob(filepath.Join(directory, "backup_manifest.*"))
	if err != nil || len(manifests) != 1 {
		t.Fatalf("%d manifests in %s: %v", len(manifests), directory, err)
	}
	args := []string{"--no-parse-wal", "--manifest-path", manifests[0], "--ignore", filepath.Base(manifests[0])}
	for _, name := range []string{"barman_wal", ".barman-recover.info", "tablespace_map", "postgresql.conf", "postgresql.conf.origin", "postgresql.auto.conf.origin"} {
		args = append(args, "--ignore", name)
	}
	run(t, pgtest.Tool(t, 15, "pg_verifybackup"), append(args, directory)...)
}

// amcheck runs pg_amcheck over a cluster that has the extension.
func amcheck(t *testing.T, c *pgtest.Cluster) {
	t.Helper()
	run(t, pgtest.Tool(t, 15, "pg_amcheck"), "-h", c.SocketDir, "-p", fmt.Sprint(c.Port), "-U", "postgres", "-d", "postgres", "--heapallindexed")
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so after %s: %s", patience, what)
		}
	}
}

// bytesBelow is how many bytes the files below a directory hold.
func bytesBelow(t *testing.T, directory string) int64 {
	t.Helper()
	var sum int64
	err := filepath.WalkDir(directory, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return ignoreMissing(err)
		}
		info, err := entry.Info()
		if err == nil {
			sum += info.Size()
		}
		return ignoreMissing(err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// ignoreMissing: what is looked at while others work on it may go.
func ignoreMissing(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
