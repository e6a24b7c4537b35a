package wal

import (
	"context"
	"strconv"

	"github.com/barman-go/barman/core/hooks"
	"github.com/barman-go/barman/sdk"
)

// operation is what hooks know archiving as.
const operation = "archive"

// hooked tells whether the server has hooks for archiving.
func (r *run) hooked() bool {
	for _, hook := range r.server.Config.Hooks {
		if hook.Event == string(sdk.PhasePre)+"_"+operation || hook.Event == string(sdk.PhasePost)+"_"+operation {
			return true
		}
	}
	return false
}

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
	event := sdk.Event{Operation: operation, Phase: phase, Values: map[string]string{
		"SEGMENT":     f.base,
		"FILE":        path,
		"SIZE":        strconv.FormatInt(size, 10),
		"TIMESTAMP":   strconv.FormatFloat(float64(f.info.ModTime().UnixMicro())/1e6, 'f', -1, 64),
		"COMPRESSION": compression,
	}}
	if cause != nil {
		event.Error = cause.Error()
	}
	return hooks.Notify(ctx, r.server, event)
}
