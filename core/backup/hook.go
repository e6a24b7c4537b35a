package backup

import (
	"cmp"
	"context"
	"errors"
)

// before tells the server's hooks that the backup is about to begin.
func (r *run) before(ctx context.Context) error {
	values, err := r.hooks.AboutBackup(r.backup)
	if err != nil {
		return err
	}
	return r.hooks.Before(ctx, values)
}

// after tells them how it ended: of a failure, what the catalogue says.
func (r *run) after(ctx context.Context, cause error) {
	values, err := r.hooks.AboutBackup(r.backup)
	if err != nil {
		r.server.Logger.Error("the hooks are not told how the backup ended", "backup", r.backup.ID, "error", err)
		return
	}
	if cause != nil {
		cause = errors.New(cmp.Or(r.backup.Error, cause.Error()))
	}
	r.hooks.After(ctx, values, cause)
}
