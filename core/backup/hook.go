package backup

import (
	"context"

	"github.com/barman-go/barman/core/hooks"
	"github.com/barman-go/barman/sdk"
)

// hooks tells the server's hooks of the backup.
func (r *run) hooks(ctx context.Context, phase sdk.HookPhase, cause error) error {
	event := sdk.Event{Operation: "backup", Phase: phase, Values: map[string]string{
		"BACKUP_ID":  string(r.backup.ID),
		"BACKUP_DIR": r.server.Catalogue.Directory(r.backup.ID),
		"STATUS":     string(r.backup.State),
	}}
	if cause != nil {
		event.Error = cause.Error()
	}
	return hooks.Notify(ctx, r.server, event)
}
