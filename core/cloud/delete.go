package cloud

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// The deletion of a backup survives being interrupted anywhere: first backup.info says
// FAILED, and why, so that nobody takes what is left for a backup. Then the data goes,
// then the WAL, and backup.info last. The next deletion of any backup goes on where
// this one ended.

// DeleteOptions are the choices of a deletion.
type DeleteOptions struct {
	// DryRun deletes nothing; Group is told what would go.
	DryRun bool
	// Minimum is how many backups are to be left.
	Minimum int
	// Batch is how many objects are deleted in one request at most; 0 leaves that to
	// the store.
	Batch int
	// Group is told, in a dry run, of objects that would be deleted together.
	Group func(objects []string)
	// Warn is told what does not keep the deletion from going on.
	Warn func(error)
}

// DeletionError is the failure to delete a backup whose deletion was agreed to. What
// is left of it is deleted by the next run.
type DeletionError struct {
	ID  catalogue.BackupID
	Err error
}

// Error names the backup.
func (e *DeletionError) Error() string { return fmt.Sprintf("delete backup %s: %v", e.ID, e.Err) }

// Unwrap returns the reason.
func (e *DeletionError) Unwrap() error { return e.Err }

// Delete deletes a backup, and the WAL that nobody needs any more then.
//
// Errors: those of Catalogue.Resolve; Denied for one that is kept, and when fewer
// than the minimum would be left; Corrupt when any backup of the server cannot be
// read, because it may need that WAL; *DeletionError.
func (s *Store) Delete(ctx context.Context, reference string, options DeleteOptions) error {
	return s.deleting(ctx, options, false, func(d *deletion) error {
		b, err := d.catalogue.Resolve(reference)
		if err != nil {
			return err
		}
		if err := d.refuse(b); err != nil {
			return err
		}
		return d.delete(ctx, b)
	})
}

// Enforce deletes the backups that a policy calls obsolete, the oldest first. One
// that cannot be deleted is no obstacle to others. Errors are those of Delete.
func (s *Store) Enforce(ctx context.Context, policy retention.Policy, options DeleteOptions) error {
	return s.deleting(ctx, options, true, func(d *deletion) error {
		verdicts := policy.Judge(d.judged(), options.Minimum, time.Now())
		var errs []error
		for _, b := range d.backups() {
			if verdicts[string(b.ID)] == retention.Obsolete && ctx.Err() == nil {
				errs = append(errs, d.delete(ctx, b))
			}
		}
		return errors.Join(errs...)
	})
}

// deletion is one run that deletes backups.
type deletion struct {
	store     *Store
	sink      *pipeline.Sink
	options   DeleteOptions
	byPolicy  bool
	catalogue *Catalogue
}

func (s *Store) deleting(ctx context.Context, options DeleteOptions, byPolicy bool, do func(*deletion) error) error {
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return err
	}
	defer sink.Close()
	d := &deletion{store: s, sink: sink, options: options, byPolicy: byPolicy}
	if d.catalogue, err = s.read(ctx, sink); err != nil {
		return err
	}
	if damaged := d.catalogue.Damaged(); len(damaged) > 0 {
		return sdk.Errorf(sdk.Corrupt, "nothing is deleted, because a backup that cannot be read may need it: %w", damaged[0].Err)
	}
	return errors.Join(d.goOn(ctx), do(d))
}

// goOn finishes deletions that were interrupted.
func (d *deletion) goOn(ctx context.Context) error {
	var errs []error
	for _, b := range d.backups() {
		if beingDeleted(b) {
			errs = append(errs, d.delete(ctx, b))
		}
	}
	return errors.Join(errs...)
}

// backups are those that can be read: all, as nothing is deleted otherwise.
func (d *deletion) backups() []*catalogue.Backup {
	var all []*catalogue.Backup
	for _, entry := range d.catalogue.Entries {
		all = append(all, entry.Backup)
	}
	return all
}

// judged are the backups as a policy sees them.
func (d *deletion) judged() []retention.Backup {
	var all []retention.Backup
	for _, b := range d.backups() {
		all = append(all, retention.Backup{
			ID: string(b.ID), Done: b.State == catalogue.StateDone, End: b.EndTime, Keep: retention.Keep(d.catalogue.keep[b.ID]),
		})
	}
	return all
}

// remaining are all backups but one.
func (d *deletion) remaining(id catalogue.BackupID) []catalogue.Remaining {
	var others []catalogue.Remaining
	for _, b := range d.backups() {
		if b.ID != id {
			others = append(others, catalogue.Remaining{Backup: b, Keep: d.catalogue.keep[b.ID]})
		}
	}
	return others
}

// refuse tells what a backup must not be deleted for.
func (d *deletion) refuse(b *catalogue.Backup) error {
	switch {
	case d.catalogue.keep[b.ID] != "":
		return sdk.Errorf(sdk.Denied, "backup %s of server %s is kept (%s) and not deleted; backup-keep --release lets it go", b.ID, d.store.server.Name, d.catalogue.keep[b.ID])
	case d.options.Minimum > 0 && d.options.Minimum >= len(d.catalogue.Entries):
		return sdk.Errorf(sdk.Denied, "backup %s of server %s is one of %d, of which %d are to be left: it is not deleted",
			b.ID, d.store.server.Name, len(d.catalogue.Entries), d.options.Minimum)
	}
	return nil
}

