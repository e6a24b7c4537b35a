package wal

import (
	"context"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hooks"
	"github.com/barman-go/barman/sdk"
)

// operation is what hooks know archiving as.
const operation = "archive"

// hooked tells whether the server has hooks for archiving.
func (r *run) hooked() bool { return hooks.Configured(r.server, operation) }

// notifyBefore tells the hooks that a file is about to be archived. One that
// objects ends the run.
func (r *run) notifyBefore(ctx context.Context, f *file) error {
	return r.notify(ctx, f, sdk.PhasePre, f.path(), f.info.Size(), f.compression, nil)
}

// notifyAfter tells the hooks what became of it.
func (r *run) notifyAfter(ctx context.Context, f *file, cause error) {
	// In this phase errors of hooks are logged where they happen.
	_ = r.notify(context.WithoutCancel(ctx), f, sdk.PhasePost, r.server.Catalogue.WALPath(f.name), f.size, f.storedCompression, cause)
}

func (r *run) notify(ctx context.Context, f *file, phase sdk.HookPhase, path string, size int64, compression string, cause error) error {
	if !r.hooked() {
		return nil
	}
	event := sdk.Event{Operation: operation, Phase: phase, Values: hooks.ForWAL(path, catalogue.WALRecord{
		Name: f.name, Size: size, ModTime: f.info.ModTime(), Compression: compression,
	})}
	if cause != nil {
		event.Error = cause.Error()
	}
	return hooks.Notify(ctx, r.server, event)
}
