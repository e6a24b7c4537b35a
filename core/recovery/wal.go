package recovery

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/stored"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/wal"
)

const (
	stagingDirectory = "barman_wal"
	partialSuffix    = ".partial"
	version10        = 100000
)

// provideWAL makes sure that the recovered server gets the WAL that it needs,
// and returns the commands that do the rest.
func (r *run) provideWAL(ctx context.Context) (restore, end string, err error) {
	if err := makeDirectory(r.host, filepath.Join(r.request.Destination, r.walDirectory(), "archive_status")); err != nil {
		return "", "", err
	}
	if r.request.GetWAL != nil {
		restore, err = r.restoreCommand()
		return restore, "", err
	}
	directory := cmp.Or(r.request.StagingWAL, filepath.Join(r.request.Destination, stagingDirectory))
	if r.request.Standby {
		directory = filepath.Join(r.request.Destination, r.walDirectory())
	} else {
		restore, end = fromDirectory(directory)
	}
	r.report.WALDirectory = directory
	return restore, end, r.restoreWAL(ctx, directory)
}

// noteArchived tells the recovered server that files in its directory for WAL are
// archived (PostgreSQL's src/backend/access/transam/xlogarchive.c): it would
// archive them again.
func (r *run) noteArchived(ctx context.Context, directory string, whole map[string]bool) error {
	status := filepath.Join(directory, "archive_status")
	var names []string
	for name, archived := range whole {
		if archived {
			names = append(names, name+".done")
		}
	}
	if r.host.Remote() != "" {
		u, err := r.upload(ctx)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err = u.put(ctx, filepath.Join(status, name), sdk.Object{}, strings.NewReader("")); err != nil {
				break
			}
		}
		return u.close(err)
	}
	for _, name := range names {
		f, err := os.OpenFile(filepath.Join(status, name), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return durable.SyncDirectory(status)
}

// restoreWAL makes the WAL that recovery needs available in a directory.
func (r *run) restoreWAL(ctx context.Context, directory string) (err error) {
	if err := makeDirectory(r.host, directory); err != nil {
		return err
	}
	// What has to be looked at before it is of use is on this host meanwhile.
	landing := directory
	if r.host.Remote() != "" {
		if landing, err = os.MkdirTemp(r.request.StagingPath, "barman_wal-"); err != nil {
			return sdk.Errorf(sdk.Denied, "a place for WAL on its way: %w; --staging-path names another one", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(landing)) }()
	}
	// What was received or delivered moves into the archive, never back: looked at
	// in this order, no segment can be missed while others archive.
	received, err := r.copyReceived(landing)
	if err != nil {
		return err
	}
	if err := r.copyDelivered(ctx, landing, received); err != nil {
		return err
	}
	archived, err := r.walSelections()
	if err != nil {
		return err
	}
	selections, err := preferred(landing, received, archived)
	if err != nil {
		return err
	}
	whole := received
	var finished, unfinished []host.Selection
	for _, s := range selections {
		partial := partialSelection(s)
		whole[strings.TrimSuffix(s.Rename, partialSuffix)] = !partial
		if partial {
			unfinished = append(unfinished, s)
		} else {
			finished = append(finished, s)
		}
	}
	if err := r.copyArchived(ctx, unfinished, landing, hostfs.Local{}); err != nil {
		return err
	}
	if err := r.copyArchived(ctx, finished, directory, r.host); err != nil {
		return err
	}
	for name := range whole {
		if !whole[name] {
			if err := r.settlePartial(filepath.Join(landing, name)); err != nil {
				return err
			}
		}
	}
	r.report.WALFiles = len(whole)
	if landing != directory {
		if err := r.ship(ctx, landing, directory); err != nil {
			return err
		}
	}
	if r.request.Standby {
		return r.noteArchived(ctx, directory, whole)
	}
	return nil
}

// copyArchived restores WAL of the archive into a directory of a host.
func (r *run) copyArchived(ctx context.Context, selections []host.Selection, directory string, to hostfs.Host) error {
	if len(selections) == 0 {
		return nil
	}
	line := r.server.WALLine()
	line.Transforms = walTransforms(line.Transforms)
	line.Lanes = r.line.Lanes
	if to.Remote() == "" {
		return r.server.Engine.Restore(ctx, line, selections, r.walTarget(directory), pipeline.Observer{})
	}
	return r.send(ctx, line, selections, pipeline.Observer{}, func(name string) string { return filepath.Join(directory, name) })
}

// preferred holds what was received, by whether it is whole, against what is
// archived under the same names, and returns what to restore of the archive. A
// whole segment comes before a partial one, of two whole ones that of the
// archive is taken. Two partial ones are to be compared: the archived one gets
// the suffix.
func preferred(directory string, received map[string]bool, archived []host.Selection) ([]host.Selection, error) {
	var chosen []host.Selection
	for _, s := range archived {
		whole, both := received[s.Rename]
		switch {
		case both && !partialSelection(s):
			if err := durable.Remove(filepath.Join(directory, s.Rename)); err != nil {
				return nil, err
			}
			delete(received, s.Rename)
		case both && whole:
			continue
		case both:
			s.Rename += partialSuffix
		}
		chosen = append(chosen, s)
	}
	return chosen, nil
}

// partialSelection tells whether an archived file is a partial segment.
func partialSelection(s host.Selection) bool { return strings.HasSuffix(s.Name, partialSuffix) }

// walDirectory is the name of the directory for WAL, which changed with
// PostgreSQL 10.
func (r *run) walDirectory() string {
	if r.request.Backup.Version < version10 {
		return "pg_xlog"
	}
	return "pg_wal"
}

// walTransforms are those of the configuration; WAL that was compressed by
// another program, or when the configuration was another, is recognised too.
func walTransforms(configured []pipeline.Stage) []pipeline.Stage {
	for _, s := range configured {
		if s.Name == stored.Decompress.Name {
			return configured
		}
	}
	return append(configured, stored.Decompress)
}

// walSelections names what to read of the archive.
func (r *run) walSelections() ([]host.Selection, error) {
	wanted, err := r.request.Target.wanted(r.server, r.request.Backup)
	if err != nil {
		return nil, err
	}
	var selections []host.Selection
	for file, err := range r.server.Catalogue.RequiredWAL(r.request.Backup, wanted) {
		if err != nil {
			return nil, err
		}
		if file.Name.Kind == wal.KindBackupHistory {
			continue
		}
		selections = append(selections, host.Selection{Name: catalogue.WALObject(file.Name), Rename: strings.TrimSuffix(file.Name.String(), partialSuffix)})
	}
	return withoutShadowed(selections), nil
}

// withoutShadowed drops an archived partial segment beside the whole one.
func withoutShadowed(selections []host.Selection) []host.Selection {
	whole := map[string]bool{}
	for _, s := range selections {
		if !partialSelection(s) {
			whole[s.Rename] = true
		}
	}
	kept := selections[:0]
	for _, s := range selections {
		if !partialSelection(s) || !whole[s.Rename] {
			kept = append(kept, s)
		}
	}
	return kept
}
