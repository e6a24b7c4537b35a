package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/wal"
)

func newArchiveWALCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "archive-wal SERVER",
		Short: "Archive the WAL files that have come",
		Long: `Carry the WAL files that archive_command has delivered and receive-wal has
finished into the archive of a server, and complete the backups that waited for
them. 'barman cron' does so for all servers.

A file that cannot be archived is kept in the errors directory and listed; the
exit code is 7 then. It is 5 while another process archives.

` + exitCodesHelp,
		Example:           "  barman archive-wal main",
		Args:              exactly(1, "a server"),
		ValidArgsFunction: a.completeServer,
		RunE:              func(cmd *cobra.Command, args []string) error { return runArchiveWAL(cmd.Context(), a, args[0]) },
	}
}

func runArchiveWAL(ctx context.Context, a *app, name string) error {
	s, err := a.server(name, a.open)
	if err != nil || a.skipInactive(s.Config) {
		return err
	}
	done := archivedWAL{server: s}
	done.report, err = wal.Archive(ctx, s, wal.ArchiveOptions{File: func(f wal.File) { done.files = append(done.files, f) }})
	a.print().answer(done)
	return failedWith(err, a.tellProblems(s, done.report))
}

// tellProblems warns of what a run could not do and returns the files that were
// set aside as an error.
func (a *app) tellProblems(s *server.Server, report wal.Report) error {
	for _, lost := range report.Lost {
		a.print().warn(fmt.Sprintf("server %s: %s did not take everything: %s", s.Name(), lost.Sink, lost.Reason))
	}
	failed := &failures{of: report.Archived + report.Known + len(report.Problems) + 1}
	for _, f := range report.Problems {
		if f.Outcome != wal.SetAside {
			a.print().warn(fmt.Sprintf("server %s: %s stays for a later run: %s", s.Name(), f.Name, f.Reason))
			continue
		}
		err := fmt.Errorf("server %s: %s was moved to %s: %s", s.Name(), f.Name, f.Path, f.Reason)
		a.print().fail(err)
		failed.errs = append(failed.errs, err)
	}
	return failed.result()
}

// failedWith prefers the error that ended a command to what it listed before.
func failedWith(err, listed error) error {
	if err != nil {
		return err
	}
	return listed
}

// archivedWAL is the outcome of a run.
type archivedWAL struct {
	server *server.Server
	report wal.Report
	files  []wal.File
}

func (d archivedWAL) text(w io.Writer, _ style) {
	for _, origin := range origins(d.server.Config) {
		fmt.Fprintf(w, "Processing xlog segments from %s for %s\n", origin, d.server.Name())
		found := false
		for _, f := range d.files {
			if f.Origin == origin && (f.Outcome == wal.Archived || f.Outcome == wal.Known) {
				found = true
				fmt.Fprintf(w, "\t%s\n", f.Name)
			}
		}
		if !found {
			fmt.Fprintln(w, "\tno file found")
		}
	}
	for _, b := range d.report.Backups {
		fmt.Fprintf(w, "Backup %s of server %s: %s\n", b.ID, d.server.Name(), b.State)
	}
}

// origins are where a server's WAL comes from, in the order of archiving.
func origins(s *config.Server) []wal.Origin {
	var all []wal.Origin
	if s.WAL.Source != nil {
		all = append(all, wal.Streaming)
	}
	if s.WAL.Archive {
		all = append(all, wal.Incoming)
	}
	return all
}

func (d archivedWAL) document() map[string]any {
	files, states := d.files, map[string]any{}
	if files == nil {
		files = []wal.File{}
	}
	for _, b := range d.report.Backups {
		states[string(b.ID)] = b.State
	}
	return map[string]any{d.server.Name(): map[string]any{
		"files": files, "archived": d.report.Archived, "known": d.report.Known, "backups": states,
	}}
}
