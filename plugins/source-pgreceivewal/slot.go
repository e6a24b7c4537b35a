package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
	"github.com/barman-go/barman/sdk/wal"
)

// firstReadable is the first version with READ_REPLICATION_SLOT.
const firstReadable = 15

// slotState is what the server says of a slot.
type slotState struct {
	exists bool
	// restart is the oldest position that the slot keeps; 0 when it keeps none.
	restart wal.LSN
	// timeline of restart; 0 when the server does not tell.
	timeline wal.Timeline
}

// prepareSlot looks at the slot and creates it when it is missing and the
// settings say so. known is false when this server cannot be asked.
func (s *Source) prepareSlot(ctx context.Context, conn *replication.Conn) (state slotState, known bool, err error) {
	state, known, err = s.readSlot(ctx, conn)
	if err != nil || state.exists {
		return state, known, err
	}
	if s.config.CreateSlot != "auto" {
		if known {
			err = sdk.Errorf(sdk.NotFound, "replication slot %q does not exist: %s", s.config.Slot, s.createSlotAdvice())
		}
		return state, known, err
	}
	// RESERVE_WAL: what is written from now on is kept, though nobody streams yet.
	_, err = conn.Query(ctx, "CREATE_REPLICATION_SLOT "+replication.QuoteIdentifier(s.config.Slot)+" PHYSICAL RESERVE_WAL")
	var refused *pgconn.PgError
	if asServerError(err, &refused) && refused.Code == duplicateObject {
		err = nil // it was there, and this server could not be asked
	}
	if err != nil {
		return state, known, err
	}
	return s.readSlot(ctx, conn)
}

// readSlot asks through the replication protocol, or, before PostgreSQL 15,
// through the management connection if there is one.
func (s *Source) readSlot(ctx context.Context, conn *replication.Conn) (state slotState, known bool, err error) {
	var rows []replication.Row
	switch {
	case conn.Major() >= firstReadable:
		rows, err = conn.Query(ctx, "READ_REPLICATION_SLOT "+replication.QuoteIdentifier(s.config.Slot))
	case s.server.Conninfo != "":
		rows, err = replication.SQL(ctx, s.server.Conninfo, s.config.ApplicationName,
			"SELECT slot_type, restart_lsn, NULL FROM pg_catalog.pg_replication_slots WHERE slot_name = "+replication.QuoteLiteral(s.config.Slot))
	default:
		return slotState{}, false, nil
	}
	if err != nil {
		return slotState{}, false, err
	}
	state, err = s.parseSlot(rows)
	return state, true, err
}

func (s *Source) parseSlot(rows []replication.Row) (slotState, error) {
	if len(rows) == 0 || len(rows[0]) > 0 && rows[0][0] == "" {
		return slotState{}, nil
	}
	row := rows[0]
	if len(row) != 3 {
		return slotState{}, fmt.Errorf("replication slot %q: the server's answer has an unknown form", s.config.Slot)
	}
	if row[0] != "physical" {
		return slotState{}, sdk.Errorf(sdk.Invalid, "replication slot %q is a %s one: choose another name for a physical slot", s.config.Slot, row[0])
	}
	state := slotState{exists: true}
	var err error
	if row[1] != "" {
		if state.restart, err = wal.ParseLSN(row[1]); err != nil {
			return slotState{}, fmt.Errorf("replication slot %q: %w", s.config.Slot, err)
		}
	}
	if row[2] != "" {
		if state.timeline, err = replication.ParseTimeline(row[2]); err != nil {
			return slotState{}, fmt.Errorf("replication slot %q: %w", s.config.Slot, err)
		}
	}
	return state, nil
}
