package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
)

type switchWALOptions struct {
	force   bool
	archive bool
	timeout time.Duration
}

// defaultArchiveTimeout is Barman's.
const defaultArchiveTimeout = 30 * time.Second

func newSwitchWALCommand(a *app) *cobra.Command {
	o := switchWALOptions{timeout: defaultArchiveTimeout}
	cmd := &cobra.Command{
		Use:     "switch-wal SERVER…",
		Aliases: []string{"switch-xlog"},
		Short:   "Make PostgreSQL close the WAL segment that it writes to",
		Long: `Make one or more PostgreSQL servers, or "all" active ones, close the WAL segment
that they write to, so that it can be archived. A segment that holds nothing yet
needs no switch; a standby writes no WAL and is left alone.

With --force the server makes a checkpoint first, so that there is something to
switch; that takes a superuser, or from PostgreSQL 15 a member of pg_checkpoint.
With --archive the command archives WAL until the closed segment is in the
archive, and fails with 2 when that does not happen in time.

` + exitCodesHelp,
		Example:           "  barman switch-wal main\n  barman switch-wal --force --archive main\n  barman switch-wal --archive --archive-timeout 2m all",
		Args:              someServers,
		ValidArgsFunction: a.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("archive-timeout") && !o.archive {
				return usageError(cmd, "--archive-timeout limits --archive: give both")
			}
			return runSwitchWAL(cmd.Context(), a, o, args)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.force, "force", false, "make a checkpoint before the switch")
	flags.BoolVar(&o.archive, "archive", false, "wait until the closed segment is archived")
	durationVar(flags, &o.timeout, "archive-timeout", "how long to wait with --archive: seconds, or a number with a unit; 0 is without limit")
	return cmd
}

func runSwitchWAL(ctx context.Context, a *app, o switchWALOptions, args []string) error {
	return a.forServers(ctx, args, func(ctx context.Context, configured *config.Server) error {
		if a.skipInactive(configured) {
			return nil
		}
		return a.switchWAL(ctx, o, configured)
	})
}

func (a *app) switchWAL(ctx context.Context, o switchWALOptions, configured *config.Server) error {
	prepare := a.enabled
	if o.archive {
		prepare = a.open
	}
	s, err := prepare(configured)
	if err == nil {
		err = s.NotPassive()
	}
	if err != nil {
		return err
	}
	done, standby, err := o.do(ctx, s)
	switch {
	case err != nil:
		return fmt.Errorf("server %s: no switch of WAL: %w", s.Name(), err)
	case standby:
		a.print().info(fmt.Sprintf("No switch performed because server '%s' is a standby.", s.Name()))
		return nil
	case done.Closed == "":
		a.print().info(fmt.Sprintf("No switch required for server '%s'", s.Name()))
		return nil
	}
	a.print().info(fmt.Sprintf("The WAL file %s has been closed on server '%s'", done.Closed, s.Name()))
	if !o.archive {
		return nil
	}
	return a.awaitWAL(ctx, s, done.Closed, o.timeout)
}

// do makes the switch, unless the server is a standby.
func (o switchWALOptions) do(ctx context.Context, s *server.Server) (done postgres.Switch, standby bool, err error) {
	err = askPostgreSQL(ctx, s.Connect, func(conn *postgres.Conn, facts postgres.Facts) (err error) {
		switch {
		case facts.InRecovery:
			standby = true
		case o.force:
			done, err = conn.ForceSwitch(ctx)
		default:
			done, err = conn.SwitchWAL(ctx)
		}
		return err
	})
	return done, standby, err
}

// awaitWAL archives WAL until a file is in the archive, and prints what was
// archived as archive-wal does.
func (a *app) awaitWAL(ctx context.Context, s *server.Server, name string, timeout time.Duration) error {
	limit := "no limit"
	if timeout > 0 {
		limit = fmt.Sprintf("max: %g seconds", timeout.Seconds())
	}
	a.print().info(fmt.Sprintf("Waiting for the WAL file %s from server '%s' (%s)", name, s.Name(), limit))
	last := wal.Origin("")
	err := wal.WaitFor(ctx, s, name, timeout, wal.ArchiveOptions{File: func(f wal.File) {
		switch f.Outcome {
		case wal.Archived, wal.Known:
		default:
			return
		}
		if f.Origin != last {
			a.print().info(fmt.Sprintf("Processing xlog segments from %s for %s", f.Origin, s.Name()))
			last = f.Origin
		}
		a.print().info("\t" + f.Name)
	}})
	if sdk.KindOf(err) == sdk.Unavailable && ctx.Err() == nil {
		return sdk.Errorf(sdk.Unavailable, "The WAL file %s has not been received in %g seconds: %w", name, timeout.Seconds(), err)
	}
	return err
}
