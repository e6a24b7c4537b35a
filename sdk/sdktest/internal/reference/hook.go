package reference

import (
	"context"

	"github.com/barman-go/barman/sdk"
)

// Hook vetoes deletions, is busy with recoveries until it is cancelled, and has
// nothing against the rest.
type Hook struct{}

// Notify handles an event.
func (Hook) Notify(ctx context.Context, e sdk.Event) error {
	switch e.Operation {
	case "delete":
		return sdk.Errorf(sdk.Denied, "backup %s is under legal hold", e.Values["BACKUP_ID"])
	case "recovery":
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}
