package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/server"
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
		if f.durable == "" || f.outcome != "" {
			continue
		}
		files = append(files, f)
		if f.needsRecord && !once[f.base] { // a received and a delivered copy are one file
			once[f.base] = true
			records = append(records, catalogue.WALRecord{Name: f.name, Size: f.size, ModTime: f.info.ModTime(), Compression: f.storedCompression})
		}
	}
	if err := r.server.Catalogue.Append(ctx, records...); err != nil {
		return err
	}
	for _, record := range records {
		r.index.add(record.Name)
	}
	for _, f := range files {
		if err := r.remove(f); err != nil {
			return err
		}
	}
	if err := syncDirectories(files); err != nil {
		return err
	}
	for _, f := range files {
		f.outcome = f.durable
		r.notifyAfter(ctx, f, nil)
		r.done(f)
	}
	return nil
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

// index knows which of a run's files xlog.db has a line for.
type index struct {
	server *server.Server
	wanted map[string]bool
	found  map[string]bool // nil until somebody asks
}

func newIndex(s *server.Server, files []*file) *index {
	wanted := map[string]bool{}
	for _, f := range files {
		wanted[f.base] = true
	}
	return &index{server: s, wanted: wanted}
}

// has reads xlog.db the first time it is called.
func (i *index) has(name wal.Name) (bool, error) {
	if i.found == nil {
		found := map[string]bool{}
		for record, err := range i.server.Catalogue.WALRecords() {
			if err != nil && sdk.KindOf(err) != sdk.Corrupt {
				return false, err
			}
			if err == nil && i.wanted[record.Name.String()] {
				found[record.Name.String()] = true
			}
		}
		i.found = found
	}
	return i.found[name.String()], nil
}

// add notes a line that was written.
func (i *index) add(name wal.Name) {
	if i.found != nil {
		i.found[name.String()] = true
	}
}
