package recovery

import (
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
)

// protect keeps the backup from being deleted until release is called, and reads
// again what the catalogue says of it. One that is being deleted is an error of
// kind Busy. A catalogue in which nothing can be locked, because it may only be
// read, is no obstacle: a recovery may be all that it is there for.
func (r *run) protect() (release func(), err error) {
	release = func() {}
	b := r.request.Backup
	lock, err := r.server.Catalogue.LockShared(string(b.ID))
	switch {
	case sdk.KindOf(err) == sdk.Busy:
		return nil, err
	case err != nil:
		r.warn("backup %s cannot be protected from being deleted meanwhile: %v", b.ID, err)
	default:
		release = func() {
			if err := lock.Release(); err != nil {
				r.server.Logger.Warn("the lock of a backup could not be given back", "backup", b.ID, "error", err)
			}
		}
	}
	now, err := r.server.Catalogue.Get(b.ID)
	if err == nil {
		err = r.undeleted(b.ID)
	}
	if err != nil {
		release()
		return nil, err
	}
	r.request.Backup = now
	return release, nil
}

// undeleted refuses a backup whose deletion was interrupted: some of it may be
// gone. Barman in Python leaves such a backup as DONE.
func (r *run) undeleted(id catalogue.BackupID) error {
	mark, err := r.server.Catalogue.Annotation(id, catalogue.AnnotationDelete)
	if err == nil && mark != "" {
		err = sdk.Errorf(sdk.Invalid, "the deletion of backup %s of server %s has begun and was not finished, so that some of it may be gone: barman delete finishes it; "+
			"if it was not meant to be deleted, remove its annotation %s and verify it", id, r.server.Name(), catalogue.AnnotationDelete)
	}
	return err
}
