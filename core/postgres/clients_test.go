package postgres

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStreamingClientsAreStandbysAndReceivers(t *testing.T) {
	server := start(t, 15, "max_wal_senders = 5", "synchronous_standby_names = 'walreceiver'")
	conninfo := server.conninfo("postgres")
	conn := connect(t, conninfo)
	if clients, err := conn.Clients(t.Context()); err != nil || len(clients) != 0 {
		t.Fatalf("%+v, %v", clients, err)
	}
	receiving := replicate(t, conninfo)
	if err := receiving.CreatePhysicalSlot(t.Context(), "barman", SlotOptions{ReserveWAL: true}); err != nil {
		t.Fatal(err)
	}
	stream(t, receiving, conn, "barman")
	server.standby(t)

	var clients []Client
	eventually(t, func() bool {
		var err error
		if clients, err = conn.Clients(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(clients) == 2 && clients[0].Standby() && clients[0].SyncState == "sync"
	})
	standby, receiver := clients[0], clients[1]
	if standby.ApplicationName != "walreceiver" || standby.SyncPriority != 1 || standby.State != "streaming" || standby.Sent == 0 || standby.Slot != "" || standby.PID == 0 {
		t.Errorf("standby %+v", standby)
	}
	if receiver.Standby() || receiver.Slot != "barman" || receiver.User != "postgres" || receiver.SyncState != "async" || receiver.StartedAt.IsZero() {
		t.Errorf("receiver %+v", receiver)
	}

	// Somebody who may not look sees that there are clients, and no more.
	execute(t, conn, "CREATE ROLE nobody LOGIN")
	hidden, err := connect(t, server.conninfo("nobody")).Clients(t.Context())
	if err != nil || len(hidden) != 2 || hidden[0].State != "" {
		t.Errorf("%+v, %v", hidden, err)
	}
}

func TestTheHostThatWALComesFromIsCheckedForItself(t *testing.T) {
	primary := start(t, 15, "max_wal_senders = 5")
	other := start(t, 15, "wal_level = minimal", "max_wal_senders = 0")
	standby := primary.standby(t)
	conninfo := primary.conninfo("postgres")
	request := CheckRequest{Server: "main", Conninfo: conninfo, StreamingConninfo: conninfo, Slot: "barman", StreamingArchiver: true}
	walHost := func(conninfo string) []Check {
		t.Helper()
		request.WALConninfo, request.WALStreamingConninfo = conninfo, conninfo
		report := CheckServer(t.Context(), request).PostgreSQL
		return report[4 : len(report)-1] // between wal_level and the free WAL sender of the server itself
	}

	want := []Check{
		{Name: "has monitoring privileges (WAL streaming)", OK: true},
		{Name: "PostgreSQL streaming (WAL streaming)", OK: true},
		{Name: "wal_level (WAL streaming)", OK: true},
		{Name: "systemid coherence (WAL streaming)", OK: true},
		{Name: "replication slot (WAL streaming)", Hint: "replication slot 'barman' doesn't exist. Please execute 'barman receive-wal --create-slot main'"},
	}
	if diff := cmp.Diff(want, walHost(standby.conninfo("postgres"))); diff != "" {
		t.Errorf("standby (-want +got):\n%s", diff)
	}

	execute(t, connect(t, other.conninfo("postgres")), "CREATE ROLE nobody LOGIN")
	rows := walHost(other.conninfo("nobody"))
	var bad []string
	for _, row := range rows {
		if !row.OK {
			bad = append(bad, row.Name)
		}
	}
	wanted := []string{"no access to monitoring functions (WAL streaming)", "PostgreSQL streaming (WAL streaming)", "wal_level (WAL streaming)",
		"systemid coherence (WAL streaming)", "replication slot (WAL streaming)"}
	if diff := cmp.Diff(wanted, bad); diff != "" {
		t.Errorf("another cluster (-want +got):\n%s", diff)
	}
	if rows := walHost("host=" + t.TempDir()); len(rows) != 1 || rows[0].Name != "PostgreSQL (WAL streaming)" || rows[0].OK || rows[0].Hint == "" {
		t.Errorf("unreachable host: %+v", rows)
	}
}
