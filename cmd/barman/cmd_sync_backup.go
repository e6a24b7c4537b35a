package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/passive"
)

func newSyncBackupCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "sync-backup SERVER [BACKUP]",
		Short: "Copy a backup of a passive server from its primary",
		Long: `Copy a backup from the Barman to which primary_ssh_command leads, with rsync
over SSH: the one with the ID BACKUP, or the oldest that is missing here. 'barman
cron' does so for all passive servers.

A backup is SYNCING until all of it is here. One that is here is left as it is;
one that the retention policy of this node would delete is not copied; what was
copied of one that the primary has deleted since is deleted. The exit code is 5
while another process copies the same backup, and 2 when the primary cannot be
reached: the next run goes on.

` + exitCodesHelp,
		Example:           "  barman sync-backup main\n  barman sync-backup main 20260131T150405",
		Args:              syncBackupArguments,
		ValidArgsFunction: a.completeBackup,
		RunE: func(cmd *cobra.Command, args []string) error {
			id := catalogue.BackupID("")
			if len(args) == 2 {
				var err error
				if id, err = catalogue.ParseBackupID(args[1]); err != nil {
					return err
				}
			}
			return runSyncBackup(cmd.Context(), a, args[0], id)
		},
	}
}

func syncBackupArguments(cmd *cobra.Command, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return usageError(cmd, fmt.Sprintf("%s takes a server and a backup, which may be left out, not %d arguments", cmd.CommandPath(), len(args)))
	}
	return nil
}

func runSyncBackup(ctx context.Context, a *app, name string, id catalogue.BackupID) error {
	s, err := a.server(name, a.enabled)
	if err != nil || a.skipInactive(s.Config) {
		return err
	}
	report, err := passive.SyncBackup(ctx, s, id)
	if err != nil {
		return err
	}
	a.print().answer(syncedBackup{server: name, report: report})
	return nil
}

// syncedBackup is what became of a backup of the primary's.
type syncedBackup struct {
	server string
	report passive.BackupReport
}

func (b syncedBackup) text(w io.Writer, _ style) {
	r := b.report
	switch r.Outcome {
	case passive.Copied:
		fmt.Fprintf(w, "Backup %s of server %s was copied from the primary in %s; it is %s\n", r.ID, b.server, catalogue.PrettyDuration(r.Elapsed), r.State)
	case passive.Present:
		fmt.Fprintf(w, "Backup %s of server %s is here already; it is %s\n", r.ID, b.server, r.State)
	case passive.Obsolete:
		fmt.Fprintf(w, "Backup %s of server %s is obsolete by the retention policy of this node, and is not copied\n", r.ID, b.server)
	case passive.Deleted:
		fmt.Fprintf(w, "The primary does not have backup %s of server %s any more; what was copied of it was deleted\n", r.ID, b.server)
	case passive.Complete:
		fmt.Fprintf(w, "No backup of server %s is missing\n", b.server)
	}
}

func (b syncedBackup) document() map[string]any {
	r := b.report
	return map[string]any{b.server: map[string]any{
		"backup_id": orNull(string(r.ID)), "outcome": r.Outcome, "status": orNull(string(r.State)), "elapsed_seconds": r.Elapsed.Seconds(),
	}}
}
