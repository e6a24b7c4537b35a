package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// backups brings one sink up to date with the backups of the catalogue.
func (y *syncing) backups(ctx context.Context, to server.Sink) error {
	if err := y.deleted(ctx, to); err != nil {
		return err
	}
	var all []catalogue.Entry
	for entry, err := range y.server.Catalogue.Entries() {
		if err != nil {
			return err
		}
		all = append(all, entry)
	}
	slices.Reverse(all)
	for _, entry := range all {
		if entry.Err != nil {
			y.problem(entry.Err)
			continue
		}
		if err := y.protected(ctx, to, entry.Backup); err != nil {
			y.problem(fmt.Errorf("backup %s: %w", entry.ID, err))
		}
		if ctx.Err() != nil {
			return nil // it is one of the problems
		}
	}
	return nil
}

// deleted removes what a sink has kept of backups that were deleted.
func (y *syncing) deleted(ctx context.Context, to server.Sink) error {
	lags, err := y.server.Catalogue.Lags()
	if err != nil {
		return err
	}
	for _, l := range lags {
		if l.Sink != to.Label || l.Backup == "" {
			continue
		}
		_, err := y.server.Catalogue.Get(l.Backup)
		if sdk.KindOf(err) != sdk.NotFound {
			continue // whoever deletes it has not got that far
		}
		if l.Lacks == catalogue.LacksDeletion {
			if err := y.removed(ctx, to, l.Backup); err != nil {
				y.problem(fmt.Errorf("backup %s, which was deleted: %w", l.Backup, err))
				continue
			}
		}
		if !y.options.DryRun {
			if err := y.server.Catalogue.ClearLag(to.Label, l.Backup); err != nil {
				return err
			}
		}
	}
	return nil
}

func (y *syncing) removed(ctx context.Context, to server.Sink, id catalogue.BackupID) error {
	if !y.options.DryRun {
		if err := Clear(ctx, y.server, to, id); err != nil {
			return err
		}
	}
	y.now.Backups = append(y.now.Backups, SyncedBackup{ID: id, Action: Removed})
	return nil
}

// protected brings a sink up to date with one backup, which nobody deletes
// meanwhile.
func (y *syncing) protected(ctx context.Context, to server.Sink, b *catalogue.Backup) (err error) {
	noted, err := y.server.Catalogue.LagOf(to.Label, b.ID)
	if err != nil || noted == nil && y.options.Noted {
		return err
	}
	if !b.State.CopyDone() && b.State != catalogue.StateFailed {
		return nil // it is being taken
	}
	if !y.options.DryRun {
		lock, err := y.server.Catalogue.LockShared(string(b.ID))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, lock.Release()) }()
		// It may have been deleted, or have failed, since the backups were listed.
		b, err = y.server.Catalogue.Get(b.ID)
		if sdk.KindOf(err) == sdk.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
	}
	deleting, err := y.server.Catalogue.Annotation(b.ID, catalogue.AnnotationDelete)
	switch {
	case err != nil:
		return err
	case deleting != "":
		return nil
	case b.State == catalogue.StateFailed:
		return y.failed(ctx, to, b, noted)
	}
	return y.complete(ctx, to, b, noted)
}

// failed removes what a failed backup has left in a sink.
func (y *syncing) failed(ctx context.Context, to server.Sink, b *catalogue.Backup, noted *catalogue.Lag) error {
	if noted == nil {
		return nil
	}
	if noted.Lacks == catalogue.LacksData {
		if err := y.removed(ctx, to, b.ID); err != nil {
			return err
		}
	}
	return y.described(ctx, to, b.ID, noted.Lacks != catalogue.LacksData)
}

func (y *syncing) described(ctx context.Context, to server.Sink, id catalogue.BackupID, tell bool) error {
	if !y.options.DryRun {
		if err := describeAndClear(ctx, y.server, to, id); err != nil {
			return err
		}
	}
	if tell {
		y.now.Backups = append(y.now.Backups, SyncedBackup{ID: id, Action: Described})
	}
	return nil
}

// complete gives a sink what it lacks of a complete backup.
func (y *syncing) complete(ctx context.Context, to server.Sink, b *catalogue.Backup, noted *catalogue.Lag) error {
	if noted != nil && noted.Lacks == catalogue.LacksWord {
		return y.described(ctx, to, b.ID, !to.Home)
	}
	has, err := y.look(ctx, to, b.ID)
	if err != nil {
		return err
	}
	from, source, err := y.holder(ctx, to, b.ID)
	if err != nil || from.Label == "" {
		if err == nil && noted != nil {
			err = sdk.Errorf(sdk.NotFound, "no other sink has it")
		}
		return err
	}
	if has.bucket && source.plain {
		return sdk.Errorf(sdk.Invalid, "it is stored in plain files, and a bucket takes archives only: take a new backup, which goes there by itself")
	}
	var missing []sdk.Object
	var differ []string
	for _, object := range source.data {
		size, there := has.sizes[object.Name]
		switch {
		case !there:
			missing = append(missing, object)
		case size != object.Size:
			differ = append(differ, object.Name)
		}
	}
	if len(differ) > 0 {
		return sdk.Errorf(sdk.Exists, "%d objects are there with another size than in sink %s, %s for one: they are not replaced; remove what is wrong, and try again", len(differ), from.Label, differ[0])
	}
	if len(missing) == 0 && (to.Home || has.described) && noted == nil {
		return y.confirm(to, b.ID)
	}
	if len(missing) == 0 {
		return y.described(ctx, to, b.ID, true)
	}
	done := SyncedBackup{ID: b.ID, Action: Copied, From: from.Label, Objects: len(missing)}
	for _, object := range missing {
		done.Bytes += max(object.Size, 0)
	}
	if !y.options.DryRun {
		if err := y.copy(ctx, from, to, b.ID, missing); err != nil {
			return err
		}
	}
	y.now.Backups = append(y.now.Backups, done)
	return y.described(ctx, to, b.ID, false)
}

