package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
)

func newLockDirectoryCleanupCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "lock-directory-cleanup",
		Short: "Remove the lock files that nobody holds",
		Long: `Remove the lock files that no process holds from the lock directory. They do no
harm, and 'barman cron' removes them too unless lock_directory_cleanup is false.

` + exitCodesHelp,
		Example: "  barman lock-directory-cleanup",
		Args:    exactly(0, "no arguments"),
		RunE:    func(*cobra.Command, []string) error { return runLockDirectoryCleanup(a) },
	}
}

func runLockDirectoryCleanup(a *app) error {
	loaded, err := a.configuration()
	if err != nil {
		return err
	}
	directory := loaded.Global.LockDirectory
	removed, err := catalogue.RemoveStaleLocks(directory)
	a.print().info(fmt.Sprintf("Removed %s from %s", plural(removed, "unused lock file"), directory))
	return err
}
