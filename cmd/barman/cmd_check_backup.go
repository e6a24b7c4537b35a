package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
)

func newCheckBackupCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check-backup SERVER BACKUP",
		Short: "Check that all WAL that a backup needs is archived",
		Long: `Check that all WAL from a backup's begin to its end is archived, and note the
outcome: the backup is DONE when it is, waits for WAL while some may still come,
and is FAILED, for ever, when a segment is missing though later ones are there.
WAL that has arrived is archived first.

BACKUP is an ID, a name given with 'barman backup --name', or one of latest,
last, oldest, first, latest-full and last-full. The exit code is 6 when a
segment is lost.

` + exitCodesHelp,
		Example:           "  barman check-backup main latest\n  barman -f json check-backup main 20240110T120000",
		Args:              exactly(2, "a server and a backup"),
		ValidArgsFunction: a.completeBackup,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCheckBackup(cmd.Context(), a, args[0], args[1])
		},
	}
}

func runCheckBackup(ctx context.Context, a *app, name, reference string) error {
	s, err := a.server(name, a.open)
	if err != nil || a.skipInactive(s.Config) {
		return err
	}
	b, err := s.Catalogue.Resolve(reference)
	if err != nil {
		return err
	}
	checked, err := backup.Check(ctx, s, b.ID)
	if checked != nil {
		a.print().answer(checkedBackup{server: s.Name(), backup: checked})
	}
	return err
}

// checkedBackup is a backup in the state that the archive puts it in.
type checkedBackup struct {
	server string
	backup *catalogue.Backup
}

func (c checkedBackup) text(w io.Writer, s style) {
	state := s.notice(string(c.backup.State))
	switch c.backup.State {
	case catalogue.StateDone:
		state = s.good(string(c.backup.State))
	case catalogue.StateFailed:
		state = s.bad(string(c.backup.State))
	}
	fmt.Fprintf(w, "Backup %s of server %s: %s\n", c.backup.ID, c.server, state)
}

func (c checkedBackup) document() map[string]any {
	fields := map[string]any{
		"backup_id": c.backup.ID, "status": c.backup.State, "begin_wal": orNull(c.backup.BeginWAL), "end_wal": orNull(c.backup.EndWAL),
	}
	set(fields, "error", c.backup.Error)
	return map[string]any{c.server: fields}
}
