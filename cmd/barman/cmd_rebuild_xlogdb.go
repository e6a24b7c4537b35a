package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/wal"
)

func newRebuildXlogDBCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rebuild-xlogdb SERVER...",
		Short: "Write the index of the WAL archive anew",
		Long: `Write xlog.db, the index of a server's WAL archive, anew from the files of the
archive, in the order of their names. Until it is complete the old one is in
use. No WAL is archived meanwhile; the command waits for an archiver that is at
work. "all" stands for every server. Where the archive is in a sink elsewhere, as
a bucket, the sink is asked for its files.

` + exitCodesHelp,
		Example:           "  barman rebuild-xlogdb main\n  barman rebuild-xlogdb all",
		Args:              someServers,
		ValidArgsFunction: a.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.forServers(cmd.Context(), args, func(ctx context.Context, s *config.Server) error { return rebuildXlogDB(ctx, a, s) })
		},
	}
}

func rebuildXlogDB(ctx context.Context, a *app, configured *config.Server) error {
	if a.skipInactive(configured) {
		return nil
	}
	s, err := a.enabled(configured)
	if err != nil {
		return err
	}
	if a.options.format != formatJSON {
		a.print().info("Rebuilding xlogdb for server " + s.Name())
	}
	every := &interval{next: time.Now().Add(firstProgress)}
	report, err := wal.RebuildIndex(ctx, s, func(files int) {
		if every.passed(time.Now()) {
			s.Logger.Info("rebuilding xlog.db", "files", files)
		}
	})
	if err != nil {
		return err
	}
	for _, path := range report.SkippedPaths {
		a.print().warn(fmt.Sprintf("server %s: %s is not a WAL file of the archive and was left out", s.Name(), path))
	}
	if more := report.Skipped - len(report.SkippedPaths); more > 0 {
		a.print().warn(fmt.Sprintf("server %s: %d more files were left out", s.Name(), more))
	}
	a.print().answer(rebuiltXlogDB{server: s.Name(), report: report})
	return nil
}

// rebuiltXlogDB is what the index lists now.
type rebuiltXlogDB struct {
	server string
	report catalogue.RebuildReport
}

func (r rebuiltXlogDB) text(w io.Writer, _ style) {
	fmt.Fprintf(w, "Done rebuilding xlogdb for server %s (history: %d, backup_labels: %d, wal_file: %d)\n",
		r.server, r.report.Histories, r.report.BackupHistories, r.report.Segments)
}

func (r rebuiltXlogDB) document() map[string]any {
	return map[string]any{r.server: map[string]any{
		"history": r.report.Histories, "backup_labels": r.report.BackupHistories, "wal_file": r.report.Segments, "skipped": r.report.Skipped,
	}}
}
