package removal

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/sinks"
	"github.com/barman-go/barman/sdk"
)

// Judge returns what the server's retention policy says now of its backups, which
// are given in ascending order of their IDs.
func Judge(s *server.Server, entries []catalogue.Entry, now time.Time) (map[catalogue.BackupID]retention.Verdict, error) {
	if s.Config.Retention.Policy.IsZero() {
		verdicts := map[catalogue.BackupID]retention.Verdict{}
		for _, entry := range entries {
			if entry.Backup != nil {
				verdicts[entry.ID] = retention.Unjudged
			}
		}
		return verdicts, nil
	}
	all, err := annotated(s, entries)
	if err != nil {
		return nil, err
	}
	return all.judge(s, now), nil
}

func (a stock) judge(s *server.Server, now time.Time) map[catalogue.BackupID]retention.Verdict {
	verdicts := map[catalogue.BackupID]retention.Verdict{}
	for id, verdict := range s.Config.Retention.Policy.Judge(a.judged(), s.Config.Retention.MinimumRedundancy, now) {
		verdicts[catalogue.BackupID(id)] = verdict
	}
	for _, b := range a.backups {
		if b.deleting && !s.Config.Retention.Policy.IsZero() {
			verdicts[b.ID] = retention.Obsolete
		}
	}
	return verdicts
}

// Due tells whether Enforce has something to delete now.
func Due(s *server.Server, now time.Time) (bool, error) {
	all, err := take(s)
	if err != nil {
		return false, err
	}
	verdicts := all.judge(s, now)
	if slices.ContainsFunc(all.backups, func(b known) bool {
		return b.unfinished(s.Config.Retention.Policy) || verdicts[b.ID] == retention.Obsolete
	}) {
		return true, nil
	}
	left, err := s.Catalogue.Leftovers()
	return len(left.Deleting) > 0, err
}

// Enforce deletes the backups that the server's retention policy calls obsolete,
// the oldest first, and those whose deletion was begun by an earlier run. One
// that cannot be deleted is no obstacle to the others: the error tells of it.
// What was deleted is in the report. Busy while a backup or another deletion of
// the server is under way.
func Enforce(ctx context.Context, s *server.Server, options Options) ([]Deleted, error) {
	r := newRun(s, options)
	r.byPolicy = true
	return r.locked(ctx, func() error {
		r.warn()
		for _, entry := range r.stock.damaged {
			s.Logger.Warn("a backup cannot be read; it is not judged by the retention policy, and no WAL is deleted", "backup", entry.ID, "error", entry.Err)
		}
		verdicts := r.stock.judge(s, time.Now())
		var errs []error
		for _, b := range slices.Clone(r.stock.backups) {
			if _, left := r.stock.find(b.ID); !left || !b.unfinished(s.Config.Retention.Policy) && verdicts[b.ID] != retention.Obsolete {
				continue
			}
			if err := r.enforce(ctx, b); err != nil {
				errs = append(errs, err)
			}
			if ctx.Err() != nil {
				break
			}
		}
		return errors.Join(errs...)
	})
}

// warn tells of what is in the catalogue and of no use.
func (r *run) warn() {
	for _, b := range r.stock.backups {
		if b.lost {
			r.server.Logger.Warn("the data of a backup is gone; it counts for nothing, and barman delete clears it away", "backup", b.ID)
		}
	}
	left, err := r.server.Catalogue.Leftovers()
	if err != nil {
		r.server.Logger.Warn("the directories of backups cannot be listed", "error", err)
	}
	for _, id := range left.Strays {
		r.server.Logger.Warn("a directory holds files and no backup.info: put that in its place, or remove the directory", "directory", r.server.Catalogue.Directory(id))
	}
}

func (r *run) enforce(ctx context.Context, b known) error {
	err := r.delete(ctx, b)
	if sdk.KindOf(err) == sdk.Busy {
		r.server.Logger.Warn("an obsolete backup is in use; a later run deletes it", "backup", b.ID, "error", err)
		return nil
	}
	return err
}

// Keep has a backup kept whatever the policy says: with all WAL from its begin on
// (catalogue.KeepFull), or with what it needs itself (catalogue.KeepStandalone).
// Errors: Invalid for a backup that is not complete or builds on another one,
// Busy while somebody deletes it.
func Keep(ctx context.Context, s *server.Server, id catalogue.BackupID, how string) error {
	if how != catalogue.KeepFull && how != catalogue.KeepStandalone {
		return sdk.Errorf(sdk.Invalid, "%q is no way to keep a backup: use %s or %s", how, catalogue.KeepFull, catalogue.KeepStandalone)
	}
	return withBackup(s, id, func(b *catalogue.Backup) error {
		switch {
		case b.State != catalogue.StateDone:
			return sdk.Errorf(sdk.Invalid, "backup %s of server %s is %s: only one that is DONE can be kept", id, s.Name(), b.State)
		case b.ParentID != "":
			return sdk.Errorf(sdk.Invalid, "backup %s of server %s is incremental: keep the one that it builds on", id, s.Name())
		}
		return sinks.Change(ctx, s, id, func() error { return s.Catalogue.Annotate(id, catalogue.AnnotationKeep, how) })
	})
}

// LetGo undoes Keep. A backup that is not kept is no error.
func LetGo(ctx context.Context, s *server.Server, id catalogue.BackupID) error {
	return withBackup(s, id, func(*catalogue.Backup) error {
		return sinks.Change(ctx, s, id, func() error { return s.Catalogue.RemoveAnnotation(id, catalogue.AnnotationKeep) })
	})
}

// withBackup calls do while nobody deletes the backup: it must not be kept in the
// moment in which that happens.
func withBackup(s *server.Server, id catalogue.BackupID, do func(*catalogue.Backup) error) (err error) {
	lock, err := s.Catalogue.LockShared(string(id))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	b, err := s.Catalogue.Get(id)
	if err != nil {
		return err
	}
	return do(b)
}
