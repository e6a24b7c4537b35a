package main

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// SQLSTATEs (PostgreSQL manual, appendix A) that mean something else here.
const (
	undefinedObject      = "42704"
	duplicateObject      = "42710"
	objectInUse          = "55006"
	notInPrerequisite    = "55000"
	undefinedFile        = "58P01"
	internalError        = "XX000"
	resetAndBackUpAgain  = "start over with 'barman receive-wal --reset %s' and take a new base backup: older ones cannot be recovered beyond the gap"
	slotInUseExplanation = "another receiver uses replication slot %q (pg_replication_slots.active_pid tells which); stop it, or give each its own slot"
)

func asServerError(err error, target **pgconn.PgError) bool { return errors.As(err, target) }

// advise explains what the server says to START_REPLICATION from a position.
// An internal error is one of the history only before the stream has begun.
func (s *Source) advise(e *pgconn.PgError, timeline wal.Timeline, start wal.LSN, begun bool) (sdk.ErrorKind, string, bool) {
	reset := fmt.Sprintf(resetAndBackUpAgain, s.server.Name)
	switch e.Code {
	case undefinedObject:
		return sdk.NotFound, s.createSlotAdvice(), true
	case objectInUse:
		return sdk.Busy, fmt.Sprintf(slotInUseExplanation, s.config.Slot), true
	case undefinedFile:
		return sdk.NotFound, fmt.Sprintf("the server no longer has the WAL from %s on timeline %d; if it cannot be had from an archive, ", start, timeline) + reset, true
	case notInPrerequisite:
		return sdk.Invalid, fmt.Sprintf("replication slot %q cannot be used; if the server has given up its WAL (max_slot_wal_keep_size), drop it, create it again and ", s.config.Slot) + reset, true
	case internalError:
		if begun {
			return 0, "", false
		}
		return sdk.Invalid, fmt.Sprintf("WAL up to %s of timeline %d is here, but not in this server's history: is it another server, or was it restored? If it is right, ", start, timeline) + reset, true
	}
	return 0, "", false
}

func (s *Source) createSlotAdvice() string {
	return "create it with 'barman receive-wal --create-slot " + s.server.Name + "', or set create_slot = \"auto\""
}
