package postgres

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
)

func TestWrongPasswordIsDeniedAndNotRepeated(t *testing.T) {
	server := startWithHBA(t, "host all secured 127.0.0.1/32 scram-sha-256", "host replication secured 127.0.0.1/32 scram-sha-256")
	execute(t, connect(t, server.conninfo("postgres")), "CREATE ROLE secured LOGIN REPLICATION PASSWORD 'right'")
	good, bad := server.conninfo("secured")+" password=right", server.conninfo("secured")+" password="+password

	connect(t, good)
	replicate(t, good)
	passfile := filepath.Join(t.TempDir(), "pgpass")
	if err := os.WriteFile(passfile, []byte("*:*:replication:secured:right\n*:*:*:secured:other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	replicate(t, server.conninfo("secured")+" passfile="+passfile)
	_, err := Connect(t.Context(), bad, "")
	refused(t, err, sdk.Denied, "28P01", "user=secured", "host=127.0.0.1", ".pgpass")
	if strings.Contains(err.Error(), password) {
		t.Errorf("the password is in %v", err)
	}
	_, err = ConnectReplication(t.Context(), bad, "")
	refused(t, err, sdk.Denied, "28P01", "streaming", "user=secured")
	if strings.Contains(err.Error(), password) {
		t.Errorf("the password is in %v", err)
	}
}

func TestUserWithoutHBALineIsDenied(t *testing.T) {
	server := startWithHBA(t, "host all outsider 127.0.0.1/32 reject", "host replication outsider 127.0.0.1/32 reject")
	execute(t, connect(t, server.conninfo("postgres")), "CREATE ROLE outsider LOGIN REPLICATION")
	_, err := Connect(t.Context(), server.conninfo("outsider"), "")
	refused(t, err, sdk.Denied, "28000", "pg_hba.conf", "pg_reload_conf")
	_, err = ConnectReplication(t.Context(), server.conninfo("outsider"), "")
	refused(t, err, sdk.Denied, "28000", `for database "replication"`)
}

func TestUnreachableServerIsUnavailable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for _, conninfo := range []string{
		fmt.Sprintf("host=127.0.0.1 port=%d user=barman dbname=postgres password=%s", port, password),
		fmt.Sprintf("host=%s port=%d user=barman password=%s", t.TempDir(), port, password),
		fmt.Sprintf("host=host.invalid port=%d user=barman password=%s", port, password),
	} {
		_, err = Connect(t.Context(), conninfo, "")
		refused(t, err, sdk.Unavailable, fmt.Sprintf("port=%d", port), "user=barman", "listen_addresses")
		if strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "\n") {
			t.Errorf("message: %q", err)
		}
		_, err = ConnectReplication(t.Context(), conninfo, "")
		refused(t, err, sdk.Unavailable, "streaming")
	}
}

func TestWhatTheServerDoesNotHaveIsInvalid(t *testing.T) {
	server := start(t, 15)
	for _, test := range []struct{ parameter, part string }{
		{"dbname=nowhere", "3D000"},
		{"options='-c no_such_setting=1'", "remove it from the connection string"},
		{"sslmode=require", "sslmode"},
	} {
		_, err := Connect(t.Context(), server.conninfo("postgres")+" "+test.parameter, "")
		refused(t, err, sdk.Invalid, "user=postgres", test.part)
	}
}

func TestUserWithoutReplicationIsDeniedStreaming(t *testing.T) {
	server := start(t, 15)
	execute(t, connect(t, server.conninfo("postgres")), "CREATE ROLE plain LOGIN")
	_, err := ConnectReplication(t.Context(), server.conninfo("plain"), "")
	refused(t, err, sdk.Denied, `ALTER ROLE "plain" REPLICATION`)
}

func TestMinimalWALLevelIsExplained(t *testing.T) {
	server := start(t, 15, "wal_level = minimal", "max_wal_senders = 0")
	_, err := ConnectReplication(t.Context(), server.conninfo("postgres"), "")
	refused(t, err, sdk.Invalid, "wal_level = replica")
	conninfo := server.conninfo("postgres")
	report := CheckServer(t.Context(), CheckRequest{Server: "main", Conninfo: conninfo, StreamingConninfo: conninfo})
	if failed := failures(report); !slices.Equal(failed, []string{"PostgreSQL streaming", "wal_level", "free WAL sender"}) {
		t.Errorf("failed: %v", failed)
	}
}

func TestExhaustedWALSendersAreExplained(t *testing.T) {
	server := start(t, 15, "max_wal_senders = 2")
	conninfo := server.conninfo("postgres")
	replicate(t, conninfo)
	replicate(t, conninfo)
	_, err := ConnectReplication(t.Context(), conninfo, "")
	refused(t, err, sdk.Unavailable, "raise max_wal_senders", "53300")
	if facts := readFacts(t, connect(t, conninfo)); facts.MaxWALSenders != 2 || facts.FreeWALSenders != 0 {
		t.Errorf("%d of %d WAL senders free", facts.FreeWALSenders, facts.MaxWALSenders)
	}
}

func TestCancelledContextIsNotMistakenForAnUnreachableServer(t *testing.T) {
	server := start(t, 15)
	ctx := cancelled(t)
	_, err := Connect(ctx, server.conninfo("postgres"), "")
	refused(t, err, sdk.Cancelled, "connect")
	_, err = connect(t, server.conninfo("postgres")).Facts(ctx)
	refused(t, err, sdk.Cancelled)
}

func TestLostConnectionIsUnavailable(t *testing.T) {
	server := start(t, 15)
	conn, other := connect(t, server.conninfo("postgres")), connect(t, server.conninfo("postgres"))
	if err := conn.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	execute(t, other, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'barman' AND pid <> pg_backend_pid()")
	_, err := conn.Facts(t.Context())
	refused(t, err, sdk.Unavailable, "read the server's facts")
	refused(t, conn.Ping(t.Context()), sdk.Unavailable, "ping")
}
