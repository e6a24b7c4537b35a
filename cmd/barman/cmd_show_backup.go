package main

import (
	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
)

func newShowBackupCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show-backup SERVER BACKUP",
		Aliases: []string{"show-backups"},
		Short:   "Show what is known of a backup",
		Long: `Show what is known of a backup.

BACKUP is an ID, a name given with 'barman backup --name', or one of latest,
last, oldest, first, last-failed, latest-full and last-full.

` + exitCodesHelp,
		Example:           "  barman show-backup main latest\n  barman -f json show-backup main 20240110T120000",
		Args:              exactly(2, "a server and a backup"),
		ValidArgsFunction: a.completeServer,
		RunE:              func(_ *cobra.Command, args []string) error { return runShowBackup(a, args[0], args[1]) },
	}
}

func runShowBackup(a *app, name, reference string) error {
	s, err := a.server(name, a.catalogued)
	if err != nil {
		return err
	}
	found, err := readListing(s)
	if err != nil {
		return err
	}
	b, err := s.Catalogue.Resolve(reference)
	if err != nil {
		return err
	}
	if found.damage != nil {
		a.print().warn(found.damage.Error())
	}
	shown := shownBackup{server: s.Name(), backup: b, wal: found.wal[b.ID]}
	shown.previous, shown.next = found.neighbours(b.ID)
	a.print().answer(shown)
	return nil
}

// shownBackup is a backup and its surroundings.
type shownBackup struct {
	server         string
	backup         *catalogue.Backup
	wal            catalogue.WALStatistics
	previous, next catalogue.BackupID
}
