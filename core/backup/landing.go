package backup

import (
	"context"
	"strings"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
)

// fileSource is the source that copies files as they are.
const fileSource = "rsync"

// mode is how the backup is taken, in the words of Python Barman, in which one in
// tar files is of the method postgres.
func (r *run) mode(layout sdk.BackupLayout) string {
	if r.line.Source.Name == fileSource && layout == sdk.LayoutPlain {
		return catalogue.ModeRsyncConcurrent
	}
	return catalogue.ModePostgres
}

// land copies straight into the backup's directory. What is there is what the
// sink sealed: there are no receipts.
func (r *run) land(ctx context.Context, request sdk.BackupRequest) (sdk.BackupResult, error) {
	r.warnOfIncludedFiles()
	reference, err := r.reference()
	if err != nil {
		return sdk.BackupResult{}, err
	}
	result, sealed, err := r.copying.Land(ctx, request, reference, pipeline.Observer{Progress: r.options.Progress})
	if err != nil {
		return result, err
	}
	r.stored, r.unshared = sealed.Size, &sealed.Unshared
	return result, Doubt(r.line.Source.Name, result, r.facts)
}

// reference is the backup before: the newest whose data is complete.
func (r *run) reference() (pipeline.Reference, error) {
	var newest *catalogue.Backup
	for entry, err := range r.server.Catalogue.Entries() {
		if err != nil {
			return pipeline.Reference{}, err
		}
		b := entry.Backup
		if b != nil && b.State.CopyDone() && b.Compression == "" && b.SystemID == r.backup.SystemID && (newest == nil || b.ID > newest.ID) {
			newest = b
		}
	}
	if newest == nil || newest.BeginTime.IsZero() {
		return pipeline.Reference{}, nil
	}
	return pipeline.Reference{Prefix: prefix(newest.ID), Begin: newest.BeginTime}, nil
}

// warnOfIncludedFiles tells of configuration files that are in no backup: only the
// three main ones are known to be the server's.
func (r *run) warnOfIncludedFiles() {
	inside := strings.TrimSuffix(r.facts.DataDirectory, "/") + "/"
	for _, file := range r.facts.IncludedFiles {
		if !strings.HasPrefix(file, inside) {
			r.server.Logger.Warn("a configuration file that the main one includes lies outside of the data directory and is not in the backup", "server", r.server.Name(), "file", file)
		}
	}
}
