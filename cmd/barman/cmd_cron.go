package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/cron"
	"github.com/barman-go/barman/core/reconfigure"
	"github.com/barman-go/barman/core/server"
)

func newCronCommand(a *app) *cobra.Command {
	var attached bool
	cmd := &cobra.Command{
		Use:   "cron",
		Short: "Do what is due for all servers; run it every minute",
		Long: `Start, for every active server, receive-wal where it is configured and does not
run, and archive-wal, which also completes the backups that waited for WAL; mark
as FAILED the backups of killed processes. What takes long goes on in the
background. Run it every minute, by cron or systemd.

What runs in the background logs to the log file. When it has ended with
something to say, the next cron says it, on standard error and in the log. A
receiver whose settings have changed is replaced.

` + exitCodesHelp,
		Example: "  * * * * * barman /usr/bin/barman -q cron",
		Args:    exactly(0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runCron(cmd.Context(), a, attached) },
	}
	cmd.Flags().BoolVar(&attached, "keep-descriptors", false, "let what runs in the background have standard output and error, as in a container")
	return cmd
}

func runCron(ctx context.Context, a *app, attached bool) error {
	loaded, err := a.configuration()
	if err != nil {
		return err
	}
	changes, pending := reconfigure.Pending(ctx, loaded)
	if pending != nil {
		a.print().fail(pending) // the servers are looked after as they were
	}
	if len(changes) > 0 {
		if loaded, err = a.reload(); err != nil {
			return err
		}
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	var servers []*server.Server
	for _, configured := range loaded.Servers {
		s, err := a.catalogued(configured)
		if err != nil && configured.Err() != nil {
			a.print().info(fmt.Sprintf("Skipping server '%s': %v", configured.Name, configured.Err()))
			continue // not even its directories can be told
		}
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	configuration, err := a.namedConfiguration()
	if err != nil {
		return err
	}
	cleaned := ""
	if loaded.Global.LockDirectoryCleanup {
		cleaned = loaded.Global.LockDirectory
	}
	results, err := cron.Run(ctx, servers, cleaned, cron.Background(executable, configuration, attached))
	failed := &failures{of: len(servers)}
	if pending != nil {
		failed.errs, failed.of = append(failed.errs, pending), failed.of+1
	}
	for _, r := range results {
		switch {
		case r.Err != nil:
			err := fmt.Errorf("server %s: %w", r.Server, r.Err)
			a.print().fail(err)
			failed.errs = append(failed.errs, err)
		case r.Skipped != "":
			a.print().info(fmt.Sprintf("Skipping server '%s': %s", r.Server, r.Skipped))
		}
		for _, e := range r.Ended {
			a.print().warn(fmt.Sprintf("server %s: %s, which an earlier cron started, has ended; it said: %s", r.Server, e.Command, e.Said))
		}
		for _, command := range r.Started {
			a.print().info(fmt.Sprintf("Starting %s for server %s", command, r.Server))
		}
	}
	if len(failed.errs) == 0 {
		return err // not of a server in particular
	}
	return failed
}
