package cloud

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
)

// Upload asks for a copy of a backup that a Barman server has taken.
type Upload struct {
	ID catalogue.BackupID
	// Directory is the backup's in the catalogue of that server, Info its
	// backup.info.
	Directory, Info string
	Jobs            int
	ArchiveSize     int64
	Compression     Compression
	Progress        func(pipeline.Progress)
	Logger          hclog.Logger
}

// Upload copies a backup of plain files into the bucket. Its backup.info comes last,
// byte for byte. One that is there already is fine; what an upload that failed has
// left is replaced.
//
// Errors: Invalid for a backup that cannot be uploaded, *BackupFailedError.
func (s *Store) Upload(ctx context.Context, u Upload) error {
	info, err := os.ReadFile(u.Info)
	if err != nil {
		return sdk.Errorf(sdk.Invalid, "the backup's description: %w", err)
	}
	b, err := catalogue.ParseInfo(u.ID, info)
	if err != nil {
		return err
	}
	if packed, err := filepath.Glob(filepath.Join(u.Directory, "data", "base.tar*")); err != nil || len(packed) > 0 {
		return sdk.Errorf(sdk.Invalid, "backup %s is stored in tar files (%s): only one of plain files can be uploaded; have the server's pipeline store it in the bucket as well, with a second sink",
			b.ID, strings.Join(packed, ", "))
	}
	done, err := s.uploaded(ctx, u.ID, info)
	if done || err != nil {
		return err
	}
	if err := s.deleteIf(ctx, catalogue.BackupPrefix(u.ID), func(sdk.Object) bool { return true }); err != nil {
		return err
	}
	if err := s.upload(ctx, u, info); err != nil {
		return &BackupFailedError{u.ID, err}
	}
	return nil
}

// uploaded tells whether the bucket describes the backup with the same bytes.
func (s *Store) uploaded(ctx context.Context, id catalogue.BackupID, info []byte) (bool, error) {
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return false, err
	}
	defer sink.Close()
	name := catalogue.InfoObject(id)
	found, err := readSmall(ctx, sink, []string{name})
	if sdk.KindOf(err) == sdk.NotFound {
		return false, nil
	}
	return err == nil && bytes.Equal(found[name], info), err
}

func (s *Store) upload(ctx context.Context, u Upload, info []byte) error {
	line := pipeline.Line{
		Server: s.server, Source: pipeline.Stage{Kind: "source", Name: "pgdata", Settings: pipeline.Values{"copy": u.Directory}},
		Transforms: u.Compression.archives(), Sinks: []pipeline.Stage{s.sink}, Lanes: max(1, u.Jobs),
	}
	copying, err := s.engine.OpenBackup(ctx, line)
	if err != nil {
		return err
	}
	defer copying.Close()
	size := u.ArchiveSize
	if size == 0 {
		size = DefaultArchiveSize
	}
	arrived := newReceipts(line)
	_, err = copying.Run(ctx, sdk.BackupRequest{Prefix: catalogue.BackupPrefix(u.ID), Layout: sdk.LayoutTar, ArchiveSize: size},
		pipeline.Observer{Progress: u.Progress, Receipts: arrived.keep})
	if err != nil {
		return err
	}
	if err := s.put(ctx, catalogue.ReceiptsObject(u.ID), arrived.text()); err != nil {
		return err
	}
	return s.put(ctx, catalogue.InfoObject(u.ID), info)
}
