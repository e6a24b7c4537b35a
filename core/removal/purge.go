package removal

import (
	"context"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// Purge deletes the WAL from before a backup if that is the server's first: what
// was archived before serves nobody. Nothing is deleted when there is an older
// backup that is complete, when one cannot be read, or when what is known of the
// begin contradicts itself. It returns how many files went. While a backup or a
// deletion of the server is under way it does nothing.
func Purge(ctx context.Context, s *server.Server, id catalogue.BackupID) (int, error) {
	r := newRun(s, Options{})
	purged := Deleted{ID: id}
	_, err := r.locked(ctx, func() error {
		all := r.stock.without("")
		for _, b := range all {
			if b.State.CopyDone() && b.ID < id {
				return nil
			}
		}
		if len(r.stock.damaged) > 0 {
			return nil
		}
		release := catalogue.UnneededWAL(all)
		if release.Doubtful {
			s.Logger.Warn("WAL from before the first backup stays", "backup", id, "reason", release.Reason)
		}
		return r.deleteWAL(ctx, release, &purged)
	})
	if sdk.KindOf(err) == sdk.Busy {
		return 0, nil
	}
	if purged.WALFiles > 0 {
		s.Logger.Info("WAL from before the first backup is deleted", "backup", id, "files", purged.WALFiles, "first", purged.FirstWAL, "last", purged.LastWAL)
	}
	return purged.WALFiles, err
}
