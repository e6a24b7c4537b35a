package removal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
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
	return r.locked(ctx, func() error {
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
	// releases are, in a dry run, the WAL that would go with each backup of the
	// report.
	releases []catalogue.Release
}

func newRun(s *server.Server, options Options) *run {
	return &run{server: s, options: options, hooks: hooks.Of(s, hooks.Delete), walHooks: hooks.Of(s, hooks.WALDelete)}
}

// locked calls do with the server's backup lock held and its backups known. A dry
// run needs no lock: it can be had while a backup runs, and of a catalogue that
// may only be read.
func (r *run) locked(ctx context.Context, do func() error) ([]Deleted, error) {
	if r.options.DryRun {
		err := r.withStock(do)
		return r.report, errors.Join(err, r.preview(ctx))
	}
	lock, err := r.server.Catalogue.Lock(catalogue.LockBackup)
	if err != nil {
		return nil, err
	}
	defer r.walHooks.Close()
	defer r.hooks.Close()
	r.clearAway(ctx)
	err = r.withStock(do)
	return r.report, errors.Join(err, lock.Release())
}

func (r *run) withStock(do func() error) (err error) {
	if r.stock, err = take(r.server); err != nil {
		return err
	}
	return do()
}

// clearAway finishes deletions that were interrupted when the backups were not
// listed any more. One that cannot be finished is no obstacle to others.
func (r *run) clearAway(ctx context.Context) {
	left, err := r.server.Catalogue.Leftovers()
	if err != nil {
		r.server.Logger.Warn("the directories of backups cannot be listed", "error", err)
		return
	}
	for i, id := range append(left.Deleting, left.Empty...) {
		if i < len(left.Deleting) {
			err = r.deleteData(ctx, id)
		}
		if err == nil {
			err = r.server.Catalogue.Remove(id)
		}
		if err != nil {
			r.server.Logger.Warn("what is left of a deleted backup cannot be cleared away", "backup", id, "error", err)
			err = nil
			continue
		}
		r.server.Logger.Info("what a killed process left of a deleted backup is cleared away", "backup", id)
	}
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
	if release.Doubtful && !r.options.DryRun {
		r.server.Logger.Warn("no WAL goes with a backup", "backup", b.ID, "reason", release.Reason)
	}
	if r.options.DryRun {
		r.report, r.releases = append(r.report, deleted), append(r.releases, release)
		return nil
	}
	lock, err := r.server.Catalogue.Lock(string(b.ID))
	if err != nil {
		return err
	}
	if b.State == catalogue.StateSyncing {
		err = r.server.Catalogue.NotSyncing(b.ID)
	}
	if err != nil {
		return errors.Join(err, lock.Release())
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
		return catalogue.Release{Doubtful: true,
			Reason: fmt.Sprintf("backup.info of backup %s cannot be read, so that it is not known what WAL it needs", r.stock.damaged[0].ID)}
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
	r.recount(ctx, b.ID)
	r.server.Logger.Info("backup deleted", "backup", b.ID, "wal", deleted.WALFiles)
	return nil
}

// errUnfinished is the error of a backup whose deletion was interrupted.
var errUnfinished = errors.New("it is being deleted, or was when that was interrupted; barman delete goes on with it")

// mark says of a backup that it is none any more. That must not need the room
// that the deletion is to make.
func (r *run) mark(b known) error {
	err := r.server.Catalogue.Annotate(b.ID, catalogue.AnnotationDelete, catalogue.Deleting)
	if err == nil && b.State != catalogue.StateFailed {
		marked := *b.Backup
		marked.Fail("deleting", errUnfinished)
		err = r.server.Catalogue.Save(&marked)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return r.server.Catalogue.Withdraw(b.ID)
	}
	return err
}

// leaveParent takes an incremental backup out of its parent's list.
func (r *run) leaveParent(b known) error {
	if _, found := r.stock.find(b.ParentID); !found {
		return nil
	}
	return withBackup(r.server, b.ParentID, func(parent *catalogue.Backup) error {
		others := slices.DeleteFunc(slices.Clone(parent.ChildrenIDs), func(id catalogue.BackupID) bool { return id == b.ID })
		if len(others) == len(parent.ChildrenIDs) {
			return nil
		}
		parent.ChildrenIDs = others
		return r.server.Catalogue.Save(parent)
	})
}

// count adds files that went, in ascending order and behind those before.
func (d *Deleted) count(files ...wal.Name) {
	if len(files) == 0 {
		return
	}
	if d.WALFiles == 0 {
		d.FirstWAL = files[0].String()
	}
	d.WALFiles += len(files)
	d.LastWAL = files[len(files)-1].String()
}
