package recovery

import (
	"context"
	"path/filepath"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/stored"
)

// restoreData unpacks the backup into the destination.
func (r *run) restoreData(ctx context.Context) error {
	line := r.line
	form, err := stored.Find(ctx, r.server, line, r.request.Backup)
	if err != nil {
		return err
	}
	if line.Transforms, err = form.Transforms(r.server, line.Transforms, r.request.Backup); err != nil {
		return err
	}
	observe := pipeline.Observer{Progress: r.request.Progress}
	known, err := r.receipts(form.Selections)
	if err != nil {
		return err
	}
	if known != nil {
		observe.Receipts = known.check
	}
	if err := r.server.Engine.Restore(ctx, line, form.Selections, target(r.request.Destination, r.mounts), observe); err != nil {
		return err
	}
	if known != nil {
		if err := known.finish(); err != nil {
			return err
		}
	}
	// PostgreSQL would make the tablespaces' links anew from this file, to where
	// they were on the original server.
	return durable.Remove(filepath.Join(r.request.Destination, "tablespace_map"))
}

// target is the sink that restores into a directory.
func target(directory string, mounts map[string]string) pipeline.Stage {
	values := pipeline.Values{"path": directory, "unpack": true}
	if len(mounts) > 0 {
		values["mounts"] = mounts
	}
	return pipeline.Stage{Kind: "sink", Name: "posix", Settings: values}
}
