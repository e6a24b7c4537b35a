package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/removal"
	"github.com/barman-go/barman/sdk/wal"
)

type deleteOptions struct{ dryRun bool }

func newDeleteCommand(a *app) *cobra.Command {
	var o deleteOptions
	cmd := &cobra.Command{
		Use:   "delete SERVER BACKUP",
		Short: "Delete a backup",
		Long: `Delete a backup from all sinks, with those that build on it, and the WAL that
nobody needs any more: that from before the next backup, if there is no backup
before it.

A backup that is kept, or that minimum_redundancy wants, is not deleted. A
deletion that was interrupted is finished by the next one, or by 'barman cron'.

BACKUP is an ID, a name given with 'barman backup --name', or one of latest,
last, oldest, first, last-failed, latest-full and last-full.

` + exitCodesHelp,
		Example:           "  barman delete main oldest\n  barman delete main 20240110T120000 --dry-run",
		Args:              exactly(2, "a server and a backup"),
		ValidArgsFunction: a.completeBackup,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDelete(cmd.Context(), a, o, args[0], args[1])
		},
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "delete nothing, show what would go")
	return cmd
}

func runDelete(ctx context.Context, a *app, o deleteOptions, name, reference string) error {
	s, err := a.server(name, a.open)
	if err != nil {
		return err
	}
	b, err := s.Catalogue.Resolve(reference)
	if err != nil {
		return err
	}
	done := deletion{server: s.Name(), asked: b.ID, dryRun: o.dryRun}
	done.deleted, err = removal.Delete(ctx, s, b.ID, removal.Options{DryRun: o.dryRun, File: func(name wal.Name) { done.files = append(done.files, name.String()) }})
	if err == nil || len(done.deleted) > 0 {
		for _, line := range done.lines() {
			a.print().info(line)
		}
		a.print().answer(done)
	}
	return err
}

// deletion is the outcome of deleting one backup.
type deletion struct {
	server  string
	asked   catalogue.BackupID
	dryRun  bool
	deleted []removal.Deleted
	files   []string
}

// lines are what Barman in Python tells of a deletion.
func (d deletion) lines() []string {
	if d.dryRun {
		return nil
	}
	lines := []string{fmt.Sprintf("Deleting backup %s for server %s", d.asked, d.server), "Delete associated WAL segments:"}
	for _, file := range d.files {
		lines = append(lines, "\t"+file)
	}
	for _, gone := range d.deleted {
		lines = append(lines, fmt.Sprintf("Deleted backup %s (start time: %s, elapsed time: %s)", gone.ID, gone.Begun.Format(time.ANSIC), catalogue.PrettyDuration(gone.Elapsed)))
	}
	return lines
}

func (d deletion) text(w io.Writer, _ style) {
	if !d.dryRun {
		return // the lines have said it
	}
	for _, gone := range d.deleted {
		fmt.Fprintf(w, "Would delete backup %s of server %s%s\n", gone.ID, d.server, walOf(gone))
	}
}

// walOf tells what WAL goes with a backup.
func walOf(gone removal.Deleted) string {
	switch {
	case gone.WALReason != "":
		return ", and no WAL: " + gone.WALReason
	case gone.WALFiles == 0:
		return ", and no WAL"
	}
	return fmt.Sprintf(", and %d WAL files, %s to %s", gone.WALFiles, gone.FirstWAL, gone.LastWAL)
}

func (d deletion) document() map[string]any {
	return map[string]any{d.server: map[string]any{"deleted": deletedDocument(d.deleted), "dry_run": d.dryRun}}
}

func deletedDocument(deleted []removal.Deleted) []removal.Deleted {
	if deleted == nil {
		return []removal.Deleted{}
	}
	return deleted
}
