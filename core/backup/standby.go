package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/barman-go/barman/core/postgres"
	walarchive "github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// conclude does on the server what makes the backup's WAL come, and what people
// find the backup by there. The backup is stored: what goes wrong here is logged.
func (r *run) conclude(ctx context.Context) {
	primary := r.server.Config.PrimaryConninfo
	var err error
	switch {
	case !r.facts.InRecovery:
		if primary != "" {
			r.server.Logger.Warn("primary_conninfo is ignored: conninfo leads to a server that is no standby")
		}
		err = r.markRestorePoint(ctx)
	case primary != "":
		err = r.switchOnPrimary(ctx)
	}
	if err != nil {
		r.server.Logger.Warn("the backup is stored, but what follows it on the server failed", "backup", r.backup.ID, "error", err)
	}
}

// markRestorePoint makes a restore point by the backup's ID, for which the user
// may lack the permission.
func (r *run) markRestorePoint(ctx context.Context) error {
	conn, err := r.server.Connect(ctx)
	if err != nil {
		return err
	}
	name := "barman_" + string(r.backup.ID)
	_, err = conn.CreateRestorePoint(ctx, name)
	if sdk.KindOf(err) == sdk.Denied {
		r.server.Logger.Debug("no restore point after the backup", "name", name, "error", err)
		err = nil
	}
	return errors.Join(err, conn.Close())
}

// switchOnPrimary completes the segment in which a standby's backup ends: the
// standby itself cannot. With primary_checkpoint_timeout it makes sure that one
// comes.
func (r *run) switchOnPrimary(ctx context.Context) error {
	conn, err := postgres.Connect(ctx, r.server.Config.PrimaryConninfo.Reveal(), "barman")
	if err != nil {
		return fmt.Errorf("primary_conninfo: %w", err)
	}
	if _, err = conn.SwitchWAL(ctx); err == nil && r.server.Config.PrimaryCheckpointTimeout > 0 && !r.arrives(ctx, r.server.Config.PrimaryCheckpointTimeout) {
		r.server.Logger.Info("the WAL that ends the backup has not come: the primary makes a checkpoint", "backup", r.backup.ID, "wal", r.backup.EndWAL)
		_, err = conn.ForceSwitch(ctx)
	}
	if err != nil {
		err = fmt.Errorf("primary_conninfo: %w", err)
	}
	return errors.Join(err, conn.Close())
}

// arrives archives WAL until the segment in which the backup ends is there, or
// the time is over.
func (r *run) arrives(ctx context.Context, limit time.Duration) bool {
	name, err := wal.ParseName(r.backup.EndWAL)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		// What goes wrong is told when the backup waits for its WAL.
		_, _ = walarchive.Archive(ctx, r.server, walarchive.ArchiveOptions{File: r.options.File})
		if there, err := r.server.Catalogue.HasWAL(name); err == nil && there {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pollWAL):
		}
	}
}
