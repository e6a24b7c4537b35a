package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

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
	done := archivedWAL{server: s, begun: map[wal.Origin]bool{}}
	told := func(f wal.File) { done.files = append(done.files, f) }
	if a.options.format != formatJSON {
		// There may be very many: they are printed now and then, and not kept.
		told = func(f wal.File) {
			if done.files = append(done.files, f); len(done.files) >= printedAtOnce {
				a.print().answer(done.part())
			}
		}
	}
	done.report, err = wal.Archive(ctx, s, wal.ArchiveOptions{File: told})
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
		if f.Outcome == wal.Left {
			a.print().warn(fmt.Sprintf("server %s: %s stays for a later run: %s", s.Name(), f.Name, f.Reason))
			continue
		}
		err := fmt.Errorf("server %s: %s was moved to %s: %s", s.Name(), f.Name, f.Path, f.Reason)
		if f.Outcome == wal.Stuck {
			err = fmt.Errorf("server %s: %s stays where it is: %s", s.Name(), f.Name, f.Reason)
		}
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

// printedAtOnce is how many files are printed together, in the order of where they
// came from.
const printedAtOnce = 1000

// archivedWAL is the outcome of a run.
type archivedWAL struct {
	server *server.Server
	report wal.Report
	// files are those that were not printed yet.
	files []wal.File
	// begun are the origins of those that were.
	begun map[wal.Origin]bool
}

func (d archivedWAL) text(w io.Writer, _ style) {
	all := origins(d.server.Config)
	for _, f := range d.files {
		if !slices.Contains(all, f.Origin) { // received before it was configured otherwise
			all = append(all, f.Origin)
		}
	}
	for _, origin := range all {
		var names []string
		for _, f := range d.files {
			if f.Origin == origin && (f.Outcome == wal.Archived || f.Outcome == wal.Known) {
				names = append(names, f.Name)
			}
		}
		if len(names) == 0 && d.begun[origin] {
			continue
		}
		fmt.Fprintln(w, heading(d.server, origin))
		for _, name := range names {
			fmt.Fprintf(w, "\t%s\n", name)
		}
		if len(names) == 0 {
			fmt.Fprintln(w, "\tno file found")
		}
	}
	for _, b := range d.report.Backups {
		fmt.Fprintf(w, "Backup %s of server %s: %s\n", b.ID, d.server.Name(), b.State)
	}
}

// heading is what the files of an origin are printed under.
func heading(s *server.Server, origin wal.Origin) string {
	text, size := fmt.Sprintf("Processing xlog segments from %s for %s", origin, s.Name()), s.Config.WAL.IncomingBatchSize
	if origin == wal.Streaming {
		size = s.Config.WAL.StreamingBatchSize
	}
	if size > 0 {
		text += fmt.Sprintf(" (batch size: %d)", size)
	}
	return text
}

// part takes the files to be printed now. Origins without any are left for later.
func (d *archivedWAL) part() archivedWAL {
	now := *d
	now.begun = maps.Clone(d.begun)
	for _, origin := range origins(d.server.Config) {
		now.begun[origin] = true
	}
	for _, f := range d.files {
		if f.Outcome == wal.Archived || f.Outcome == wal.Known {
			d.begun[f.Origin] = true
		}
	}
	d.files = nil
	return now
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
