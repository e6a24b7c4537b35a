package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

type backupOptions struct {
	wait        bool
	waitTimeout time.Duration
	jobs        int
	name        string
}

func newBackupCommand(a *app) *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "backup SERVER…",
		Short: "Take a base backup",
		Long: `Take a base backup of one or more servers, or of "all" active ones.

The backup waits for WAL when its data is stored, and is DONE when all WAL from
its begin to its end is archived as well. With --wait the command returns then;
when --wait-timeout is over before, it fails with 2 and the backup stays.
An interrupted backup is marked as FAILED.

` + exitCodesHelp,
		Example:           "  barman backup main\n  barman backup all --wait --wait-timeout 10m\n  barman backup main -j 2 --name 'before upgrade'",
		Args:              someServers,
		ValidArgsFunction: a.completeServers,
		RunE:              func(cmd *cobra.Command, args []string) error { return runBackup(cmd.Context(), a, o, args) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.wait, "wait", "w", false, "wait until the WAL that the backup needs is archived")
	durationVar(flags, &o.waitTimeout, "wait-timeout", "give up waiting after this `TIME`: seconds, or a number with a unit (default none)")
	flags.IntVarP(&o.jobs, "jobs", "j", 0, "how many objects are copied at once (default from the configuration)")
	flags.StringVar(&o.name, "name", "", "a `NAME` for the backup, usable in place of its ID")
	return cmd
}

func runBackup(ctx context.Context, a *app, o backupOptions, args []string) error {
	switch {
	case o.jobs < 0 || o.jobs > maxJobs:
		return sdk.Errorf(sdk.Invalid, "--jobs %d: choose from 1 to %d", o.jobs, maxJobs)
	case o.waitTimeout > 0 && !o.wait:
		return sdk.Errorf(sdk.Invalid, "--wait-timeout limits --wait: give both")
	}
	if err := a.warnOfConfiguration(); err != nil {
		return err
	}
	alone := len(args) == 1 && args[0] != allServers
	return a.forServers(ctx, args, func(ctx context.Context, s *config.Server) error {
		if a.skipInactive(s) {
			return nil
		}
		return a.backUp(ctx, o, s, alone)
	})
}

// maxJobs is the limit that the configuration has.
const maxJobs = 64

// backUp takes a backup of one server.
func (a *app) backUp(ctx context.Context, o backupOptions, configured *config.Server, alone bool) error {
	s, err := a.open(configured)
	if err != nil {
		return err
	}
	tell, end := a.progress("backup of " + s.Name())
	begun := time.Now()
	taken, err := backup.Run(ctx, s, backup.Options{Name: o.name, Jobs: o.jobs, Progress: tell})
	end()
	elapsed := time.Since(begun)
	if err == nil {
		taken, err = o.settle(ctx, s, taken)
	}
	if taken != nil {
		a.print().answer(takenBackup{server: s.Name(), backup: taken, elapsed: elapsed, alone: alone})
	}
	return err
}

// settle archives WAL so that the backup can be DONE, and waits for more if that
// was asked for.
func (o backupOptions) settle(ctx context.Context, s *server.Server, taken *catalogue.Backup) (*catalogue.Backup, error) {
	if !o.wait {
		return backup.Settle(ctx, s, taken.ID)
	}
	if o.waitTimeout > 0 {
		late := sdk.Errorf(sdk.Unavailable, "not all of it was archived within %s: see that archive_command or receive-wal works ('barman check %s')", o.waitTimeout, s.Name())
		limited, cancel := context.WithTimeoutCause(ctx, o.waitTimeout, late)
		defer cancel()
		ctx = limited
	}
	return backup.Wait(ctx, s, taken.ID)
}
