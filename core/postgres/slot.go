package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
	"github.com/barman-go/barman/sdk/wal"
)

// Slot is a physical replication slot.
type Slot struct {
	Name   string
	Active bool
	// RestartLSN is the oldest WAL that the slot keeps on the server; 0 when it
	// keeps none: never used, or lost.
	RestartLSN wal.LSN
	// WALStatus is "reserved", "extended", "unreserved" or "lost"
	// (PostgreSQL manual, section 54.19); empty before PostgreSQL 13 and for a
	// slot that was never used.
	WALStatus string
}

// Lost tells whether the server removed WAL that the slot was to keep: a
// receiver that relies on it cannot go on.
func (s Slot) Lost() bool { return s.WALStatus == "lost" }

// to_jsonb, because wal_status came with PostgreSQL 13.
const slotSQL = `SELECT slot_type, active, coalesce(restart_lsn, '0/0')::text, coalesce(to_jsonb(s) ->> 'wal_status', '')
	FROM pg_replication_slots s WHERE slot_name = $1`

// Slot reads a physical slot. Errors: NotFound when there is none of that name,
// Invalid for a logical one or for a name that no slot can have.
func (c *Conn) Slot(ctx context.Context, name string) (Slot, error) {
	if err := checkSlotName(name); err != nil {
		return Slot{}, err
	}
	doing := "read replication slot " + name
	slot := Slot{Name: name}
	var kind, restart string
	err := c.pg.QueryRow(ctx, slotSQL, name).Scan(&kind, &slot.Active, &restart, &slot.WALStatus)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Slot{}, sdk.Errorf(sdk.NotFound, "%s: replication slot %q does not exist; create it with "+
			"'barman receive-wal --create-slot SERVER'", c.endpoint, name)
	case err != nil:
		return Slot{}, c.endpoint.explained(doing, err)
	case kind != "physical":
		return Slot{}, sdk.Errorf(sdk.Invalid, "%s: replication slot %q is a %s one; choose another name", c.endpoint, name, kind)
	}
	slot.RestartLSN, err = wal.ParseLSN(restart)
	return slot, c.endpoint.explained(doing, err)
}

// SlotOptions say how a slot is made.
type SlotOptions struct {
	// IfNotExists makes a slot that is there already no error.
	IfNotExists bool
	// ReserveWAL keeps WAL on the server from now on rather than from the first
	// time somebody streams from the slot.
	ReserveWAL bool
}

// CreatePhysicalSlot makes a slot; it is durable on return. Errors: Exists
// (unless IfNotExists), Invalid for a bad name or wal_level=minimal, Unavailable
// when all of max_replication_slots are taken, Denied without REPLICATION.
func (r *Replication) CreatePhysicalSlot(ctx context.Context, name string, options SlotOptions) error {
	if err := checkSlotName(name); err != nil {
		return err
	}
	reserve := ""
	if options.ReserveWAL {
		reserve = "RESERVE_WAL"
	}
	_, err := pglogrepl.CreateReplicationSlot(ctx, r.pg, name, "",
		pglogrepl.CreateReplicationSlotOptions{Mode: pglogrepl.PhysicalReplication, SnapshotAction: reserve})
	if server := serverError(err); server != nil && server.Code == "42710" && options.IfNotExists {
		return nil
	}
	return r.endpoint.explained("create replication slot "+name, err)
}

// DropSlot removes a slot, and with it the server's promise to keep WAL for it.
// Errors: NotFound, Busy while somebody streams from it.
func (r *Replication) DropSlot(ctx context.Context, name string) error {
	if err := checkSlotName(name); err != nil {
		return err
	}
	err := pglogrepl.DropReplicationSlot(ctx, r.pg, name, pglogrepl.DropReplicationSlotOptions{})
	return r.endpoint.explained("drop replication slot "+name, err)
}

// checkSlotName follows ReplicationSlotValidateName (section 27.2.6.1); names go
// unquoted into replication commands, so nothing else may pass.
func checkSlotName(name string) error {
	if name != "" && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" {
		return nil
	}
	return sdk.Errorf(sdk.Invalid, "replication slot %q: %s", name, replication.AdviceSlotName)
}
