package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/cloud"
)

func newCloudBackupListCommand(a *app) *cobra.Command {
	o := cloudFlags{patience: brief}
	cmd := &cobra.Command{
		Use:   "backup-list SOURCE_URL SERVER_NAME",
		Short: "List the backups of a server in a bucket, oldest first",
		Long: `List the backups of a server in a bucket, the oldest first: on the console those
that are complete, as JSON all with everything that is known of them. A backup whose
backup.info cannot be read is warned of and left out.

` + cloudExitCodesHelp,
		Example: "  barman-cloud-backup-list s3://backups/pg main\n  barman-cloud-backup-list --format json s3://backups/pg main",
	}
	return addCloud(a, cmd, &o, 0, 0, func(ctx context.Context, store *cloud.Store, _ []string) error {
		return runCloudBackupList(ctx, a, store)
	})
}

func runCloudBackupList(ctx context.Context, a *app, store *cloud.Store) error {
	found, err := store.Catalogue(ctx)
	if err != nil {
		return err
	}
	list := cloudBackupList{found: found, documents: []map[string]any{}}
	for _, entry := range found.Entries {
		if entry.Err != nil {
			a.print().warn(entry.Err.Error())
			continue
		}
		list.backups = append(list.backups, entry.Backup)
		document, err := entry.Backup.Document()
		if err != nil {
			return err
		}
		list.documents = append(list.documents, document)
	}
	a.print().answer(list)
	return nil
}

type cloudBackupList struct {
	found     *cloud.Catalogue
	backups   []*catalogue.Backup
	documents []map[string]any
}

// text has the columns of Python's barman-cloud-backup-list.
func (l cloudBackupList) text(w io.Writer, _ style) {
	line := func(id, end, begin, status, name string) {
		fmt.Fprintf(w, "%-20s%-25s%-30s%-17s%-20s\n", id, end, begin, status, name)
	}
	line("Backup ID", "End Time", "Begin Wal", "Archival Status", "Name")
	for _, b := range l.backups {
		if b.State == catalogue.StateDone {
			line(string(b.ID), b.EndTime.Format(time.DateTime), b.BeginWAL, l.found.Verdict(b.ID), b.Name)
		}
	}
}

func (l cloudBackupList) document() map[string]any {
	return map[string]any{"backups_list": l.documents}
}
