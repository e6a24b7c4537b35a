package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
)

// pollWAL is how often wait looks for new WAL.
const pollWAL = 500 * time.Millisecond

// Settle archives the WAL that has come and returns the backup in the state that
// this puts it in. That WAL cannot be archived, or is being archived by another
// process, is no fault of the backup: it is logged.
func Settle(ctx context.Context, s *server.Server, id catalogue.BackupID) (*catalogue.Backup, error) {
	return settle(ctx, s, id, nil)
}

func settle(ctx context.Context, s *server.Server, id catalogue.BackupID, file func(wal.File)) (*catalogue.Backup, error) {
	_, err := wal.Archive(ctx, s, wal.ArchiveOptions{File: file})
	if err != nil && sdk.KindOf(err) != sdk.Busy {
		s.Logger.Warn("WAL could not be archived after the backup; the next run of archive-wal or cron tries again", "backup", id, "error", err)
	}
	return current(s, id)
}

// wait archives WAL again and again until the backup has all that it needs, or
// the limit is over, which leaves the backup as it is. A WAL file that is lost
// makes the backup FAILED and is an error of kind Corrupt.
func wait(ctx context.Context, s *server.Server, id catalogue.BackupID, options Options) (*catalogue.Backup, error) {
	if limit := options.WaitLimit; limit > 0 {
		late := sdk.Errorf(sdk.Unavailable, "not all of it was archived within %s: see that archive_command or receive-wal works ('barman check %s')", limit, s.Name())
		limited, cancel := context.WithTimeoutCause(ctx, limit, late)
		defer cancel()
		ctx = limited
	}
	ticker := time.NewTicker(pollWAL)
	defer ticker.Stop()
	for {
		_, unarchived := wal.Archive(ctx, s, wal.ArchiveOptions{File: options.File})
		b, err := current(s, id)
		if err != nil || b.State == catalogue.StateDone {
			return b, err
		}
		switch kind := sdk.KindOf(unarchived); {
		case ctx.Err() != nil:
			return b, fmt.Errorf("backup %s of server %s is stored and waits for WAL up to %s: %w", id, s.Name(), b.EndWAL, context.Cause(ctx))
		case unarchived != nil && kind != sdk.Busy && kind != sdk.Unavailable:
			return b, fmt.Errorf("backup %s of server %s is stored and waits for WAL up to %s: %w", id, s.Name(), b.EndWAL, unarchived)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// current returns the backup as it is now; FAILED is an error.
func current(s *server.Server, id catalogue.BackupID) (*catalogue.Backup, error) {
	b, err := s.Catalogue.Get(id)
	if err != nil || b.State != catalogue.StateFailed {
		return b, err
	}
	return b, sdk.Errorf(sdk.Corrupt, "backup %s of server %s: %s", id, s.Name(), b.Error)
}
