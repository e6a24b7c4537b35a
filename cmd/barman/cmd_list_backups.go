package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/retention"
)

type listBackupsOptions struct{ minimal bool }

func newListBackupsCommand(a *app) *cobra.Command {
	var o listBackupsOptions
	cmd := &cobra.Command{
		Use:     "list-backups SERVER…",
		Aliases: []string{"list-backup"},
		Short:   "List the backups of servers, newest first",
		Long: `List the backups of one or more servers, or of "all", newest first.

A line shows server, ID, name, type (F full, I incremental, R rsync, S
snapshot), end, size with the WAL it needs, and size of the WAL up to the next
backup; of a backup that is not complete, its state. A backup whose backup.info
is damaged is listed as DAMAGED; the exit code is 6 then. A backup whose data is
gone, and a directory with files that belong to no backup, are warned of.

` + exitCodesHelp,
		Example:           "  barman list-backups main\n  barman list-backups all --minimal\n  barman -f json list-backups main",
		Args:              someServers,
		ValidArgsFunction: a.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runListBackups(cmd.Context(), a, o, args)
		},
	}
	cmd.Flags().BoolVar(&o.minimal, "minimal", false, "print the IDs only")
	return cmd
}

func runListBackups(ctx context.Context, a *app, o listBackupsOptions, args []string) error {
	return a.forServers(ctx, args, func(_ context.Context, configured *config.Server) error {
		s, err := a.catalogued(configured)
		if err != nil {
			return err
		}
		found, err := readListing(s)
		if err != nil {
			return err
		}
		a.print().answer(backupList{server: s.Name(), listing: found, minimal: o.minimal})
		for _, warning := range found.warnings {
			a.print().warn(warning)
		}
		return found.damage
	})
}

type backupList struct {
	server  string
	minimal bool
	listing
}

// stateDamaged stands in lists for the state of a backup that cannot be read.
const stateDamaged = "DAMAGED"

func (l backupList) text(w io.Writer, s style) {
	for _, entry := range l.entries {
		b := entry.Backup
		switch {
		case l.minimal:
			fmt.Fprintln(w, entry.ID)
		case b == nil:
			fmt.Fprintf(w, "%s %s - ? - %s\n", l.server, entry.ID, s.bad(stateDamaged))
		case !b.State.CopyDone():
			fmt.Fprintf(w, "%s %s%s - %s - %s\n", l.server, b.ID, quotedName(b), typeLetter(b.Type()), b.State)
		default:
			fmt.Fprintf(w, "%s %s%s - %s - %s - Size: %s - WAL Size: %s", l.server, b.ID, quotedName(b), typeLetter(b.Type()),
				b.EndTime.Format(time.ANSIC), catalogue.PrettySize(l.size(b)), catalogue.PrettySize(l.wal[b.ID].UntilNextSize))
			if b.State == catalogue.StateWaitingForWALs {
				fmt.Fprintf(w, " - %s", b.State)
			}
			if status := l.retentionStatus(b.ID); status != retention.Unjudged {
				fmt.Fprintf(w, " - %s", status)
			}
			fmt.Fprintln(w)
		}
	}
}

// retentionStatus is the verdict on a backup, unless it is the usual one.
func (l backupList) retentionStatus(id catalogue.BackupID) retention.Verdict {
	verdict, judged := l.verdicts[id]
	if !judged || verdict == retention.Valid {
		return retention.Unjudged
	}
	return verdict
}

func quotedName(b *catalogue.Backup) string {
	if b.Name == "" {
		return ""
	}
	return " '" + b.Name + "'"
}

// size is that of the backup with the WAL that it needs.
func (l backupList) size(b *catalogue.Backup) int64 { return sizeOf(b.Size) + l.wal[b.ID].Size }

func (l backupList) document() map[string]any {
	if l.minimal {
		ids := make([]catalogue.BackupID, 0, len(l.entries))
		for _, entry := range l.entries {
			ids = append(ids, entry.ID)
		}
		return map[string]any{l.server: ids}
	}
	backups := make([]map[string]any, 0, len(l.entries))
	for _, entry := range l.entries {
		backups = append(backups, l.item(entry))
	}
	return map[string]any{l.server: backups}
}

func (l backupList) item(entry catalogue.Entry) map[string]any {
	b := entry.Backup
	if b == nil {
		return map[string]any{"backup_id": entry.ID, "status": stateDamaged, "error": entry.Err.Error()}
	}
	item := map[string]any{"backup_id": b.ID, "backup_type": b.Type(), "status": b.State}
	if b.Name != "" {
		item["backup_name"] = b.Name
	}
	if !b.State.CopyDone() {
		return item
	}
	item["end_time"] = b.EndTime.Format(time.ANSIC)
	item["end_time_timestamp"] = strconv.FormatInt(b.EndTime.Unix(), 10)
	item["size"], item["size_bytes"] = catalogue.PrettySize(l.size(b)), l.size(b)
	until := l.wal[b.ID].UntilNextSize
	item["wal_size"], item["wal_size_bytes"] = catalogue.PrettySize(until), until
	item["retention_status"] = l.retentionStatus(b.ID)
	return item
}
