package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
)

type receiveWALOptions struct {
	createSlot, ifNotExists, dropSlot, stop, reset bool
}

func newReceiveWALCommand(a *app) *cobra.Command {
	var o receiveWALOptions
	cmd := &cobra.Command{
		Use:   "receive-wal SERVER",
		Short: "Receive WAL as it is generated",
		Long: `Receive the WAL of a server as it is generated, until it is told to stop: by a
signal, which is no failure, or by 'barman receive-wal --stop'. 'barman cron'
starts it where it does not run. It needs a source in the server's wal block.

Finished WAL files are archived by 'barman archive-wal' and 'barman cron'.
The exit code is 5 while another process receives the server's WAL.

` + exitCodesHelp,
		Example: `  barman receive-wal --create-slot main
  barman receive-wal main
  barman receive-wal --stop main`,
		Args:              exactly(1, "a server"),
		ValidArgsFunction: a.completeServer,
		RunE:              func(cmd *cobra.Command, args []string) error { return runReceiveWAL(cmd.Context(), a, o, args[0]) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.createSlot, "create-slot", false, "create the replication slot of the configuration")
	flags.BoolVar(&o.ifNotExists, "if-not-exists", false, "with --create-slot: a slot that is there already is no error")
	flags.BoolVar(&o.dropSlot, "drop-slot", false, "drop the replication slot: the server keeps WAL for it no longer")
	flags.BoolVar(&o.stop, "stop", false, "stop the process that receives the server's WAL")
	flags.BoolVar(&o.reset, "reset", false, "go on where the server can, when it no longer has the WAL that would follow")
	return cmd
}

func runReceiveWAL(ctx context.Context, a *app, o receiveWALOptions, name string) error {
	if err := o.check(); err != nil {
		return err
	}
	s, err := a.server(name, a.open)
	if err != nil {
		return err
	}
	if err := s.NotPassive(); err != nil && !o.stop {
		return err
	}
	switch {
	case o.createSlot:
		return a.createSlot(ctx, s, o.ifNotExists)
	case o.dropSlot:
		slot, err := wal.DropSlot(ctx, s)
		if err == nil {
			a.print().info(fmt.Sprintf("Replication slot '%s' of server %s dropped", slot, s.Name()))
		}
		return err
	case o.stop:
		return a.stopReceiver(ctx, s)
	case o.reset:
		return a.resetReceiver(ctx, s)
	case a.skipInactive(s.Config):
		return nil
	}
	a.print().info("Starting receive-wal for server " + s.Name())
	return wal.Receive(ctx, s, wal.ReceiveOptions{})
}

func (o receiveWALOptions) check() error {
	asked := 0
	for _, option := range []bool{o.createSlot, o.dropSlot, o.stop, o.reset} {
		if option {
			asked++
		}
	}
	switch {
	case asked > 1:
		return sdk.Errorf(sdk.Invalid, "give one of --create-slot, --drop-slot, --stop and --reset")
	case o.ifNotExists && !o.createSlot:
		return sdk.Errorf(sdk.Invalid, "--if-not-exists goes with --create-slot")
	}
	return nil
}

func (a *app) createSlot(ctx context.Context, s *server.Server, ifNotExists bool) error {
	slot, err := wal.CreateSlot(ctx, s, ifNotExists)
	switch {
	case err != nil:
	case ifNotExists:
		a.print().info(fmt.Sprintf("Replication slot '%s' of server %s exists", slot, s.Name()))
	default:
		a.print().info(fmt.Sprintf("Replication slot '%s' of server %s created", slot, s.Name()))
	}
	return err
}

// stopPatience is how long a receiver may take to end: it makes durable what it
// has received first.
const stopPatience = 30 * time.Second

func (a *app) stopReceiver(ctx context.Context, s *server.Server) error {
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	pid, err := wal.Stop(ctx, s)
	if err == nil {
		a.print().info(fmt.Sprintf("Stopped process receive-wal(%d)", pid))
	}
	return err
}

func (a *app) resetReceiver(ctx context.Context, s *server.Server) error {
	report, err := wal.Reset(ctx, s)
	if err != nil {
		return err
	}
	if report.Aligned {
		a.print().info(fmt.Sprintf("Nothing to do: receiving WAL of server %s goes on with %s", s.Name(), report.Next))
		return nil
	}
	for _, name := range report.Archived {
		a.print().info("Archived the unfinished " + name)
	}
	a.print().info(fmt.Sprintf("Receiving WAL of server %s goes on with %s", s.Name(), report.Next))
	if report.Gap {
		a.print().warn(fmt.Sprintf("WAL is missing from %s on, up to %s: backups of server %s from before can be recovered up to there only, take a new one",
			report.MissingFrom, report.Next, s.Name()))
	}
	return nil
}
