package wal

import (
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// identifyCluster learns whose WAL the archive holds: from identity.json, or
// before the first backup from a segment that is archived.
func (r *run) identifyCluster() error {
	identity, err := r.server.Catalogue.ReadIdentity()
	switch {
	case err == nil:
		r.cluster = cluster{identity.SystemID, filepath.Join(r.server.Catalogue.Layout().BackupDirectory, "identity.json")}
		return nil
	case sdk.KindOf(err) != sdk.NotFound:
		return err
	}
	newest, err := r.server.Catalogue.NewestPerTimeline()
	if err != nil {
		return err
	}
	for _, name := range newest {
		path := r.server.Catalogue.WALPath(name)
		if header, ok := storedHeader(path); ok {
			return r.cluster.check(header.SystemID)
		}
	}
	return nil
}

// storedHeader reads the header of an archived segment. What a transform made
// unreadable tells nothing.
func storedHeader(path string) (wal.PageHeader, bool) {
	stored, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return wal.PageHeader{}, false
	}
	defer stored.Close()
	plain, _, err := codec.Decoded(stored)
	if err != nil {
		return wal.PageHeader{}, false
	}
	defer plain.Close()
	beginning := make([]byte, wal.LongPageHeaderSize)
	if _, err := io.ReadFull(plain, beginning); err != nil {
		return wal.PageHeader{}, false
	}
	header, err := readHeader(beginning)
	return header, err == nil
}
