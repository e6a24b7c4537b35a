package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/continuity"
	"github.com/barman-go/barman/core/removal"
	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/core/sinks"
	"github.com/barman-go/barman/sdk/wal"
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
		ValidArgsFunction: a.completeBackup,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runShowBackup(cmd.Context(), a, args[0], args[1])
		},
	}
}

func runShowBackup(ctx context.Context, a *app, name, reference string) error {
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
	if found.damage != nil && found.inaccurate == nil {
		a.print().warn(found.damage.Error()) // of other backups
	}
	switch lost, err := removal.Lost(s, b); {
	case err != nil:
		return err
	case lost:
		a.print().warn(fmt.Sprintf("the data of backup %s is not in %s: bring it back, or clear the backup away with 'barman delete'", b.ID, s.Catalogue.Directory(b.ID)))
	}
	timelines, unread := continuity.Timelines(ctx, s)
	if len(unread) > 0 { // encrypted, perhaps: the pipeline may know
		opened, err := a.inspected(s.Config)
		if err != nil {
			return err
		}
		timelines, unread = continuity.Timelines(ctx, opened)
	}
	for _, err := range unread {
		a.print().warn(err.Error())
	}
	shown := shownBackup{server: s.Name(), backup: b, wal: found.wal[b.ID], timelines: timelines.Reachable(b.Timeline, b.EndLSN)}
	if !s.Config.Retention.Policy.IsZero() {
		shown.verdict = found.verdicts[b.ID]
	}
	shown.previous, shown.next = found.neighbours(b.ID)
	shown.chain = found.chain(b)
	if shown.sinks, err = sinks.States(s, b); err != nil {
		return err
	}
	a.print().answer(shown)
	return found.inaccurate
}

// shownBackup is a backup and its surroundings.
type shownBackup struct {
	server         string
	backup         *catalogue.Backup
	wal            catalogue.WALStatistics
	previous, next catalogue.BackupID
	timelines      []wal.Timeline    // younger ones that it can be led to
	verdict        retention.Verdict // empty without a policy
	// chain are the backups that it builds on, from the full one on, and itself.
	chain []catalogue.BackupID
	// sinks are where it is, of a server that has other sinks than its directory.
	sinks []sinks.State
	// alone is true when nothing but backup.info is known: no WAL, no other backups.
	alone bool
}
