package passive

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// Outcome is what became of a backup.
type Outcome string

const (
	// Copied tells that it was copied.
	Copied Outcome = "copied"
	// Present tells that it was there already.
	Present Outcome = "present"
	// Obsolete tells that this node's own retention policy would not keep it.
	Obsolete Outcome = "obsolete"
	// Deleted tells that the primary does not have it any more, and that what had
	// been copied of it is deleted.
	Deleted Outcome = "deleted"
	// Complete tells that no backup is missing.
	Complete Outcome = "complete"
)

// BackupReport tells what was done for a backup.
type BackupReport struct {
	// ID is empty when there was none to copy.
	ID      catalogue.BackupID
	Outcome Outcome
	// State is the backup's on this node.
	State   catalogue.State
	Elapsed time.Duration
}

// SyncBackup copies a backup from the primary; without an ID the oldest that is
// missing. Busy while another process copies it.
func SyncBackup(ctx context.Context, s *server.Server, id catalogue.BackupID) (BackupReport, error) {
	begun := time.Now()
	p, err := Of(s)
	if err != nil {
		return BackupReport{}, err
	}
	info, err := p.Info(ctx, Position{})
	if err != nil {
		return BackupReport{}, err
	}
	if id == "" {
		if id, err = p.missing(info); err != nil || id == "" {
			return BackupReport{Outcome: Complete}, err
		}
	}
	report := BackupReport{ID: id}
	if err := s.Catalogue.CreateDirectories(); err != nil {
		return report, err
	}
	lock, err := s.Catalogue.Lock(catalogue.LockSyncBackup(id))
	if err != nil {
		return report, err
	}
	report.Outcome, err = p.sync(ctx, info, id)
	if b, found := s.Catalogue.Get(id); found == nil {
		report.State = b.State
	}
	report.Elapsed = time.Since(begun)
	return report, errors.Join(err, lock.Release())
}

// missing is the oldest backup of the primary's that is to be copied.
func (p Primary) missing(info Info) (catalogue.BackupID, error) {
	var ids []catalogue.BackupID
	for id := range info.Backups {
		ids = append(ids, catalogue.BackupID(id))
	}
	slices.Sort(ids)
	for _, id := range ids {
		outcome, err := p.decide(info, id)
		if err != nil {
			return "", err
		}
		if outcome == Copied {
			return id, nil
		}
	}
	return "", nil
}

// decide tells what is to be done about a backup. What neither side knows is an
// error of kind NotFound.
func (p Primary) decide(info Info, id catalogue.BackupID) (Outcome, error) {
	_, there := info.Backups[string(id)]
	b, err := p.server.Catalogue.Get(id)
	here := err == nil
	switch {
	case err != nil && sdk.KindOf(err) != sdk.NotFound:
		return "", err
	case !there && !here:
		return "", sdk.Errorf(sdk.NotFound, "neither the primary of server %s nor this node has a complete backup %s", p.server.Name(), id)
	case here && b.State.CopyDone():
		return Present, nil
	case !there:
		return Deleted, nil
	}
	obsolete, err := p.obsolete(info, id)
	if err != nil {
		return "", err
	}
	if obsolete {
		return Obsolete, nil
	}
	return Copied, nil
}

// obsolete tells whether this node's retention policy would delete a backup as
// soon as it were here.
func (p Primary) obsolete(info Info, id catalogue.BackupID) (bool, error) {
	if p.server.Config.Retention.Policy.IsZero() {
		return false, nil
	}
	backups := []retention.Backup{{ID: string(id), Done: true, End: endTime(info.Backups[string(id)])}}
	for entry, err := range p.server.Catalogue.Entries() {
		if err != nil {
			return false, err
		}
		b := entry.Backup
		if b == nil || b.ID == id {
			continue
		}
		keep, err := p.server.Catalogue.Annotation(b.ID, catalogue.AnnotationKeep)
		if err != nil {
			return false, err
		}
		backups = append(backups, retention.Backup{ID: string(b.ID), Done: b.State == catalogue.StateDone, End: b.EndTime, Keep: retention.Keep(keep), Root: string(b.ParentID)})
	}
	verdicts := p.server.Config.Retention.Policy.Judge(backups, p.server.Config.Retention.MinimumRedundancy, time.Now())
	return verdicts[string(id)] == retention.Obsolete, nil
}

// endTime is when a backup of the primary's ended. Without a zone it is local, as
// for Barman in Python.
func endTime(document map[string]any) time.Time {
	for _, key := range []string{"end_time_iso", "end_time"} {
		if text, ok := document[key].(string); ok {
			if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
				return t
			}
		}
	}
	text, _ := document["end_time"].(string) // nothing else is a time
	t, err := time.ParseInLocation(time.ANSIC, text, time.Local)
	if err != nil {
		return time.Now() // nothing is lost by keeping it
	}
	return t
}

