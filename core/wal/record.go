package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// record makes files that are durable in the archive known in xlog.db and then,
// only then, removes them from where they came. It passes over other files.
func (r *run) record(ctx context.Context, candidates []*file) error {
	var files []*file
	var records []catalogue.WALRecord
	once := map[string]bool{}
	for _, f := range candidates {
		if f.original != nil && f.original.durable != "" {
			f.durable = Known
		}
		if f.durable == "" || f.outcome != "" {
			continue
		}
		files = append(files, f)
		if f.needsRecord && !once[f.base] { // two copies, both archived before, are one file
			once[f.base] = true
			records = append(records, catalogue.WALRecord{Name: f.name, Size: f.size, ModTime: f.info.ModTime(), Compression: f.storedCompression})
		}
	}
	if err := r.server.Catalogue.Append(ctx, records...); err != nil {
		return err
	}
	if err := r.removeAll(files); err != nil {
		return err
	}
	for _, f := range files {
		f.outcome = f.durable
	}
	return nil
}

// removeAll removes files from where they came, for good. A pushed one is not
// ours to remove.
func (r *run) removeAll(files []*file) error {
	ours := slices.DeleteFunc(slices.Clone(files), func(f *file) bool { return f.origin == Pushed })
	for _, f := range ours {
		if err := r.remove(f); err != nil {
			return err
		}
	}
	return syncDirectories(ours)
}

// remove removes a file whose bytes are in the archive. One that was written to
// meanwhile stays: the next run compares it with what is stored.
func (r *run) remove(f *file) error {
	info, err := os.Lstat(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !f.unchanged(info) {
		r.server.Logger.Error("a WAL file was written to while it was archived; it stays and will be compared with what is stored", "file", f.path())
		return nil
	}
	if err == nil {
		err = os.Remove(f.path())
	}
	if err != nil {
		return sdk.Errorf(sdk.Denied, "WAL file %s is archived and cannot be removed: %w", f.base, err)
	}
	return nil
}

// syncDirectories makes removals durable.
func syncDirectories(files []*file) error {
	synced := map[string]bool{}
	for _, f := range files {
		if synced[f.dir] {
			continue
		}
		synced[f.dir] = true
		if err := durable.SyncDirectory(f.dir); err != nil {
			return fmt.Errorf("archived WAL files are removed: %w", err)
		}
	}
	return nil
}

// index tells which files xlog.db has a line for.
type index struct {
	catalogue *catalogue.Server
	queue     *queue

	recent map[string]bool // the newest lines; nil until somebody asks
	found  map[string]bool // those of the queue's names that have one; nil likewise
	as     int             // the queue's refills at the time
}

// has looks among the newest lines first: what comes by two ways comes twice
// within a short time. Only for an older file it reads all of xlog.db, once for as
// many files as the queue holds.
func (i *index) has(name wal.Name) (bool, error) {
	if i.recent == nil {
		recent := map[string]bool{}
		err := i.note(i.catalogue.RecentRecords(), recent, func(string) bool { return true })
		if err != nil {
			return false, err
		}
		i.recent = recent
	}
	if i.recent[name.String()] {
		return true, nil
	}
	if i.found == nil || i.as != i.queue.refills {
		found, wanted := map[string]bool{}, i.queue.names()
		err := i.note(i.catalogue.WALRecords(), found, func(name string) bool { return wanted[name] })
		if err != nil {
			return false, err
		}
		i.found, i.as = found, i.queue.refills
	}
	return i.found[name.String()], nil
}

// note notes the names of records that are wanted. Damaged lines are passed over.
func (i *index) note(records iter.Seq2[catalogue.WALRecord, error], in map[string]bool, wanted func(string) bool) error {
	for record, err := range records {
		if err != nil && sdk.KindOf(err) != sdk.Corrupt {
			return err
		}
		if name := record.Name.String(); err == nil && wanted(name) {
			in[name] = true
		}
	}
	return nil
}
