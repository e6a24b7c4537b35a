package wal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// file is a file on its way into the archive.
type file struct {
	base   string // its name as it is on disk
	dir    string
	origin Origin
	name   wal.Name // zero if base is not the name of a WAL file

	// inspect fills these in.
	info        fs.FileInfo
	compression string // how it is compressed already

	// Storing it, or comparing it with what is stored, fills these in.
	durable           Outcome // Archived or Known once it is durable in every required sink
	needsRecord       bool
	size              int64  // bytes stored
	storedCompression string // how they are compressed

	outcome Outcome
	reason  string
	aside   string
}

func (f *file) path() string { return filepath.Join(f.dir, f.base) }

// collect lists what may be archived, in the order of names; of two copies the
// received one comes first.
func (r *run) collect() ([]*file, error) {
	layout := r.server.Catalogue.Layout()
	files, err := list(layout.StreamingDirectory, Streaming)
	if err != nil {
		return nil, err
	}
	files = withoutCurrent(files)
	if r.server.Config.WAL.Archive {
		delivered, err := list(layout.IncomingDirectory, Incoming)
		if err != nil {
			return nil, err
		}
		files = append(files, delivered...)
	}
	slices.SortStableFunc(files, func(a, b *file) int { return strings.Compare(a.base, b.base) })
	return files, nil
}

// list returns the files of a directory but hidden and temporary ones.
func list(directory string, origin Origin) ([]*file, error) {
	entries, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, sdk.Errorf(sdk.Denied, "directory of WAL to archive: %w", err)
	}
	var files []*file
	for _, entry := range entries {
		base := entry.Name()
		if strings.HasPrefix(base, ".") || strings.HasSuffix(base, ".tmp") {
			continue
		}
		f := &file{base: base, dir: directory, origin: origin}
		if name, err := wal.ParseName(base); err == nil {
			f.name = name
		}
		files = append(files, f)
	}
	return files, nil
}

// withoutCurrent leaves out the partial segments of the newest timeline being
// received: they are the receiver's. Just before it gives a finished segment
// its name there are two of them. Those of older timelines will not grow any
// more: the server went on elsewhere.
func withoutCurrent(files []*file) []*file {
	var newest wal.Timeline
	for _, f := range files {
		if f.name.Kind == wal.KindSegment || f.name.Kind == wal.KindPartial {
			newest = max(newest, f.name.Timeline)
		}
	}
	return slices.DeleteFunc(files, func(f *file) bool {
		return f.name.Kind == wal.KindPartial && f.name.Timeline == newest
	})
}
