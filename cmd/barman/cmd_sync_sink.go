package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/sinks"
)

type syncSinkOptions struct {
	sinks         []string
	from          string
	noted, dryRun bool
}

func newSyncSinkCommand(a *app) *cobra.Command {
	var o syncSinkOptions
	cmd := &cobra.Command{
		Use:   "sync-sink SERVER…",
		Short: "Bring sinks up to date that lack backups or WAL",
		Long: `Copy to the sinks of a server what they lack of its backups and WAL, from sinks
that have it, and tell them what the catalogue says of each backup. So an optional
sink that was away catches up, a new one is filled, and a directory of this machine
is filled from a bucket. "all" stands for every active server.

What a sink has under the same name with other bytes is never replaced: the
command tells of it and fails. What a sink has of backups that were deleted, or
that failed, is removed. The command can be stopped at any time, and goes on when
it is run again. 'barman cron' runs it with --noted.

A sink is named by its plugin; the second one of a plugin is posix.2, s3.2 …

` + exitCodesHelp,
		Example: "  barman sync-sink main\n  barman sync-sink main --sink s3 --dry-run\n  barman sync-sink main --sink posix --from s3",
		Args:    someServers, ValidArgsFunction: a.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.forServers(cmd.Context(), args, func(ctx context.Context, s *config.Server) error { return syncSinks(ctx, a, o, s) })
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.sinks, "sink", nil, "the `NAME` of a sink to bring up to date; may be given several times (default all)")
	flags.StringVar(&o.from, "from", "", "the `NAME` of the sink to copy from (default any that has what is missing)")
	flags.BoolVar(&o.noted, "noted", false, "only what is noted as missing, without comparing the sinks")
	flags.BoolVarP(&o.dryRun, "dry-run", "n", false, "change nothing, and tell what would be done")
	return cmd
}

func syncSinks(ctx context.Context, a *app, o syncSinkOptions, configured *config.Server) error {
	if a.skipInactive(configured) {
		return nil
	}
	s, err := a.open(configured)
	if err != nil {
		return err
	}
	tell, end := a.progress("sinks of " + s.Name())
	report, err := sinks.Sync(ctx, s, sinks.Options{Sinks: o.sinks, From: o.from, Noted: o.noted, DryRun: o.dryRun, Progress: tell})
	end()
	if report != nil {
		a.print().answer(syncedSinks{server: s.Name(), sinks: report, dryRun: o.dryRun})
	}
	return err
}

// syncedSinks is what was done for each sink.
type syncedSinks struct {
	server string
	sinks  []sinks.Synced
	dryRun bool
}

func (y syncedSinks) text(w io.Writer, st style) {
	would := ""
	if y.dryRun {
		would = "would be "
	}
	for _, sink := range y.sinks {
		fmt.Fprintf(w, "Sink %s of server %s:\n", sink.Sink, y.server)
		for _, b := range sink.Backups {
			switch b.Action {
			case sinks.Copied:
				fmt.Fprintf(w, "\tbackup %s: %s%s from %s (objects: %d, %s)\n", b.ID, would, b.Action, b.From, b.Objects, catalogue.PrettySize(b.Bytes))
			default:
				fmt.Fprintf(w, "\tbackup %s: %s%s\n", b.ID, would, b.Action)
			}
		}
		if sink.WAL.Files > 0 {
			fmt.Fprintf(w, "\tWAL: %scopied (files: %d, %s)\n", would, sink.WAL.Files, catalogue.PrettySize(sink.WAL.Bytes))
		}
		if sink.WAL.Removed > 0 {
			fmt.Fprintf(w, "\tWAL that no backup needs: %sremoved (files: %d)\n", would, sink.WAL.Removed)
		}
		for _, problem := range sink.Problems {
			fmt.Fprintf(w, "\t%s: %s\n", st.bad("FAILED"), problem)
		}
		if len(sink.Backups)+len(sink.Problems)+sink.WAL.Files+sink.WAL.Removed == 0 {
			fmt.Fprintln(w, "\tnothing is missing")
		}
	}
}

func (y syncedSinks) document() map[string]any {
	return map[string]any{y.server: map[string]any{"dry_run": y.dryRun, "sinks": y.sinks}}
}
