//go:build linux && amd64

package chaos_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// site is a small cluster and the place where its backups go.
type site struct {
	place
	cluster *pgtest.Cluster
	hcl     string
	wal     map[string][]byte // the segments that were delivered, by name
	verify  string
}

const backupServer = `
server "main" {
  conninfo = %q
  streaming_conninfo = %q
  backup {
    source "pgbasebackup" { checkpoint = "fast" }
    %s
    sink "posix" {}
    jobs = 2
  }
  wal {
    archive = true
    transform "compress" { codec = "lz4" }
    sink "posix" {}
  }
}
`

// newSite starts a cluster that is as small as one can be, with a tablespace.
func newSite(t *testing.T, transform string) *site {
	t.Helper()
	c := pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1, Tablespaces: []string{"fast"}, Config: map[string]string{"autovacuum": "off", "wal_keep_size": "64MB"}})
	c.Exec("CREATE TABLE payload TABLESPACE fast AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n")
	c.Exec("UPDATE pg_database SET datistemplate = false WHERE datname = 'template0'")
	c.Exec("DROP DATABASE template0")
	return &site{
		place: newPlace(t), cluster: c, wal: map[string][]byte{}, verify: pgtest.Tool(t, 15, "pg_verifybackup"),
		hcl: fmt.Sprintf(backupServer, c.Conninfo(), c.ReplicationConninfo("postgres"), transform),
	}
}

// deliver is the archive_command: it brings all segments that are complete.
func (s *site) deliver() error {
	s.cluster.SwitchWAL()
	current := pgtest.One[string](s.cluster, "SELECT pg_walfile_name(pg_current_wal_lsn())")
	if err := os.MkdirAll(s.path("home/main/incoming"), 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(s.cluster.DataDir, "pg_wal"))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if len(name) != 24 || name >= current {
			continue
		}
		content, err := os.ReadFile(filepath.Join(s.cluster.DataDir, "pg_wal", name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		s.wal[name] = content
		if err := os.WriteFile(s.path("home/main/incoming", name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// info is what a backup.info says.
type info struct{ id, status, beginWAL, endWAL string }

var field = regexp.MustCompile(`(?m)^(status|begin_wal|end_wal)=(.*)$`)

func (s *site) backups() ([]info, error) {
	files, err := filepath.Glob(s.path("home/main/base/*/backup.info"))
	if err != nil {
		return nil, err
	}
	var all []info
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		b := info{id: filepath.Base(filepath.Dir(file))}
		for _, m := range field.FindAllSubmatch(text, -1) {
			switch string(m[1]) {
			case "status":
				b.status = string(m[2])
			case "begin_wal":
				b.beginWAL = string(m[2])
			case "end_wal":
				b.endWAL = string(m[2])
			}
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b info) int { return strings.Compare(a.id, b.id) })
	return all, nil
}

// copied tells whether a backup claims that its data can be used.
func (b info) copied() bool { return b.status == "DONE" || b.status == "WAITING_FOR_WALS" }

func (s *site) recoverCommand(id string) []string {
	return []string{"recover", "main", id, s.path("to/data"), "--tablespace", "fast:" + s.path("to/fast")}
}

// restores says what is wrong with a backup that claims to be good.
func (s *site) restores(b info) error {
	if err := os.RemoveAll(s.path("to")); err != nil {
		return err
	}
	if err := s.run(s.recoverCommand(b.id)...); err != nil {
		return err
	}
	return s.restored(b)
}

// restored compares what was recovered with what the server said of it, and
// with the WAL it wrote.
func (s *site) restored(b info) error {
	manifest := "backup_manifest." + b.id
	args := []string{"--no-parse-wal", "--manifest-path", s.path("to/data", manifest), "--ignore", manifest}
	for _, added := range []string{"barman_wal", "recovery.signal", ".barman-recover.info", "postgresql.conf", "postgresql.conf.origin", "postgresql.auto.conf", "postgresql.auto.conf.origin"} {
		args = append(args, "--ignore", added)
	}
	cmd := exec.Command(s.verify, append(args, s.path("to/data"))...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("backup %s: pg_verifybackup: %w\n%s", b.id, err, out)
	}
	found := 0
	for name, content := range s.wal {
		if name < b.beginWAL || name > b.endWAL {
			continue
		}
		found++
		got, err := os.ReadFile(s.path("to/data/barman_wal", name))
		if err != nil || !bytes.Equal(got, content) {
			return fmt.Errorf("backup %s: WAL %s is not what the server wrote (%v)", b.id, name, err)
		}
	}
	if found == 0 && b.status == "DONE" {
		return fmt.Errorf("backup %s is DONE without WAL from %s to %s", b.id, b.beginWAL, b.endWAL)
	}
	signal, err := os.ReadFile(s.path("to/data/recovery.signal"))
	if err != nil || len(signal) > 0 {
		return fmt.Errorf("backup %s: recovery.signal: %v", b.id, err)
	}
	return nil
}
