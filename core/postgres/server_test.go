package postgres

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pglogrepl"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
	"github.com/barman-go/barman/test/pgtest"
)

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

func readFacts(t *testing.T, conn *Conn) Facts {
	t.Helper()
	facts, err := conn.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func TestFactsAgreeWithTheServerOnEveryVersion(t *testing.T) {
	pgtest.EachVersion(t, func(t *testing.T, major int) {
		server := start(t, major)
		conn := connect(t, server.conninfo("postgres"))
		facts := readFacts(t, conn)
		system, err := replicate(t, server.conninfo("postgres")).IdentifySystem(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if facts.SystemID != system.ID || facts.Timeline != system.Timeline || facts.Timeline != 1 || system.LSN < facts.LSN || facts.LSN == 0 {
			t.Errorf("facts: system %s, timeline %v, LSN %v; IDENTIFY_SYSTEM: %+v", facts.SystemID, facts.Timeline, facts.LSN, system)
		}
		if facts.Major() != major || !strings.HasPrefix(facts.Version, strconv.Itoa(major)) || facts.Supported() != nil {
			t.Errorf("version %d reads as %d, %q", major, facts.VersionNum, facts.Version)
		}
		if facts.DataDirectory != server.DataDir || facts.ConfigFile != filepath.Join(server.DataDir, "postgresql.conf") ||
			facts.HBAFile != filepath.Join(server.DataDir, "pg_hba.conf") || facts.IdentFile != filepath.Join(server.DataDir, "pg_ident.conf") {
			t.Errorf("files: %q %q %q %q", facts.DataDirectory, facts.ConfigFile, facts.HBAFile, facts.IdentFile)
		}
		if facts.BlockSize != 8192 || facts.SegmentSize != wal.DefaultSegmentSize || facts.WALLevel != "replica" || facts.ArchiveMode != "off" || facts.InRecovery {
			t.Errorf("settings: %+v", facts)
		}
		if wantSummary := facts.Major() >= 17; (facts.SummarizeWAL != "") != wantSummary {
			t.Errorf("summarize_wal is %q", facts.SummarizeWAL)
		}
		if len(facts.Unknown) != 0 {
			t.Errorf("a superuser cannot read %v", facts.Unknown)
		}
		if size, err := conn.Size(t.Context()); err != nil || size < 1<<20 {
			t.Errorf("size %d, %v", size, err)
		}
		if name, err := conn.CurrentWAL(t.Context()); err != nil || !strings.HasPrefix(name, "00000001") {
			t.Errorf("current WAL %q, %v", name, err)
		}
		if privileges, err := conn.Privileges(t.Context()); err != nil || !privileges.Superuser || !privileges.Functions || !privileges.Backup() {
			t.Errorf("privileges %+v, %v", privileges, err)
		}
		slotCycle(t, conn, server.conninfo("postgres"))
	})
}

// slotCycle makes, reads and drops a slot: the syntax differs between versions.
func slotCycle(t *testing.T, conn *Conn, conninfo string) {
	t.Helper()
	replication := replicate(t, conninfo)
	for name, reserve := range map[string]bool{"lazy": false, "eager": true} {
		if err := replication.CreatePhysicalSlot(t.Context(), name, SlotOptions{ReserveWAL: reserve}); err != nil {
			t.Fatal(err)
		}
		slot, err := conn.Slot(t.Context(), name)
		if err != nil || slot.Active || (slot.RestartLSN != 0) != reserve || slot.Lost() {
			t.Errorf("slot %+v, %v", slot, err)
		}
		if err := replication.DropSlot(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		_, err = conn.Slot(t.Context(), name)
		refused(t, err, sdk.NotFound, name, "barman receive-wal --create-slot")
	}
}

func TestFactsListTablespacesAndIncludedFiles(t *testing.T) {
	server := server{pgtest.Start(t, pgtest.Options{
		Major: 15, Tablespaces: []string{"Fast One"}, Config: map[string]string{"include_if_exists": "extra.conf"},
	})}
	conn := connect(t, server.conninfo("postgres"))
	location := server.Tablespaces["Fast One"]
	extra := server.write(t, "extra.conf", "work_mem = '5MB'\n")
	execute(t, conn,
		"ALTER SYSTEM SET checkpoint_timeout = '7min'", "SELECT pg_reload_conf()")

	want := []string{extra, filepath.Join(server.DataDir, "postgresql.auto.conf")}
	var facts Facts
	eventually(t, func() bool { // a session sees a reload between two statements, at some time
		facts = readFacts(t, conn)
		return len(facts.IncludedFiles) == len(want)
	})
	if diff := cmp.Diff(want, facts.IncludedFiles); diff != "" {
		t.Errorf("included files (-want +got):\n%s", diff)
	}
	if len(facts.Tablespaces) != 1 || facts.Tablespaces[0].Name != "Fast One" || facts.Tablespaces[0].Location != location || facts.Tablespaces[0].OID < 16384 {
		t.Errorf("tablespaces: %+v", facts.Tablespaces)
	}
}

func TestStandbyFactsAndRefusals(t *testing.T) {
	primary := start(t, 15)
	standby := primary.standby(t)
	conn := connect(t, standby.conninfo("postgres"))
	facts := readFacts(t, conn)
	if !facts.InRecovery || facts.Timeline != 1 || facts.LSN == 0 {
		t.Errorf("in recovery %t, timeline %v, LSN %v", facts.InRecovery, facts.Timeline, facts.LSN)
	}
	if want := readFacts(t, connect(t, primary.conninfo("postgres"))).SystemID; facts.SystemID != want {
		t.Errorf("system identifier %s, want %s", facts.SystemID, want)
	}
	_, err := conn.SwitchWAL(t.Context())
	refused(t, err, sdk.Invalid, "recovery is in progress", "primary")
	_, err = conn.CreateRestorePoint(t.Context(), "here")
	refused(t, err, sdk.Invalid, "recovery is in progress")
}

func TestStandbyTimelineFollowsAPromotion(t *testing.T) {
	standby := start(t, 15).standby(t)
	conn := connect(t, standby.conninfo("postgres"))
	execute(t, conn, "SELECT pg_promote()")
	facts := readFacts(t, conn)
	if facts.InRecovery || facts.Timeline != 2 || !strings.HasPrefix(facts.CurrentWAL(), "00000002") {
		t.Errorf("in recovery %t, timeline %v, current WAL %s", facts.InRecovery, facts.Timeline, facts.CurrentWAL())
	}
}

func TestWALSwitchNamesTheSegmentItClosed(t *testing.T) {
	server := start(t, 15)
	conn := connect(t, server.conninfo("postgres"))
	before, err := conn.CurrentWAL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	point, err := conn.CreateRestorePoint(t.Context(), "it's here")
	if err != nil || point == 0 {
		t.Fatalf("restore point at %v: %v", point, err)
	}
	forced, err := conn.ForceSwitch(t.Context())
	if err != nil || forced.Closed != before || forced.LSN <= point {
		t.Errorf("switch of %s: %+v, %v", before, forced, err)
	}
	if after, err := conn.CurrentWAL(t.Context()); err != nil || after <= before {
		t.Errorf("current WAL %s after %s, %v", after, before, err)
	}
	_, err = conn.CreateRestorePoint(t.Context(), strings.Repeat("x", 64))
	refused(t, err, sdk.Invalid, "63")
}

func TestWALSwitchOfAnUntouchedSegmentClosesNothing(t *testing.T) {
	server := start(t, 15, "autovacuum = off", "bgwriter_delay = 10s", "checkpoint_timeout = 1h")
	conn := connect(t, server.conninfo("postgres"))
	closed := map[string]bool{}
	eventually(t, func() bool { // the server itself may write in between
		done, err := conn.SwitchWAL(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if done.Closed != "" && closed[done.Closed] {
			t.Fatalf("%s was closed twice", done.Closed)
		}
		closed[done.Closed] = true
		return done.Closed == ""
	})
}

func TestLeastPrivilegeUserReadsEverythingAndMaySwitch(t *testing.T) {
	pgtest.EachVersion(t, func(t *testing.T, major int) {
		server := start(t, major)
		server.BarmanRoles()
		superuser := connect(t, server.conninfo("postgres"))
		execute(t, superuser, "REVOKE pg_checkpoint FROM barman")
		conn := connect(t, server.conninfo("barman"))
		if facts := readFacts(t, conn); len(facts.Unknown) != 0 || facts.DataDirectory == "" || facts.SystemID == "" {
			t.Errorf("facts: %+v", facts)
		}
		privileges, err := conn.Privileges(t.Context())
		if diff := cmp.Diff(Privileges{Functions: true, Monitoring: true}, privileges); diff != "" || err != nil {
			t.Errorf("privileges (-want +got):\n%s%v", diff, err)
		}
		if _, err := conn.Size(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := conn.SwitchWAL(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := conn.CreateRestorePoint(t.Context(), "point"); err != nil {
			t.Error(err)
		}
		_, err = conn.ForceSwitch(t.Context())
		refused(t, err, sdk.Denied, `GRANT pg_checkpoint TO "barman"`)
		execute(t, superuser, "GRANT pg_checkpoint TO barman")
		if _, err := conn.ForceSwitch(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestFactsOfAnUnprivilegedUserNameWhatIsUnknown(t *testing.T) {
	server := start(t, 15)
	execute(t, connect(t, server.conninfo("postgres")), "CREATE ROLE nobody LOGIN",
		"REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
	conn := connect(t, server.conninfo("nobody"))
	facts := readFacts(t, conn)
	want := []string{"data_directory", "config_file", "hba_file", "ident_file", "sourcefile", "system_identifier"}
	if diff := cmp.Diff(want, facts.Unknown); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
	if facts.WALLevel != "replica" || facts.Timeline != 1 || facts.Knows("config_file") || !facts.Knows("wal_level") {
		t.Errorf("facts: %+v", facts)
	}
	privileges, err := conn.Privileges(t.Context())
	if err != nil || privileges.Backup() {
		t.Errorf("privileges %+v, %v", privileges, err)
	}
	_, err = conn.Size(t.Context())
	refused(t, err, sdk.Denied, "pg_read_all_stats")
	_, err = conn.SwitchWAL(t.Context())
	refused(t, err, sdk.Denied, "user=nobody", "EXECUTE")
}

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
	refused(t, err, sdk.Unavailable, "wal_level = replica")
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

func TestExhaustedSlotsAreExplained(t *testing.T) {
	server := start(t, 15, "max_replication_slots = 1")
	conninfo := server.conninfo("postgres")
	replication := replicate(t, conninfo)
	if err := replication.CreatePhysicalSlot(t.Context(), "one", SlotOptions{}); err != nil {
		t.Fatal(err)
	}
	err := replication.CreatePhysicalSlot(t.Context(), "two", SlotOptions{})
	refused(t, err, sdk.Unavailable, "raise max_replication_slots", "replication slot two")
	if facts := readFacts(t, connect(t, conninfo)); facts.MaxReplicationSlots != 1 || facts.FreeSlots != 0 {
		t.Errorf("%d of %d slots free", facts.FreeSlots, facts.MaxReplicationSlots)
	}
}

func TestSlotErrorsHaveKinds(t *testing.T) {
	server := start(t, 15)
	conninfo := server.conninfo("postgres")
	conn, replication, receiver := connect(t, conninfo), replicate(t, conninfo), replicate(t, conninfo)
	for _, name := range []string{"", "Barman", "a-b", "x; SELECT 1", strings.Repeat("a", 64)} {
		refused(t, replication.CreatePhysicalSlot(t.Context(), name, SlotOptions{}), sdk.Invalid, "a-z")
		refused(t, replication.DropSlot(t.Context(), name), sdk.Invalid, "a-z")
		_, err := conn.Slot(t.Context(), name)
		refused(t, err, sdk.Invalid, "a-z")
	}
	refused(t, replication.DropSlot(t.Context(), "barman"), sdk.NotFound, "barman", "--create-slot")

	if err := replication.CreatePhysicalSlot(t.Context(), "barman", SlotOptions{ReserveWAL: true}); err != nil {
		t.Fatal(err)
	}
	refused(t, replication.CreatePhysicalSlot(t.Context(), "barman", SlotOptions{}), sdk.Exists, "barman")
	if err := replication.CreatePhysicalSlot(t.Context(), "barman", SlotOptions{IfNotExists: true}); err != nil {
		t.Error(err)
	}
	stream(t, receiver, conn, "barman")
	if slot, err := conn.Slot(t.Context(), "barman"); err != nil || !slot.Active {
		t.Errorf("slot %+v, %v", slot, err)
	}
	refused(t, replication.DropSlot(t.Context(), "barman"), sdk.Busy, "active_pid")
}

// stream makes a slot active.
func stream(t *testing.T, receiver *Replication, conn *Conn, name string) {
	t.Helper()
	slot, err := conn.Slot(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	err = pglogrepl.StartReplication(t.Context(), receiver.pg, name, pglogrepl.LSN(slot.RestartLSN),
		pglogrepl.StartReplicationOptions{Mode: pglogrepl.PhysicalReplication})
	if err != nil {
		t.Fatal(err)
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
