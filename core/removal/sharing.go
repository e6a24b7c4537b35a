package removal

import (
	"context"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/barman-go/barman/core/catalogue"
)

// recount counts anew what the next backup shares with others after the one before
// it is gone. The deletion is complete: what goes wrong here is logged.
func (r *run) recount(ctx context.Context, gone catalogue.BackupID) {
	for _, b := range r.stock.backups {
		if b.ID <= gone || b.deleting || !b.State.CopyDone() {
			continue
		}
		if b.Type() != catalogue.TypeRsync {
			return
		}
		err := withBackup(r.server, b.ID, func(next *catalogue.Backup) error {
			size, err := unshared(ctx, r.server.Catalogue.Directory(next.ID))
			if err != nil || size == 0 || next.DeduplicatedSize != nil && *next.DeduplicatedSize == size {
				return err // nothing here: it is stored elsewhere
			}
			next.DeduplicatedSize = &size
			return r.server.Catalogue.Save(next)
		})
		if err != nil {
			r.server.Logger.Warn("what the next backup shares with others could not be counted anew", "backup", b.ID, "error", err)
		}
		return
	}
}

// unshared is how many bytes the files below a backup's directories have to which
// nothing else links.
func unshared(ctx context.Context, directory string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Dir(path) == directory {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink == 1 {
			sum += info.Size()
		}
		return nil
	})
	return sum, err
}
