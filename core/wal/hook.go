package wal

import (
	"context"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hooks"
)

// notifyBefore tells the hooks that a file is about to be archived. One that
// objects ends the run.
func (r *run) notifyBefore(ctx context.Context, f *file) error {
	return r.hooks.Before(ctx, r.aboutFile(f, f.path(), f.info.Size(), f.compression))
}

// notifyAfter tells the hooks what became of it.
func (r *run) notifyAfter(ctx context.Context, f *file, cause error) {
	size, compression := f.size, f.storedCompression
	if cause != nil {
		size, compression = f.info.Size(), f.compression
	}
	r.hooks.After(ctx, r.aboutFile(f, r.server.Catalogue.WALPath(f.name), size, compression), cause)
}

func (r *run) aboutFile(f *file, path string, size int64, compression string) map[string]string {
	if !r.hooks.Configured() {
		return nil
	}
	return hooks.AboutWAL(path, catalogue.WALRecord{Name: f.name, Size: size, ModTime: f.info.ModTime(), Compression: compression})
}
