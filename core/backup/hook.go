package backup

import (
	"context"

	"github.com/barman-go/barman/core/hooks"
	"github.com/barman-go/barman/sdk"
)

// hooks tells the server's hooks of the backup.
func (r *run) hooks(ctx context.Context, phase sdk.HookPhase, cause error) error {
	const operation = "backup"
	values, err := hooks.ForBackup(r.server, operation, r.backup)
	if err != nil {
		return err
	}
	event := sdk.Event{Operation: operation, Phase: phase, Values: values}
	if cause != nil {
		event.Error = cause.Error()
	}
	return hooks.Notify(ctx, r.server, event)
}
