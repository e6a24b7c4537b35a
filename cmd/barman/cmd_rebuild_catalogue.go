package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/sinks"
	"github.com/barman-go/barman/core/wal"
)

type rebuildCatalogueOptions struct {
	sink   string
	dryRun bool
}

func newRebuildCatalogueCommand(a *app) *cobra.Command {
	var o rebuildCatalogueOptions
	cmd := &cobra.Command{
		Use:   "rebuild-catalogue SERVER",
		Short: "Read a catalogue that was lost back from a bucket",
		Long: `Take into the catalogue of a server the backups that one of its sinks describes,
as after the loss of this machine's disk, and write the index of the WAL archive
anew. Backups that the catalogue knows stay as they are, and no data is copied:
'barman recover' reads it where it is, and 'barman sync-sink' brings it back to
this machine where the server has a sink here as well.

From then on the backups are the server's own: its retention policy is about them.

` + exitCodesHelp,
		Example:           "  barman rebuild-catalogue main\n  barman rebuild-catalogue main --sink s3 --dry-run",
		Args:              exactly(1, "a server"),
		ValidArgsFunction: a.completeServer,
		RunE:              func(cmd *cobra.Command, args []string) error { return rebuildCatalogue(cmd.Context(), a, o, args[0]) },
	}
	cmd.Flags().StringVar(&o.sink, "sink", "", "the `NAME` of the sink to read, such as s3 (default the first that is not the server's directory)")
	cmd.Flags().BoolVarP(&o.dryRun, "dry-run", "n", false, "change nothing, and tell which backups would be taken in")
	return cmd
}

func rebuildCatalogue(ctx context.Context, a *app, o rebuildCatalogueOptions, name string) error {
	s, err := a.server(name, a.open)
	if err != nil || a.skipInactive(s.Config) {
		return err
	}
	imported, err := sinks.Import(ctx, s, o.sink, o.dryRun)
	rebuilt := rebuiltCatalogue{server: s.Name(), backups: imported, dryRun: o.dryRun}
	if !o.dryRun && s.WALStoredElsewhere() {
		report, indexing := wal.RebuildIndex(ctx, s, nil)
		rebuilt.files = report.Segments + report.Histories + report.BackupHistories
		err = errors.Join(err, indexing)
	}
	if err == nil || len(imported) > 0 {
		a.print().answer(rebuilt)
	}
	return err
}

// rebuiltCatalogue is what was taken into the catalogue.
type rebuiltCatalogue struct {
	server  string
	backups []sinks.Imported
	files   int
	dryRun  bool
}

func (r rebuiltCatalogue) text(w io.Writer, _ style) {
	done := "taken in"
	if r.dryRun {
		done = "would be taken in"
	}
	for _, b := range r.backups {
		fmt.Fprintf(w, "Backup %s of server %s: %s (%s)\n", b.ID, r.server, done, b.State)
	}
	if len(r.backups) == 0 {
		fmt.Fprintf(w, "The sink describes no backup that server %s does not know\n", r.server)
	}
	if r.files > 0 {
		fmt.Fprintf(w, "The index of the WAL archive lists %d files\n", r.files)
	}
}

func (r rebuiltCatalogue) document() map[string]any {
	backups := r.backups
	if backups == nil {
		backups = []sinks.Imported{}
	}
	states := map[catalogue.BackupID]catalogue.State{}
	for _, b := range backups {
		states[b.ID] = b.State
	}
	return map[string]any{r.server: map[string]any{"dry_run": r.dryRun, "backups": states, "wal_files": r.files}}
}