// confirm notes that a sink has a backup of which that was not known.
func (y *syncing) confirm(to server.Sink, id catalogue.BackupID) error {
	if y.options.DryRun || to.Home && !to.Optional {
		return nil
	}
	held, err := y.server.Catalogue.Held(to.Label, id)
	if err != nil || held {
		return err
	}
	return y.server.Catalogue.NoteHeld(to.Label, id)
}

// holding is what a sink has of a backup.
type holding struct {
	bucket    bool
	plain     bool // among its data is what is no archive
	described bool
	data      []sdk.Object // in ascending order
	sizes     map[string]int64
}

func (y *syncing) look(ctx context.Context, at server.Sink, id catalogue.BackupID) (holding, error) {
	sink, err := y.server.Engine.OpenSink(ctx, y.server.ForStages(), at.Stage)
	if err != nil {
		return holding{}, err
	}
	defer sink.Close()
	has := holding{bucket: sink.Bucket(), sizes: map[string]int64{}}
	for object, err := range sink.List(ctx, catalogue.BackupPrefix(id)) {
		if err != nil {
			return holding{}, err
		}
		if catalogue.Describes(object.Name) {
			has.described = has.described || object.Name == catalogue.InfoObject(id)
			continue
		}
		has.data, has.sizes[object.Name] = append(has.data, object), object.Size
		has.plain = has.plain || object.Name == catalogue.BackupPrefix(id)+"data/PG_VERSION"
	}
	return has, nil
}

// holder finds a sink that has a backup; a zero Sink for none. One that is out of
// reach is passed over, if another has it.
func (y *syncing) holder(ctx context.Context, to server.Sink, id catalogue.BackupID) (server.Sink, holding, error) {
	var errs []error
	for _, from := range y.sources(y.server.BackupSinks(), to) {
		noted, err := y.server.Catalogue.LagOf(from.Label, id)
		if err != nil {
			return server.Sink{}, holding{}, err
		}
		if noted != nil && noted.Lacks != catalogue.LacksWord {
			continue
		}
		has, err := y.look(ctx, from, id)
		if err == nil && len(has.data) > 0 && (from.Home || has.described) {
			return from, has, nil
		}
		errs = append(errs, err)
	}
	return server.Sink{}, holding{}, errors.Join(errs...)
}

// copiedAtOnce bounds how many objects are named to the plugins at once.
const copiedAtOnce = 1000

// copy copies objects of a backup as they are stored. It is noted first that the
// sink does not have all of it.
func (y *syncing) copy(ctx context.Context, from, to server.Sink, id catalogue.BackupID, missing []sdk.Object) error {
	if !to.Home || to.Optional {
		err := y.server.Catalogue.NoteLag(lag(to.Label, id, catalogue.LacksData, "it was being copied from sink "+from.Label))
		if err != nil {
			return err
		}
	}
	known, err := y.checksums(id, missing)
	if err != nil {
		return err
	}
	line := y.server.Only(from)
	line.Lanes = y.server.BackupLine().Lanes
	for part := range slices.Chunk(missing, copiedAtOnce) {
		if err := y.copyPart(ctx, line, to, part, known); err != nil {
			return err
		}
	}
	return nil
}

// checksum is what the catalogue knows of an object's bytes.
type checksum struct {
	size   int64
	crc32c uint32
}

// checksums are those of objects, of which the catalogue has receipts.
func (y *syncing) checksums(id catalogue.BackupID, objects []sdk.Object) (map[string]checksum, error) {
	known := map[string]checksum{}
	_, receipts, err := y.server.Catalogue.Receipts(id)
	if sdk.KindOf(err) == sdk.NotFound {
		return known, nil
	}
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, object := range objects {
		wanted[object.Name] = true
	}
	for receipt, err := range receipts {
		if err != nil {
			return nil, err
		}
		if wanted[receipt.Name] {
			known[receipt.Name] = checksum{receipt.StoredSize, uint32(receipt.StoredCRC32C)}
		}
	}
	return known, nil
}

// copyPart copies some objects. One that turns out to be damaged does not stay.
func (y *syncing) copyPart(ctx context.Context, line pipeline.Line, to server.Sink, objects []sdk.Object, known map[string]checksum) error {
	var selections []host.Selection
	for _, object := range objects {
		selections = append(selections, host.Selection{Name: object.Name, Verbatim: true})
	}
	damaged := ""
	observe := y.observe(func(receipts []sdk.Receipt) error {
		for _, r := range receipts {
			if want, ok := known[r.SourceName]; ok && want != (checksum{r.SourceSize, r.SourceCRC32C}) {
				damaged = r.SourceName
				return sdk.Errorf(sdk.Corrupt, "%s is not what was stored: sink %q gave %d bytes with the CRC-32C %s", damaged, line.Sinks[0].Name, r.SourceSize, catalogue.Checksum(r.SourceCRC32C))
			}
		}
		return nil
	})
	err := y.server.Engine.Restore(ctx, line, selections, y.server.Only(to).Sinks[0], observe)
	if damaged != "" {
		err = errors.Join(err, remove(ctx, y.server, to, damaged))
	}
	return err
}