// delete deletes a backup and forgets it.
func (d *deletion) delete(ctx context.Context, b *catalogue.Backup) error {
	if _, left := d.catalogue.Find(b.ID); !left {
		return nil // an interrupted deletion of it was finished
	}
	if err := d.deleteOne(ctx, b); err != nil {
		return &DeletionError{b.ID, err}
	}
	d.catalogue.Entries = slices.DeleteFunc(d.catalogue.Entries, func(e catalogue.Entry) bool { return e.ID == b.ID })
	return nil
}

func (d *deletion) deleteOne(ctx context.Context, b *catalogue.Backup) error {
	release := catalogue.ReleasedWAL(b, d.remaining(b.ID), d.byPolicy)
	data, err := d.data(ctx, b.ID)
	if err != nil {
		return err
	}
	if d.options.DryRun {
		d.options.Group(append(data, catalogue.InfoObject(b.ID)))
		return d.removeWAL(ctx, release)
	}
	if err := d.mark(ctx, b); err != nil {
		return err
	}
	if err := d.remove(ctx, data); err != nil {
		if sdk.KindOf(err) == sdk.Denied {
			err = errors.Join(err, d.unmarkUntouched(ctx, b, len(data)))
		}
		return err
	}
	if err := d.removeWAL(ctx, release); err != nil {
		d.options.Warn(fmt.Errorf("WAL stays that backup %s has released: %w", b.ID, err))
	}
	if d.catalogue.keep[b.ID] != "" { // since an interrupted deletion
		if err := d.sink.Delete(ctx, []string{keepObject(b.ID)}); err != nil {
			return err
		}
	}
	return d.sink.Delete(ctx, []string{catalogue.InfoObject(b.ID)})
}

// data lists a backup's objects but those that describe it.
func (d *deletion) data(ctx context.Context, id catalogue.BackupID) ([]string, error) {
	var names []string
	for object, err := range d.sink.List(ctx, catalogue.BackupPrefix(id)) {
		if err != nil {
			return nil, err
		}
		if _, rest := ownerOf(object.Name); rest != infoOf && rest != keepOf {
			names = append(names, object.Name)
		}
	}
	return names, nil
}

// errUnfinished is the error of a backup whose deletion was interrupted.
var errUnfinished = errors.New("it is being deleted, or was when that was interrupted; the next backup-delete goes on with it")

// doneWhenMarked is what was being done when a marked backup failed.
const doneWhenMarked = "deleting"

// beingDeleted tells whether the deletion of a backup has begun.
func beingDeleted(b *catalogue.Backup) bool {
	return b.State == catalogue.StateFailed && strings.HasPrefix(b.Error, "failure "+doneWhenMarked+" (")
}

// mark says of a backup that it is none any more. It has no end then, by which
// others tell a complete one.
func (d *deletion) mark(ctx context.Context, b *catalogue.Backup) error {
	if beingDeleted(b) {
		return nil
	}
	marked := *b
	marked.EndTime = time.Time{}
	marked.Fail(doneWhenMarked, errUnfinished)
	if err := d.store.save(ctx, &marked); err != nil {
		return err
	}
	// Whoever keeps it notes that first, and looks at backup.info then: one of the two
	// sees the other.
	kept, err := d.store.kept(ctx, d.sink, b.ID)
	if err == nil && kept && d.catalogue.keep[b.ID] == "" {
		err = sdk.Errorf(sdk.Busy, "somebody has just had it kept")
	}
	if err != nil {
		return errors.Join(err, d.store.save(ctx, b))
	}
	return nil
}

// unmarkUntouched takes the mark back when the store has refused before anything was
// deleted: an object lock, or no permission. The backup is whole still.
func (d *deletion) unmarkUntouched(ctx context.Context, b *catalogue.Backup, objects int) error {
	left, err := d.data(ctx, b.ID)
	if err != nil || len(left) != objects || beingDeleted(b) {
		return err
	}
	return d.store.save(ctx, b)
}

// removeWAL deletes the WAL files that are released.
func (d *deletion) removeWAL(ctx context.Context, release catalogue.Release) error {
	if release.Reason != "" {
		return nil
	}
	var names []string
	var errs []error
	for object, err := range d.sink.List(ctx, catalogue.WALFolder+"/") {
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		name, err := wal.ParseName(path.Base(object.Name))
		if err != nil || object.Name != catalogue.WALObject(name) {
			continue // somebody else's
		}
		if release.Behind(name) {
			break
		}
		if release.Includes(name) {
			names = append(names, object.Name)
		}
		if len(names) == walAtOnce {
			errs = append(errs, d.remove(ctx, names))
			names = names[:0]
		}
	}
	return errors.Join(append(errs, d.remove(ctx, names))...)
}

// walAtOnce bounds how many names of WAL files are held in memory.
const walAtOnce = 10_000

// remove deletes objects, in a dry run tells of them. A batch that fails does not keep
// the others from being deleted.
func (d *deletion) remove(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if d.options.DryRun {
		d.options.Group(names)
		return nil
	}
	batch := d.options.Batch
	if batch < 1 {
		batch = len(names)
	}
	var errs []error
	for part := range slices.Chunk(names, batch) {
		errs = append(errs, d.sink.Delete(ctx, part))
	}
	return errors.Join(errs...)
}
