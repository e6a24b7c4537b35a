package removal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hooks"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Options are the choices of one deletion.
type Options struct {
	// DryRun deletes nothing; the report says what would go.
	DryRun bool
	// File is told of every WAL file before it goes; may be nil.
	File func(wal.Name)
}

// Deleted is a backup that was deleted, or would be.
type Deleted struct {
	ID catalogue.BackupID `json:"backup_id"`
	// Begun is when its deletion began.
	Begun time.Time `json:"-"`
	// Elapsed is how long that took.
	Elapsed time.Duration `json:"-"`
	// WALFiles is how many WAL files went with it; FirstWAL and LastWAL are the
	// first and the last of them by name.
	WALFiles int    `json:"wal_files"`
	FirstWAL string `json:"first_wal,omitempty"`
	LastWAL  string `json:"last_wal,omitempty"`
	// WALReason is why no WAL went; empty if some might.
	WALReason string `json:"wal_reason,omitempty"`
}

// Delete deletes a backup, those that build on it, and the WAL that nobody needs
// any more. What was deleted before an error is in the report.
//
// Errors: NotFound; Denied when the backup is kept or is one of the last that
// minimum_redundancy wants, or a hook objects; Busy while a backup or another
// deletion of the server is under way, or somebody works on the backup.
func Delete(ctx context.Context, s *server.Server, id catalogue.BackupID, options Options) ([]Deleted, error) {
	r := newRun(s, options)
	return r.locked(func() error {
		target, found := r.stock.find(id)
		if !found {
			if _, err := s.Catalogue.Get(id); err != nil {
				return err
			}
			return sdk.Errorf(sdk.NotFound, "server %q has no backup %s", s.Name(), id)
		}
		if err := r.refuse(target); err != nil {
			return err
		}
		return r.delete(ctx, target)
	})
}

// run deletes backups of one server.
type run struct {
	server   *server.Server
	options  Options
	byPolicy bool
	stock    stock
	report   []Deleted
	hooks    *hooks.Hooks
	walHooks *hooks.Hooks
	// previewed are the WAL files that would have gone in a dry run so far.
	previewed map[string]bool
}

func newRun(s *server.Server, options Options) *run {
	return &run{
		server: s, options: options, previewed: map[string]bool{}, hooks: hooks.Of(s, hooks.Delete), walHooks: hooks.Of(s, hooks.WALDelete),
	}
}

// locked calls do with the server's backup lock held and its backups known.
func (r *run) locked(do func() error) ([]Deleted, error) {
	lock, err := r.server.Catalogue.Lock(catalogue.LockBackup)
	if err != nil {
		return nil, err
	}
	defer r.walHooks.Close()
	defer r.hooks.Close()
	if r.stock, err = take(r.server); err == nil {
		err = do()
	}
	return r.report, errors.Join(err, lock.Release())
}

// refuse tells what a backup must not be deleted for. One whose deletion has
// begun is none any more.
func (r *run) refuse(target known) error {
	minimum := r.server.Config.Retention.MinimumRedundancy
	switch {
	case target.deleting:
		return nil
	case counts(target) && r.stock.redundant() <= minimum:
		return sdk.Errorf(sdk.Denied, "backup %s of server %s is one of the %d that are complete, and minimum_redundancy is %d: it is not deleted",
			target.ID, r.server.Name(), r.stock.redundant(), minimum)
	}
	for _, b := range r.stock.withDescendants(target) {
		if b.keep != "" && !b.deleting {
			return sdk.Errorf(sdk.Denied, "backup %s of server %s is kept (%s): it is not deleted; barman keep --release %s %s lets it go",
				b.ID, r.server.Name(), b.keep, r.server.Name(), b.ID)
		}
	}
	return nil
}

// delete deletes a backup and those that build on it.
func (r *run) delete(ctx context.Context, target known) error {
	for _, b := range r.stock.withDescendants(target) {
		if err := r.deleteOne(ctx, b); err != nil {
			return fmt.Errorf("delete backup %s of server %s: %w", b.ID, r.server.Name(), err)
		}
		r.stock.remove(b.ID)
	}
	return nil
}

