package main

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/cron"
	"github.com/barman-go/barman/core/server"
)

func newCronCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "cron",
		Short: "Do what is due for all servers; run it every minute",
		Long: `Start, for every active server, receive-wal where it is configured and does not
run, and archive-wal; mark as FAILED the backups of killed processes. What takes
long goes on in the background. Run it every minute, by cron or systemd.

` + exitCodesHelp,
		Example: "  * * * * * barman /usr/bin/barman -q cron",
		Args:    exactly(0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runCron(cmd.Context(), a) },
	}
}

func runCron(ctx context.Context, a *app) error {
	loaded, err := a.configuration()
	if err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	var servers []*server.Server
	for _, configured := range loaded.Servers {
		s, err := a.catalogued(configured)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	results, err := cron.Run(ctx, servers, cron.Background(executable, cmp.Or(a.options.config, os.Getenv(config.EnvConfigFile))))
	failed := &failures{of: len(servers)}
	for _, r := range results {
		switch {
		case r.Err != nil:
			err := fmt.Errorf("server %s: %w", r.Server, r.Err)
			a.print().fail(err)
			failed.errs = append(failed.errs, err)
		case r.Skipped != "":
			a.print().info(fmt.Sprintf("Skipping server '%s': %s", r.Server, r.Skipped))
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
