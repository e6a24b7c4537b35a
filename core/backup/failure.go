package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/sinks"
	"github.com/barman-go/barman/sdk"
)

// fail marks the backup as FAILED and removes what was copied: half a backup is
// of no use and takes the room that the next one needs.
func (r *run) fail(ctx context.Context, cause error) error {
	listed := r.listed()
	r.backup.Fail(r.doing, cause)
	err := r.withdraw(listed)
	r.withdrawElsewhere(ctx)
	r.after(ctx, cause)
	return errors.Join(fmt.Errorf("backup %s of server %s: %w", r.backup.ID, r.server.Name(), cause), err)
}

// withdraw writes down that the backup failed and removes its files.
func (r *run) withdraw(listed bool) error {
	if !listed {
		// The files first: on a full disk they are what keeps backup.info from being
		// written. Until it is, it says STARTED, which is as good as FAILED.
		return errors.Join(discard(r.server, r.backup.ID), r.server.Catalogue.Save(r.backup))
	}
	// What is said to be good must have its files, whenever this is interrupted.
	if err := r.server.Catalogue.Save(r.backup); err != nil {
		return err
	}
	return discard(r.server, r.backup.ID)
}

// cleaningUp is how long sinks elsewhere may take to let go of a failed backup.
const cleaningUp = 30 * time.Second

// withdrawElsewhere is withdraw for the sinks elsewhere, also when the backup was
// interrupted.
func (r *run) withdrawElsewhere(ctx context.Context) {
	r.stop()
	noted, err := r.server.Catalogue.LagsOf(r.backup.ID)
	if err == nil && len(noted) == 0 {
		return // it had not begun
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaningUp)
	defer cancel()
	sinks.Fail(ctx, r.server, r.backup.ID)
}

// listed tells whether the catalogue may take the backup for a good one.
func (r *run) listed() bool {
	known, err := r.server.Catalogue.Get(r.backup.ID)
	return err != nil || known.State.CopyDone()
}

// discard removes the payload of a failed backup from the server's directory,
// and unfinished files beside it, and leaves its metadata.
func discard(s *server.Server, id catalogue.BackupID) error {
	directory := s.Catalogue.Directory(id)
	entries, err := os.ReadDir(directory)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if !entry.IsDir() && !durable.IsTemporary(entry.Name(), catalogue.ReceiptsName) && !durable.IsTemporary(entry.Name(), "backup.info") {
			continue
		}
		errs = append(errs, os.RemoveAll(filepath.Join(directory, entry.Name())))
	}
	if err := errors.Join(errs...); err != nil {
		return sdk.Errorf(sdk.Denied, "files of failed backup %s of server %s stay in %s, remove them: %w", id, s.Name(), directory, err)
	}
	return nil
}

// Reap marks as FAILED the backups that a killed process left unfinished, and
// removes their files, as far as they can be removed: the error names the rest. While a backup of the server runs it does nothing.
func Reap(s *server.Server) error {
	unfinished, err := unfinished(s)
	if err != nil || len(unfinished) == 0 {
		return err
	}
	lock, err := s.Catalogue.Lock(catalogue.LockBackup)
	if sdk.KindOf(err) == sdk.Busy {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(reap(s), lock.Release())
}

// reap does it, under the lock.
func reap(s *server.Server) error {
	left, err := unfinished(s)
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range left {
		b.Fail("copying files", errors.New("the process that took the backup was killed"))
		errs = append(errs, discard(s, b.ID))
		if err := s.Catalogue.Save(b); err != nil {
			errs = append(errs, fmt.Errorf("backup %s of server %s was left unfinished by a killed process and cannot be marked as FAILED: %w", b.ID, s.Name(), err))
			continue
		}
		s.Logger.Warn("a backup was left unfinished by a killed process and is marked as FAILED", "backup", b.ID)
	}
	return errors.Join(errs...)
}

func unfinished(s *server.Server) ([]*catalogue.Backup, error) {
	var left []*catalogue.Backup
	for entry, err := range s.Catalogue.Entries() {
		if err != nil {
			return nil, err
		}
		if entry.Backup != nil && entry.Backup.State.Unfinished() {
			left = append(left, entry.Backup)
		}
	}
	return left, nil
}
