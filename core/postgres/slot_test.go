package postgres

import (
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"

	"github.com/barman-go/barman/sdk"
)

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
