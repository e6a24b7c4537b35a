package main

import (
	"github.com/spf13/cobra"

	"github.com/barman-go/barman/sdk"
)

func newRemoteWALRestoreCommand(*app) *cobra.Command {
	return &cobra.Command{
		Use:    "barman-wal-restore [OPTIONS] BARMAN_HOST SERVER WAL_NAME WAL_DEST",
		Hidden: true,
		RunE: func(*cobra.Command, []string) error {
			return sdk.Errorf(sdk.Invalid, "this command is not there yet")
		},
	}
}
