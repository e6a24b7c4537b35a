package recovery

import (
	"context"
	"path/filepath"

	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/stored"
)

// restoreData unpacks the backup into the destination.
func (r *run) restoreData(ctx context.Context, form stored.Form) error {
	line := r.line
	var err error
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
		r.sizes = known.sizes(form.Suffix)
	}
	switch {
	case r.reuse && !form.Tar:
		err = r.revise(ctx, line, form, known, observe)
	case r.host.Remote() != "":
		err = r.sendData(ctx, line, form.Selections, observe)
	default:
		err = r.server.Engine.Restore(ctx, line, form.Selections, r.target(), observe)
	}
	if err != nil {
		return err
	}
	if known != nil {
		if err := known.finish(); err != nil {
			return err
		}
	}
	// PostgreSQL would make the tablespaces' links anew from this file, to where
	// they were on the original server.
	return r.host.Remove(filepath.Join(r.request.Destination, "tablespace_map"))
}

// target is the sink that restores the backup.
func (r *run) target() pipeline.Stage {
	values := pipeline.Values{"path": r.request.Destination, "unpack": true, "reuse": r.reuse, "bandwidth_limit": r.request.BandwidthLimit}
	if len(r.mounts) > 0 {
		values["mounts"] = r.mounts
	}
	return pipeline.Stage{Kind: "sink", Name: "posix", Settings: values}
}

// walTarget is the sink that copies WAL into a directory.
func (r *run) walTarget(path string) pipeline.Stage {
	return pipeline.Stage{Kind: "sink", Name: "posix", Settings: pipeline.Values{"path": path, "unpack": true, "bandwidth_limit": r.request.BandwidthLimit}}
}
