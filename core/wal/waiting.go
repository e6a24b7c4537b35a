package wal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/sinks"
	"github.com/barman-go/barman/sdk"
)

// checkBackups brings the state of the backups that wait for WAL up to date.
// FAILED is for ever, so it waits while a file that a backup needs still lies
// where it came from.
func (r *run) checkBackups(ctx context.Context) error {
	for entry, err := range r.server.Catalogue.Entries() {
		if err != nil {
			return err
		}
		if entry.Err != nil {
			r.server.Logger.Warn("a backup cannot be read", "backup", entry.ID, "error", entry.Err)
			continue
		}
		if entry.Backup.State != catalogue.StateWaitingForWALs {
			continue
		}
		if err := r.checkBackup(ctx, entry.Backup); err != nil {
			// The archive is as it should be; the others have a right to be looked at.
			r.server.Logger.Warn("a backup cannot be held against the WAL archive", "backup", entry.ID, "error", err)
		}
	}
	return nil
}

func (r *run) checkBackup(ctx context.Context, b *catalogue.Backup) error {
	state, reason, err := r.server.Catalogue.Evaluate(b)
	if err != nil || state == b.State {
		return err
	}
	if state == catalogue.StateFailed {
		coming, err := r.stillComing(b)
		if err != nil {
			return err
		}
		if coming {
			return errors.New(reason + ", but files that it needs are still to be archived")
		}
	}
	var checked *catalogue.Backup
	err = sinks.Change(ctx, r.server, b.ID, func() (err error) {
		checked, err = r.server.Catalogue.CheckBackup(b.ID)
		return err
	})
	if sdk.KindOf(err) == sdk.Busy {
		return nil // whoever works on it does this
	}
	if err != nil {
		return err
	}
	r.report.Backups = append(r.report.Backups, checked)
	if checked.State == catalogue.StateFailed {
		r.server.Logger.Error("backup failed", "backup", b.ID, "error", checked.Error)
		return nil
	}
	r.server.Logger.Info("all WAL that a backup needs is archived", "backup", b.ID, "state", checked.State)
	return nil
}

// stillComing tells whether a segment between the backup's begin and end is not
// archived and lies where it came from: it is not complete yet, or beyond what
// one run takes.
func (r *run) stillComing(b *catalogue.Backup) (bool, error) {
	layout := r.server.Catalogue.Layout()
	for missing, err := range r.server.Catalogue.MissingSegments(b) {
		if err != nil {
			return false, err
		}
		for _, directory := range []string{layout.StreamingDirectory, layout.IncomingDirectory} {
			if waits, err := lies(filepath.Join(directory, missing.String())); waits || err != nil {
				return waits, err
			}
		}
	}
	return false, nil
}

// lies tells whether there is something under a path.
func lies(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
