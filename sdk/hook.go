package sdk

import "context"

// HookPhase tells whether an event is about to happen or has happened.
type HookPhase string

const (
	// PhasePre comes before the operation; a veto stops it.
	PhasePre HookPhase = "pre"
	// PhasePost comes after the operation, whether it succeeded or not.
	PhasePost HookPhase = "post"
)

// Event is what a hook is told.
type Event struct {
	// Operation is "backup", "archive", "wal_delete", "delete" or "recovery".
	Operation string
	// Phase is pre or post.
	Phase HookPhase
	// Server is the server's name.
	Server string
	// Error is the text of the operation's error; empty on success and in pre.
	Error string
	// Values are the event's details by their environment name without the
	// BARMAN_ prefix: BACKUP_ID, BACKUP_DIR, STATUS, SEGMENT, FILE …
	Values map[string]string
}

// Hook is told of an event.
type Hook interface {
	// Notify handles an event. An error in the pre phase vetoes the operation;
	// in the post phase it is only logged. Notify is not called again for the
	// same event; a hook that wants retries does them itself, and ends them when
	// ctx ends.
	Notify(ctx context.Context, e Event) error
}
