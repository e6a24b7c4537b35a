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
func (r *run) after(ctx context.Context, cause error) error {
	values, err := r.hooks.AboutBackup(r.backup)
	if err != nil {
		return err
	}
	if cause != nil {
		cause = errors.New(cmp.Or(r.backup.Error, cause.Error()))
	}
	r.hooks.After(ctx, values, cause)
	return nil
}
