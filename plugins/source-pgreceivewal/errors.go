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

// place is where receiving begins, and what the server could send instead.
type place struct {
	directory string // where WAL is received in

	from   wal.Segment
	oldest wal.Segment // what is kept for the slot, or the segment that is being written
	size   wal.SegmentSize
}

// advise explains what the server says to START_REPLICATION at a place. An
// internal error is one of the history only before the stream has begun.
func (s *Source) advise(e *pgconn.PgError, at place, begun bool) (sdk.ErrorKind, string, bool) {
	reset := fmt.Sprintf(resetAndBackUpAgain, s.server.Name)
	switch e.Code {
	case undefinedObject:
		return sdk.NotFound, s.createSlotAdvice(), true
	case objectInUse:
		return sdk.Busy, fmt.Sprintf(slotInUseExplanation, s.config.Slot), true
	case undefinedFile:
		return sdk.NotFound, s.removed(at), true
	case notInPrerequisite:
		return sdk.Invalid, fmt.Sprintf("replication slot %q cannot be used; if the server has given up its WAL (max_slot_wal_keep_size), drop it "+
			"with 'barman receive-wal --drop-slot %s', create it again and ", s.config.Slot, s.server.Name) + reset, true
	case internalError:
		if begun {
			return 0, "", false
		}
		return sdk.Invalid, fmt.Sprintf("WAL up to %s of timeline %d is here, but not in this server's history: is it another server, or was it restored? If it is right, ",
			at.from.Start(at.size), at.from.Timeline) + reset, true
	}
	return 0, "", false
}

// removed tells what is missing when the server no longer has what comes next,
// and the two ways out.
func (s *Source) removed(at place) string {
	first, next := at.from.Name(at.size), at.oldest.Name(at.size)
	missing := first + " is missing"
	if at.from.Number < at.oldest.Number {
		missing = fmt.Sprintf("%s and all up to %s, with which it can go on, is missing", first, next)
	}
	return fmt.Sprintf("the server has removed WAL that was not received yet: %s. Copy it from an archive into %s; if none has it, "+
		"run 'barman receive-wal --reset %s', which goes on with %s, and take a new backup: older ones can be recovered up to %s only",
		missing, at.directory, s.server.Name, next, first)
}

func (s *Source) createSlotAdvice() string {
	return "create it with 'barman receive-wal --create-slot " + s.server.Name + "', or set create_slot = \"auto\""
}
