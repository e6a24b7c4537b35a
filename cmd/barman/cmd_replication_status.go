package main

import (
	"github.com/spf13/cobra"

	"github.com/barman-go/barman/sdk"
)

func newReplicationStatusCommand(*app) *cobra.Command {
	return &cobra.Command{
		Use:    "replication-status SERVER...",
		Hidden: true,
		RunE: func(*cobra.Command, []string) error {
			return sdk.Errorf(sdk.Invalid, "this command is not there yet")
		},
	}
}
