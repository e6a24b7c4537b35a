package main

import (
	"github.com/spf13/cobra"

	"github.com/barman-go/barman/sdk"
)

func newCheckBackupCommand(*app) *cobra.Command {
	return &cobra.Command{
		Use:    "check-backup SERVER BACKUP_ID",
		Hidden: true,
		RunE: func(*cobra.Command, []string) error {
			return sdk.Errorf(sdk.Invalid, "this command is not there yet")
		},
	}
}
