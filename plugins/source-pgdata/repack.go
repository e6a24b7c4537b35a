package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/datadir"
	"github.com/barman-go/barman/sdk/wal"
)

// repack emits a backup of plain files that lies in a directory: what it knows of
// the backup is what its backup_label and pg_control say.
func (s *Source) repack(ctx context.Context, request sdk.BackupRequest, emit sdk.Emitter) (sdk.BackupResult, error) {
	data := filepath.Join(s.config.Copy, "data")
	control, err := readControl(filepath.Join(data, datadir.Control))
	if err != nil {
		return sdk.BackupResult{}, sdk.Errorf(kindOr(err, sdk.Invalid), "%s holds no backup of plain files: %w", s.config.Copy, unreadable(err))
	}
	result := sdk.BackupResult{SystemID: strconv.FormatUint(control.systemID, 10)}
	label, err := os.ReadFile(filepath.Join(data, datadir.Label))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return result, unreadable(err)
	}
	if result.Label = string(label); result.Label != "" {
		if result.BeginLSN, result.Timeline, err = beginOf(result.Label); err != nil {
			return result, err
		}
	}
	t := &transfer{packer: newPacker(emit, request, workersFor(request), nil), logger: hclog.FromContext(ctx), directory: data}
	spaces, err := namesIn(s.config.Copy)
	if err != nil {
		return result, unreadable(err)
	}
	for _, name := range spaces {
		oid, err := strconv.ParseUint(name, 10, 32)
		if err != nil || oid == 0 {
			continue
		}
		root := filepath.Join(s.config.Copy, name)
		result.Tablespaces = append(result.Tablespaces, sdk.Tablespace{OID: uint32(oid), Location: root})
		t.trees = append(t.trees, tree{oid: uint32(oid), root: root, list: whole{}})
	}
	t.trees = append(t.trees, tree{root: data, list: whole{}, later: []string{datadir.Control, datadir.Manifest}})
	if err := t.repack(ctx); err != nil {
		return result, err
	}
	return result, t.passManifest(ctx)
}

// whole leaves nothing out but the links to tablespaces, which are backed up by
// themselves: whoever made the backup has left out the rest.
type whole struct{}

// Excludes tells the links.
func (whole) Excludes(name string) bool { return filepath.Dir(name) == "pg_tblspc" }

func (t *transfer) repack(ctx context.Context) error {
	group, ctx := t.start(ctx)
	var err error
	select {
	case <-t.packer.drained:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	var control *member
	if err == nil {
		control, err = inMemory(filepath.Join(t.directory, datadir.Control), datadir.Control)
	}
	return t.conclude(ctx, group, err, control)
}

// passManifest emits the manifest that the backup has, if it has one.
func (t *transfer) passManifest(ctx context.Context) error {
	m := &member{path: filepath.Join(t.directory, datadir.Manifest)}
	present, err := m.open()
	if err != nil || !present {
		return err
	}
	defer m.file.Close() // it was only read from
	return t.packer.emit.Emit(ctx, sdk.Object{
		Name: t.packer.request.Prefix + "data/" + datadir.Manifest, Mode: 0o600, Size: m.size, Verbatim: t.packer.request.Layout != sdk.LayoutPlain,
	}, newContent(m, nil))
}

// beginOf reads the first line of a backup_label:
// "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)".
func beginOf(label string) (wal.LSN, wal.Timeline, error) {
	line, _, _ := strings.Cut(label, "\n")
	rest, isBegin := strings.CutPrefix(line, "START WAL LOCATION: ")
	position, file, _ := strings.Cut(rest, " (file ")
	lsn, err := wal.ParseLSN(position)
	name, nameErr := wal.ParseName(strings.TrimSuffix(file, ")"))
	if err = errors.Join(err, nameErr); !isBegin || err != nil {
		return 0, 0, sdk.Errorf(sdk.Corrupt, "the backup's %s begins with %.100q", datadir.Label, line)
	}
	return lsn, name.Timeline, nil
}
