package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
)

// describeCopies stores the backup's metadata beside its data in the further
// sinks, so that each of them holds a backup that can be recovered if the
// catalogue is lost. The first sink's is the catalogue's own.
func (r *run) describeCopies(ctx context.Context) error {
	line := r.server.BackupLine()
	for i, sink := range line.Sinks {
		if i == 0 || slices.ContainsFunc(r.lost, func(l pipeline.Lost) bool { return l.Sink == i }) {
			continue
		}
		err := r.describeCopy(ctx, pipeline.Line{Server: line.Server, Sinks: []pipeline.Stage{{Kind: sink.Kind, Name: sink.Name, Settings: sink.Settings}}})
		if err != nil && sink.Optional {
			r.server.Logger.Warn("an optional sink has the backup's data, but not its description", "backup", r.backup.ID, "sink", sink.Name, "error", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) describeCopy(ctx context.Context, line pipeline.Line) error {
	w, err := r.server.Engine.OpenWriter(ctx, line, pipeline.Observer{})
	if err != nil {
		return err
	}
	return errors.Join(r.putMetadata(ctx, w), w.Close())
}

func (r *run) putMetadata(ctx context.Context, w *pipeline.Writer) error {
	for _, name := range []string{catalogue.ReceiptsName, "backup.info"} {
		content, err := os.ReadFile(filepath.Join(r.server.Catalogue.Directory(r.backup.ID), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("metadata of the backup: %w", err)
		}
		object := sdk.Object{Name: prefix(r.backup.ID) + name, Mode: 0o600, Size: int64(len(content)), Replace: true, Verbatim: true}
		if _, err := w.Put(ctx, object, bytes.NewReader(content)); err != nil {
			return err
		}
	}
	return nil
}
