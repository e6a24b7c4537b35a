package reference

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/sdk"
)

// BaseBackup makes up a base backup.
type BaseBackup struct{ Server sdk.Server }

// Objects is how many files it has beside those that every backup has.
const Objects = 20

// Backup emits it.
func (b BaseBackup) Backup(ctx context.Context, req sdk.BackupRequest, emit sdk.Emitter) (sdk.BackupResult, error) {
	if b.Server.Conninfo.Reveal() == "unreachable" {
		return sdk.BackupResult{}, sdk.Errorf(sdk.Unavailable, "server %s does not answer", b.Server.Name)
	}
	begun := time.Now()
	files, err := Files(req.Layout, req.ArchiveSize)
	if err != nil {
		return sdk.BackupResult{}, err
	}
	expected := int64(0)
	for _, content := range files {
		expected += int64(len(content))
	}
	emit.Expect(expected)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(req.Jobs, 1))
	for name, content := range files {
		kind := sdk.KindFile
		if req.Layout == sdk.LayoutTar {
			kind = sdk.KindTar
		}
		group.Go(func() error {
			return emit.Emit(ctx, sdk.Object{Name: req.Prefix + name, Kind: kind, Size: int64(len(content))}, bytes.NewReader(content))
		})
	}
	if err := group.Wait(); err != nil {
		return sdk.BackupResult{}, err
	}
	return Result(begun), nil
}

// Result describes it.
func Result(begun time.Time) sdk.BackupResult {
	return sdk.BackupResult{
		SystemID: "7000000000000000001", Timeline: 1, BeginLSN: 0x2000028, EndLSN: 0x2000138, BeginTime: begun, EndTime: time.Now(),
		Label: "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n",
	}
}

// Files are its files by their names, archives of at most a size unless it is 0.
func Files(layout sdk.BackupLayout, archiveSize int64) (map[string][]byte, error) {
	files := map[string][]byte{
		"data/PG_VERSION": []byte("15\n"), "data/backup_label": []byte("START WAL LOCATION: 0/2000028\n"), "data/global/pg_control": make([]byte, 8192),
	}
	for i := range Objects {
		files[fmt.Sprintf("data/base/5/%d", 16384+i)] = bytes.Repeat([]byte{byte(i)}, 256<<10)
	}
	if layout != sdk.LayoutTar {
		return files, nil
	}
	archives := map[string][]byte{}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	end := func() error {
		name := "data/base.tar"
		if n := len(archives); n > 0 {
			name = fmt.Sprintf("data/base_%04d.tar", n)
		}
		err := w.Close()
		archives[name] = bytes.Clone(b.Bytes())
		b.Reset()
		w = tar.NewWriter(&b)
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) { // data/global/pg_control comes last
		content := files[name]
		if archiveSize > 0 && b.Len() > 0 && int64(b.Len()+len(content)+4*512) > archiveSize {
			if err := end(); err != nil {
				return nil, err
			}
		}
		h := &tar.Header{Name: strings.TrimPrefix(name, "data/"), Mode: 0o600, Size: int64(len(content))}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	return archives, end()
}
