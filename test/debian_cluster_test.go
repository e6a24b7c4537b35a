package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// As on Debian, the server's configuration files are not in its data directory.
// On a new host they are with the recovered data, where pg_createcluster finds
// them.
func TestPgCreateclusterPicksARecoveredClusterUpWithItsConfiguration(t *testing.T) {
	t.Parallel()
	origin := pgtest.Start(t, pgtest.Options{Major: 15})
	origin.BarmanRoles()
	origin.Exec("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS i")
	origin.Stop(pgtest.Fast)
	etc := filepath.Join(pgtest.Scratch(t), "etc;postgresql")
	if err := os.Mkdir(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{"config_file": filepath.Join(etc, "postgresql.conf"), "hba_file": filepath.Join(etc, "pg_hba.conf"), "ident_file": filepath.Join(etc, "pg_ident.conf")}
	for _, name := range []string{"postgresql.conf", "pg_hba.conf", "pg_ident.conf"} {
		content, err := os.ReadFile(filepath.Join(origin.DataDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "postgresql.conf" {
			content = append(content, "\nwork_mem = '4321kB'\n"...)
		}
		if err := os.WriteFile(filepath.Join(etc, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(origin.DataDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := &site{Cluster: pgtest.StartExisting(t, 15, origin.DataDir, settings), t: t, home: pgtest.NewHome(t, "")}
	s.configure(rsyncBlock() + receiveLZ4)
	s.receive()
	id := s.backup()
	s.home.Must("verify-backup", "main", id)
	directory := s.restore(id)

	pgtest.Own(t, directory)
	confroot := pgtest.Scratch(t)
	create := exec.CommandContext(t.Context(), "pg_createcluster", "--datadir", directory, "--port", "54999", "--logfile", filepath.Join(confroot, "log"), "15", "recovered")
	create.Env = append(os.Environ(), "PG_CLUSTER_CONF_ROOT="+confroot)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("pg_createcluster: %v\n%s", err, out)
	}
	conf := filepath.Join(confroot, "15", "recovered")
	c := pgtest.StartExisting(t, 15, directory, map[string]string{
		"config_file": filepath.Join(conf, "postgresql.conf"), "hba_file": filepath.Join(conf, "pg_hba.conf"), "ident_file": filepath.Join(conf, "pg_ident.conf"),
	})
	c.WaitRecovered()
	if rows := pgtest.One[int](c, "SELECT count(*) FROM kept"); rows != 1000 {
		t.Errorf("%d rows", rows)
	}
	if got := pgtest.One[string](c, "SHOW work_mem"); got != "4321kB" {
		t.Errorf("work_mem is %s: it is not the server's own configuration", got)
	}
	if _, err := os.Stat(filepath.Join(directory, "postgresql.conf")); !os.IsNotExist(err) {
		t.Errorf("pg_createcluster left postgresql.conf where it was: %v", err)
	}
	if content, err := os.ReadFile(filepath.Join(conf, "postgresql.conf")); err != nil || !strings.Contains(string(content), "work_mem = '4321kB'") {
		t.Errorf("%v", err)
	}
}
