package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/cloud"
)

func newCloudBackupShowCommand(a *app) *cobra.Command {
	o := cloudFlags{patience: brief}
	cmd := &cobra.Command{
		Use:   "backup-show SOURCE_URL SERVER_NAME BACKUP_ID",
		Short: "Show what is known of a backup in a bucket",
		Long: `Show what is known of a backup in a bucket.

` + cloudBackupHelp + `

` + cloudExitCodesHelp,
		Example: "  barman-cloud-backup-show s3://backups/pg main latest\n  barman-cloud-backup-show --format json s3://backups/pg main 20260102T030405",
	}
	return addCloud(a, cmd, &o, 1, 1, func(ctx context.Context, store *cloud.Store, args []string) error {
		found, err := store.Catalogue(ctx)
		if err != nil {
			return err
		}
		b, err := found.Resolve(args[0])
		if err != nil {
			return unknownFailed(err)
		}
		document, err := b.Document()
		if err != nil {
			return err
		}
		a.print().answer(cloudBackup{b, document})
		return nil
	})
}

const cloudBackupHelp = `BACKUP_ID is an ID, a name given with 'barman-cloud-backup --name', or one of latest,
last, oldest, first and last-failed.`

// unknownFailed gives the error that no backup has an ID the exit code of an
// operation that failed; a name that none has is any other error, as in Python.
func unknownFailed(err error) error {
	var unknown *cloud.UnknownIDError
	if errors.As(err, &unknown) {
		return cloudFailed(err)
	}
	return settled{exitUnknown, err}
}

// cloudBackup is a backup of which only backup.info is known.
type cloudBackup struct {
	backup *catalogue.Backup
	all    map[string]any
}

func (b cloudBackup) text(w io.Writer, st style) {
	shownBackup{server: b.backup.Server, backup: b.backup, alone: true}.text(w, st)
}

func (b cloudBackup) document() map[string]any { return map[string]any{b.backup.Server: b.all} }
