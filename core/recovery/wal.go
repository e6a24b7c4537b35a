package recovery

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/wal"
)

const (
	stagingDirectory = "barman_wal"
	version10        = 100000
)

// restoreWAL makes the WAL that recovery needs available and returns the
// directory from which restore_command is to take it; empty for a standby,
// which finds it in pg_wal.
func (r *run) restoreWAL(ctx context.Context) (staged string, err error) {
	directory := filepath.Join(r.request.Destination, stagingDirectory)
	staged = directory
	if r.request.Standby {
		directory, staged = filepath.Join(r.request.Destination, r.walDirectory()), ""
	}
	if err := makeDirectory(directory); err != nil {
		return "", err
	}
	if err := makeDirectory(filepath.Join(r.request.Destination, r.walDirectory(), "archive_status")); err != nil {
		return "", err
	}
	selections, err := r.walSelections()
	if err != nil {
		return "", err
	}
	r.report.WALFiles = len(selections)
	if len(selections) > 0 {
		line := r.server.WALLine()
		line.Transforms = walTransforms(line.Transforms)
		line.Lanes = r.line.Lanes
		if err := r.server.Engine.Restore(ctx, line, selections, target(directory, nil), pipeline.Observer{}); err != nil {
			return "", err
		}
	}
	return staged, r.usePartial(directory)
}

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
		if s.Name == decompress.Name {
			return configured
		}
	}
	return append(configured, decompress)
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
		name := file.Name.String()
		selections = append(selections, host.Selection{Name: path.Join("wals", file.Name.HashDir(), name), Rename: strings.TrimSuffix(name, ".partial")})
	}
	return withoutShadowed(selections), nil
}

// withoutShadowed drops an archived partial segment beside the whole one.
func withoutShadowed(selections []host.Selection) []host.Selection {
	whole := map[string]bool{}
	for _, s := range selections {
		if path.Base(s.Name) == s.Rename {
			whole[s.Rename] = true
		}
	}
	kept := selections[:0]
	for _, s := range selections {
		if path.Base(s.Name) == s.Rename || !whole[s.Rename] {
			kept = append(kept, s)
		}
	}
	return kept
}

// usePartial adds the segments that were still being received: what was
// streamed and never archived is the difference between some and no loss.
func (r *run) usePartial(directory string) error {
	streaming := r.server.Catalogue.Layout().StreamingDirectory
	entries, err := os.ReadDir(streaming)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name, err := wal.ParseName(entry.Name())
		if err != nil || !entry.Type().IsRegular() || name.Kind == wal.KindBackupHistory {
			continue
		}
		if info, err := entry.Info(); err != nil || info.Size() == 0 {
			continue
		}
		to := filepath.Join(directory, strings.TrimSuffix(name.String(), ".partial"))
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := durable.CopyFile(filepath.Join(streaming, entry.Name()), to, 0o600); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				// The receiver finished it in the meantime; it is in the archive next time.
				continue
			}
			return err
		}
		r.report.WALFiles++
	}
	return nil
}
