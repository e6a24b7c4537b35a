package backup

import (
	"context"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/sinks"
	"github.com/barman-go/barman/sdk"
)

// Check archives the WAL that has come and brings the state of a backup up to
// date with the archive, also of one that was DONE already. That WAL cannot be
// archived is logged, and leaves the state of a backup that waits for it.
//
// A lost segment makes the backup FAILED and is an error of kind Corrupt, beside
// the backup. Other errors: NotFound; Invalid for a backup that has failed
// before; Busy when another process is at it.
func Check(ctx context.Context, s *server.Server, id catalogue.BackupID) (*catalogue.Backup, error) {
	b, err := s.Catalogue.Get(id)
	if err != nil {
		return nil, err
	}
	if b.State == catalogue.StateFailed {
		return nil, sdk.Errorf(sdk.Invalid, "backup %s of server %s has failed (%s): only a new backup helps", id, s.Name(), b.Error)
	}
	b, err = Settle(ctx, s, id)
	if err != nil || b.State != catalogue.StateDone {
		return b, err
	}
	state, _, err := s.Catalogue.Evaluate(b)
	if err != nil || state == b.State {
		return b, err
	}
	err = sinks.Change(ctx, s, id, func() error {
		_, err := s.Catalogue.CheckBackup(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return current(s, id)
}
