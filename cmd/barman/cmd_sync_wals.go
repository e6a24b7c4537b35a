package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/passive"
)

func newSyncWALsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "sync-wals SERVER",
		Short: "Copy the WAL of a passive server from its primary",
		Long: `Copy the WAL files that this node lacks from the Barman to which
primary_ssh_command leads, with rsync over SSH, and complete the backups that
waited for them. 'barman cron' does so for all passive servers.

A file that is here is never overwritten. When the primary's is another one, the
primary's is kept in the errors directory, and the command fails. The exit code is
5 while another process copies WAL, and 2 when the primary cannot be reached: the
next run goes on.

` + exitCodesHelp,
		Example:           "  barman sync-wals main",
		Args:              exactly(1, "a server"),
		ValidArgsFunction: a.completeServer,
		RunE:              func(cmd *cobra.Command, args []string) error { return runSyncWALs(cmd.Context(), a, args[0]) },
	}
}

func runSyncWALs(ctx context.Context, a *app, name string) error {
	s, err := a.server(name, a.enabled)
	if err != nil || a.skipInactive(s.Config) {
		return err
	}
	report, err := passive.SyncWAL(ctx, s)
	for _, warning := range report.Warnings {
		a.print().warn(warning)
	}
	if report.Last != "" || err == nil {
		a.print().answer(syncedWAL{server: name, report: report})
	}
	return err
}

// syncedWAL is what was copied of the primary's WAL.
type syncedWAL struct {
	server string
	report passive.WALReport
}

func (s syncedWAL) text(w io.Writer, _ style) {
	r := s.report
	fmt.Fprintf(w, "WAL of server %s: %s copied from the primary in %s", s.server, plural(r.Copied, "file"), catalogue.PrettyDuration(r.Elapsed))
	if r.Known > 0 {
		fmt.Fprintf(w, ", %d were here already", r.Known)
	}
	fmt.Fprintln(w)
	for _, b := range r.Backups {
		fmt.Fprintf(w, "Backup %s of server %s: %s\n", b.ID, s.server, b.State)
	}
}

func (s syncedWAL) document() map[string]any {
	r, states := s.report, map[string]any{}
	for _, b := range r.Backups {
		states[string(b.ID)] = b.State
	}
	return map[string]any{s.server: map[string]any{
		"copied": r.Copied, "known": r.Known, "last_wal": orNull(r.Last), "backups": states, "elapsed_seconds": r.Elapsed.Seconds(),
	}}
}