func (r *run) deleteOne(ctx context.Context, b known) error {
	deleted := Deleted{ID: b.ID, Begun: time.Now()}
	release := r.release(b)
	deleted.WALReason = release.Reason
	if r.options.DryRun {
		released, err := r.releasedFiles(ctx, release)
		deleted.count(released)
		r.report = append(r.report, deleted)
		return err
	}
	lock, err := r.server.Catalogue.Lock(string(b.ID))
	if err != nil {
		return err
	}
	values, err := r.hooks.AboutBackup(b.Backup)
	if err == nil {
		err = r.stillUnkept(b)
	}
	if err == nil {
		err = r.hooks.Before(ctx, values)
	}
	if err != nil {
		return errors.Join(err, lock.Release())
	}
	err = r.carryOut(ctx, b, release, &deleted)
	if err == nil {
		deleted.Elapsed = time.Since(deleted.Begun)
		r.report = append(r.report, deleted)
		hooks.WithoutNeighbours(values)
	}
	r.hooks.After(ctx, values, err)
	return errors.Join(err, lock.Release())
}

// stillUnkept makes sure, under the backup's lock, that nobody has kept it since
// the backups were listed.
func (r *run) stillUnkept(b known) error {
	keep, err := r.server.Catalogue.Annotation(b.ID, catalogue.AnnotationKeep)
	if err == nil && keep != b.keep {
		err = sdk.Errorf(sdk.Busy, "somebody has just changed how it is kept (%q)", keep)
	}
	return err
}

// release decides what WAL goes with a backup. A backup that cannot be read may
// need any of it.
func (r *run) release(b known) catalogue.Release {
	if len(r.stock.damaged) > 0 {
		return catalogue.Release{Reason: fmt.Sprintf("backup.info of backup %s cannot be read, so that it is not known what WAL it needs", r.stock.damaged[0].ID)}
	}
	return catalogue.ReleasedWAL(b.Backup, r.stock.without(b.ID), r.byPolicy)
}

// carryOut deletes what the hooks have agreed to.
func (r *run) carryOut(ctx context.Context, b known, release catalogue.Release, deleted *Deleted) error {
	if err := r.mark(b); err != nil {
		return err
	}
	if err := r.deleteData(ctx, b.ID); err != nil {
		return err
	}
	if err := r.deleteWAL(ctx, release, deleted); err != nil {
		return err
	}
	if err := r.leaveParent(b); err != nil {
		return err
	}
	if err := r.server.Catalogue.Remove(b.ID); err != nil {
		return err
	}
	r.server.Logger.Info("backup deleted", "backup", b.ID, "wal", deleted.WALFiles)
	return nil
}

// errUnfinished is the error of a backup whose deletion was interrupted.
var errUnfinished = errors.New("it is being deleted, or was when that was interrupted; barman delete goes on with it")

// mark says of a backup that it is none any more.
func (r *run) mark(b known) error {
	if err := r.server.Catalogue.Annotate(b.ID, catalogue.AnnotationDelete, catalogue.Deleting); err != nil {
		return err
	}
	if b.State == catalogue.StateFailed {
		return nil
	}
	marked := *b.Backup
	marked.Fail("deleting", errUnfinished)
	return r.server.Catalogue.Save(&marked)
}

// leaveParent takes an incremental backup out of its parent's list.
func (r *run) leaveParent(b known) error {
	parent, found := r.stock.find(b.ParentID)
	if !found {
		return nil
	}
	var others []catalogue.BackupID
	for _, id := range parent.ChildrenIDs {
		if id != b.ID {
			others = append(others, id)
		}
	}
	if len(others) == len(parent.ChildrenIDs) {
		return nil
	}
	parent.ChildrenIDs = others
	return r.server.Catalogue.Save(parent.Backup)
}

func (d *Deleted) count(files []wal.Name) {
	d.WALFiles = len(files)
	if len(files) > 0 {
		d.FirstWAL, d.LastWAL = files[0].String(), files[len(files)-1].String()
	}
}
