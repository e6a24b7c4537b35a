package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// fail marks the backup as FAILED and removes what was copied: half a backup is
// of no use and takes the room that the next one needs.
func (r *run) fail(ctx context.Context, cause error) error {
	// What follows must happen also when ctx has ended.
	ctx = context.WithoutCancel(ctx)
	r.backup.Fail("copying files", cause)
	// The files first: on a full disk they are what keeps backup.info from being
	// written. Until it is, it says STARTED, which is as good as FAILED.
	err := errors.Join(discard(r.server, r.backup.ID), r.server.Catalogue.Save(r.backup))
	return errors.Join(fmt.Errorf("backup %s of server %s: %w", r.backup.ID, r.server.Name(), cause), err, r.hooks(ctx, sdk.PhasePost, cause))
}

// discard removes the payload of a failed backup from the server's directory
// and leaves its metadata.
func discard(s *server.Server, id catalogue.BackupID) error {
	directory := s.Catalogue.Directory(id)
	entries, err := os.ReadDir(directory)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if err := os.RemoveAll(filepath.Join(directory, entry.Name())); err != nil {
			return sdk.Errorf(sdk.Denied, "remove the files of failed backup %s: %w", id, err)
		}
	}
	return nil
}

// Reap marks as FAILED the backups that a killed process left unfinished. While
// a backup of the server runs it does nothing.
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
	for _, b := range left {
		b.Fail("copying files", errors.New("the process that took the backup was killed"))
		if err := errors.Join(discard(s, b.ID), s.Catalogue.Save(b)); err != nil {
			return err
		}
		s.Logger.Warn("a backup was left unfinished by a killed process and is marked as FAILED", "backup", b.ID)
	}
	return nil
}

func unfinished(s *server.Server) ([]*catalogue.Backup, error) {
	var left []*catalogue.Backup
	for entry, err := range s.Catalogue.Entries() {
		if err != nil {
			return nil, err
		}
		if entry.Backup != nil && (entry.Backup.State == catalogue.StateEmpty || entry.Backup.State == catalogue.StateStarted) {
			left = append(left, entry.Backup)
		}
	}
	return left, nil
}
