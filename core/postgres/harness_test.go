package postgres

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/pgtest"
)

// server is a scratch cluster with the connection strings that these tests use.
type server struct{ *pgtest.Cluster }

// start runs a server with settings written as in postgresql.conf.
func start(t *testing.T, major int, settings ...string) server {
	t.Helper()
	return server{pgtest.Start(t, pgtest.Options{Major: major, Config: parse(settings)})}
}

// startWithHBA runs PostgreSQL 15 with lines of pg_hba.conf before those that let
// everybody in.
func startWithHBA(t *testing.T, lines ...string) server {
	t.Helper()
	return server{pgtest.Start(t, pgtest.Options{Major: 15, HBA: lines})}
}

func parse(settings []string) map[string]string {
	config := map[string]string{}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, " = ")
		config[name] = strings.Trim(value, "'")
	}
	return config
}

func (s server) conninfo(user string) string { return s.ConninfoAs(user) + " dbname=postgres" }

// standby runs a copy of the server that follows it.
func (s server) standby(t *testing.T) server {
	t.Helper()
	dir := filepath.Join(pgtest.Scratch(t), "standby")
	copying := exec.CommandContext(t.Context(), pgtest.Tool(t, s.Major, "pg_basebackup"), "-D", dir, "-R", "-X", "stream", "-c", "fast", "-d", s.Conninfo())
	if out, err := copying.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	return server{pgtest.StartExisting(t, s.Major, dir, nil)}
}

// write puts a file into the data directory.
func (s server) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.DataDir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// eventually polls for what a server does in its own time.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatal("it did not come about within a minute")
		case <-tick.C:
		}
	}
}

func cancelled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func connect(t *testing.T, conninfo string) *Conn {
	t.Helper()
	conn, err := Connect(t.Context(), conninfo, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func replicate(t *testing.T, conninfo string) *Replication {
	t.Helper()
	replication, err := ConnectReplication(t.Context(), conninfo, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = replication.Close() })
	return replication
}

func execute(t *testing.T, conn *Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.pg.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// refused checks the kind of an error and that it says each of parts.
func refused(t *testing.T, err error, kind sdk.ErrorKind, parts ...string) {
	t.Helper()
	if got := sdk.KindOf(err); err == nil || got != kind {
		t.Fatalf("got kind %v, want %v: %v", got, kind, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
}