// sync does what has been decided, under the backup's lock.
func (p Primary) sync(ctx context.Context, info Info, id catalogue.BackupID) (Outcome, error) {
	outcome, err := p.decide(info, id) // another process may have done it by now
	switch {
	case err != nil:
		return "", err
	case outcome == Deleted:
		return outcome, p.forget(id)
	case outcome != Copied:
		return outcome, nil
	}
	content, err := p.readInfo(ctx, info, id)
	if err != nil {
		return "", err
	}
	b, err := catalogue.ParseInfo(id, content)
	if err != nil {
		return "", err
	}
	if !b.State.CopyDone() {
		return "", sdk.Errorf(sdk.Unavailable, "backup %s is %s on the primary: only a complete one is copied", id, b.State)
	}
	state := b.State
	b.State = catalogue.StateSyncing
	if err := p.server.Catalogue.Save(b); err != nil {
		return "", err
	}
	if err := p.copy(ctx, info, b, content); err != nil {
		b.Fail("syncing from the primary", err)
		return "", errors.Join(err, p.server.Catalogue.Save(b))
	}
	if b.State, err = p.arrived(b, state); err != nil {
		return "", err
	}
	return outcome, p.server.Catalogue.Save(b)
}

// arrived is the state of a backup whose files are here: it waits for WAL as on
// any other node.
func (p Primary) arrived(b *catalogue.Backup, there catalogue.State) (catalogue.State, error) {
	if there != catalogue.StateDone {
		return catalogue.StateWaitingForWALs, nil
	}
	for _, err := range p.server.Catalogue.MissingSegments(b) {
		return catalogue.StateWaitingForWALs, err
	}
	return catalogue.StateDone, nil
}

// copy copies a backup's files, and makes sure that the primary still has it.
func (p Primary) copy(ctx context.Context, info Info, b *catalogue.Backup, content []byte) error {
	to := p.server.Catalogue.Directory(b.ID)
	if err := durable.MakeDirectory(to); err != nil {
		return err
	}
	// What belongs to this node is neither copied nor, by --delete, removed.
	options := []string{"--recursive", "--links", "--hard-links", "--delete",
		"--exclude=/backup.info", "--exclude=/.backup.info.*", "--exclude=/.backup.lock", "--exclude=/annotations/", "--exclude=/barman-sinks.jsonl"}
	for _, t := range b.Tablespaces {
		options = append(options, fmt.Sprintf("--exclude=/data/pg_tblspc/%d", t.OID))
	}
	reused, err := p.reusable(b)
	if err != nil {
		return err
	}
	if reused != "" {
		// Two files can have the same size and time and differ: their bytes decide.
		options = append(options, "--checksum", "--link-dest="+reused)
	}
	if err := p.rsync(ctx, filepath.Join(info.text("basebackups_directory"), string(b.ID)), to, nil, options...); err != nil {
		return err
	}
	if err := (hostfs.Local{}).Sync(to); err != nil {
		return err
	}
	after, err := p.readInfo(ctx, info, b.ID)
	if err != nil {
		return err
	}
	now, err := catalogue.ParseInfo(b.ID, after)
	before, unread := catalogue.ParseInfo(b.ID, content)
	switch {
	case err != nil || unread != nil:
		return errors.Join(err, unread)
	case !now.State.CopyDone() || now.BeginLSN != before.BeginLSN || now.EndLSN != before.EndLSN:
		return sdk.Errorf(sdk.Unavailable, "backup %s changed on the primary while it was copied", b.ID)
	}
	return nil
}

// reusable is the directory of the complete backup next to one, whose files it may
// share, if it shares files on the primary; empty for none.
func (p Primary) reusable(b *catalogue.Backup) (string, error) {
	if b.Size == nil || b.DeduplicatedSize == nil || *b.DeduplicatedSize >= *b.Size {
		return "", nil
	}
	previous, next := "", ""
	for entry, err := range p.server.Catalogue.Entries() {
		switch {
		case err != nil:
			return "", err
		case entry.Backup == nil || !entry.Backup.State.CopyDone():
		case entry.ID < b.ID:
			previous = p.server.Catalogue.Directory(entry.ID)
		case entry.ID > b.ID && next == "":
			next = p.server.Catalogue.Directory(entry.ID)
		}
	}
	if next != "" {
		return next, nil
	}
	return previous, nil
}

// forget deletes what was copied of a backup that is not to be had any more.
func (p Primary) forget(id catalogue.BackupID) error {
	if err := p.server.Catalogue.Withdraw(id); err != nil {
		return err
	}
	return p.server.Catalogue.Remove(id)
}
