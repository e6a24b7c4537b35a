package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/sdk"
)

func newRemoteWALArchiveCommand(a *app) *cobra.Command {
	var to remoteFlags
	cmd := newClient(a, &cobra.Command{
		Use: "barman-wal-archive [OPTIONS] BARMAN_HOST SERVER WAL_PATH",
	}, func(context.Context, []string) error {
		return sdk.Errorf(sdk.Invalid, "this command is not there yet")
	}, 3, "BARMAN_HOST, SERVER and WAL_PATH")
	to.addFlags(cmd.Flags())
	return cmd
}
