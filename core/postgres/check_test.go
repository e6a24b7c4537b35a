package postgres

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func failures(report CheckReport) []string {
	var names []string
	for _, row := range report.All() {
		if !row.OK {
			names = append(names, row.Name)
		}
	}
	return names
}

func checkRows(t *testing.T, request CheckRequest, want []Check) {
	t.Helper()
	if diff := cmp.Diff(want, CheckServer(t.Context(), request).All()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestCheckFollowsTheSlotThroughItsLife(t *testing.T) {
	server := start(t, 15, "max_wal_senders = 5", "max_slot_wal_keep_size = 1MB")
	conninfo := server.conninfo("postgres")
	conn, replication := connect(t, conninfo), replicate(t, conninfo)
	request := CheckRequest{Server: "main", Conninfo: conninfo, StreamingConninfo: conninfo, Slot: "barman", StreamingArchiver: true}
	unwanted := request
	unwanted.StreamingArchiver = false
	rows := func(free string, slot ...Check) []Check {
		rows := []Check{
			{Name: "PostgreSQL", OK: true}, {Name: "superuser or standard user with backup privileges", OK: true},
			{Name: "PostgreSQL streaming", OK: true}, {Name: "wal_level", OK: true},
		}
		rows = append(rows, slot...)
		return append(rows, Check{Name: "free WAL sender", OK: true, Hint: free + " of 5 available"},
			Check{Name: "systemid coherence", OK: true, Hint: "no system Id stored on disk"})
	}

	checkRows(t, request, rows("4", Check{Name: "replication slot", Hint: "replication slot 'barman' doesn't exist. Please execute 'barman receive-wal --create-slot main'"}))
	checkRows(t, unwanted, rows("4"))

	if err := replication.CreatePhysicalSlot(t.Context(), "barman", SlotOptions{}); err != nil {
		t.Fatal(err)
	}
	checkRows(t, request, rows("4", Check{Name: "replication slot", Hint: "slot 'barman' not initialised: is 'receive-wal' running?"}))
	checkRows(t, unwanted, rows("4"))

	if err := replication.DropSlot(t.Context(), "barman"); err != nil {
		t.Fatal(err)
	}
	if err := replication.CreatePhysicalSlot(t.Context(), "barman", SlotOptions{ReserveWAL: true}); err != nil {
		t.Fatal(err)
	}
	checkRows(t, request, rows("4", Check{Name: "replication slot", Hint: "slot 'barman' not active: is 'receive-wal' running?"}))
	checkRows(t, unwanted, rows("4", Check{Name: "replication slot", OK: true, Hint: "WARNING: slot 'barman' is initialised but not required by the current config"}))

	receiver := replicate(t, conninfo)
	stream(t, receiver, conn, "barman")
	checkRows(t, request, rows("3", Check{Name: "replication slot", OK: true}))
	checkRows(t, unwanted, rows("3", Check{Name: "replication slot", OK: true, Hint: "WARNING: slot 'barman' is active but not required by the current config"}))
	if err := receiver.Close(); err != nil {
		t.Fatal(err)
	}

	for range 3 {
		execute(t, conn, "SELECT pg_create_restore_point('x')", "SELECT pg_switch_wal()")
	}
	eventually(t, func() bool {
		execute(t, conn, "CHECKPOINT")
		slot, err := conn.Slot(t.Context(), "barman")
		return err == nil && slot.Lost()
	})
	checkRows(t, request, rows("4", Check{Name: "replication slot", Hint: "slot 'barman' has lost WAL that was not received yet (see max_slot_wal_keep_size): " +
		"drop and create it again with 'barman receive-wal --drop-slot main' and '--create-slot', then take a new backup"}))
}

func TestCheckOfAnUnreachableServerStopsAtThePostgreSQLRow(t *testing.T) {
	report := CheckServer(t.Context(), CheckRequest{
		Server: "main", Conninfo: "host=" + t.TempDir() + " user=barman", StreamingConninfo: "host=" + t.TempDir(), Slot: "barman", Archiver: true,
	})
	if len(report.PostgreSQL) != 1 || report.PostgreSQL[0].OK || report.PostgreSQL[0].Hint == "" || len(report.FileArchiver) != 0 {
		t.Errorf("report: %+v", report)
	}
	if diff := cmp.Diff([]Check{{Name: "systemid coherence", OK: true, Hint: "no system Id available"}}, report.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

func TestCheckNamesMissingPrivileges(t *testing.T) {
	server := start(t, 15)
	execute(t, connect(t, server.conninfo("postgres")), "CREATE ROLE nobody LOGIN")
	checkRows(t, CheckRequest{Server: "main", Conninfo: server.conninfo("nobody")}, []Check{
		{Name: "PostgreSQL", OK: true},
		{Name: "no access to backup functions", Hint: "privileges for PostgreSQL backup functions are required (see documentation)"},
		{Name: "wal_level", OK: true},
		{Name: "systemid coherence", OK: true, Hint: "no system Id stored on disk"},
	})
}

func TestCheckGuardsTheIdentityOfTheCluster(t *testing.T) {
	const file = "/var/lib/barman/main/identity.json"
	tests := []struct {
		name, stored, connected, streamed string
		want                              Check
	}{
		{"first backup", "", "1", "1", Check{OK: true, Hint: "no system Id stored on disk"}},
		{"same", "1", "1", "1", Check{OK: true}},
		{"same, no streaming", "1", "1", "", Check{OK: true}},
		{"only streaming tells", "1", "", "2", Check{Hint: `the system Id of the connected PostgreSQL server changed, stored in "` + file + `"`}},
		{"changed", "1", "2", "2", Check{Hint: `the system Id of the connected PostgreSQL server changed, stored in "` + file + `"`}},
		{"two servers", "1", "1", "2", Check{Hint: "conninfo leads to the system Id 1, streaming_conninfo to 2: make both name the same server"}},
		{"nothing known", "1", "", "", Check{OK: true, Hint: "no system Id available"}},
	}
	for _, test := range tests {
		test.want.Name = "systemid coherence"
		got := checkIdentity(CheckRequest{StoredSystemID: test.stored, IdentityFile: file}, test.connected, test.streamed)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestCheckFollowsTheArchiver(t *testing.T) {
	off := start(t, 15)
	request := func(conninfo string) CheckRequest {
		return CheckRequest{Server: "main", Conninfo: conninfo, Archiver: true}
	}
	want := []Check{
		{Name: "archive_mode", Hint: "please set it to 'on' or 'always'"},
		{Name: "archive_command", Hint: "please set it accordingly to documentation"},
	}
	if diff := cmp.Diff(want, CheckServer(t.Context(), request(off.conninfo("postgres"))).FileArchiver); diff != "" {
		t.Errorf("off (-want +got):\n%s", diff)
	}

	server := start(t, 15, "archive_mode = on", "archive_command = 'false'")
	conn := connect(t, server.conninfo("postgres"))
	closed, err := conn.ForceSwitch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := func() Check { return CheckServer(t.Context(), request(server.conninfo("postgres"))).FileArchiver[2] }
	eventually(t, func() bool { return !last().OK })
	archiver, err := conn.Archiver(t.Context())
	if err != nil || archiver.Healthy() || archiver.LastFailed > closed.Closed || archiver.Failed == 0 {
		t.Errorf("archiver %+v after the switch of %s, %v", archiver, closed.Closed, err)
	}
	execute(t, conn, "ALTER SYSTEM SET archive_command = 'true'", "SELECT pg_reload_conf()")
	eventually(t, func() bool {
		if _, err := conn.ForceSwitch(t.Context()); err != nil { // wakes the archiver
			t.Fatal(err)
		}
		return last().OK
	})
	if diff := cmp.Diff(Check{Name: "continuous archiving", OK: true}, last()); diff != "" {
		t.Errorf("on (-want +got):\n%s", diff)
	}
}
