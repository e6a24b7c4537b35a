package main

import (
	"github.com/spf13/cobra"

	"github.com/barman-go/barman/sdk"
)

func newRemoteWALArchiveCommand(*app) *cobra.Command {
	return &cobra.Command{
		Use:    "barman-wal-archive [OPTIONS] BARMAN_HOST SERVER WAL_PATH",
		Hidden: true,
		RunE: func(*cobra.Command, []string) error {
			return sdk.Errorf(sdk.Invalid, "this command is not there yet")
		},
	}
}
