package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/wal"
)

func newWALArchiveCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "wal-archive SERVER WAL_PATH",
		Short: "Archive one WAL file, as archive_command",
		Long: `Carry one WAL file straight through the WAL pipeline of a server into its sinks.
It is meant for archive_command on a host that has barman's configuration: when it
ends with 0 the file is durable in every required sink. The file itself stays, and
a relative WAL_PATH is relative to the working directory, as PostgreSQL's %p is.

A file that is archived already is fine; another one under the same name is an
error, and the archive stays as it is.

` + archiveCommandCodesHelp,
		Example:           "  archive_command = 'barman wal-archive main %p'",
		Args:              exactly(2, "a server and the path of a WAL file"),
		ValidArgsFunction: a.completeServerAndFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return forArchiveCommand(cmd.Context(), runWALArchive(cmd.Context(), a, args[0], args[1]))
		},
	}
}

func runWALArchive(ctx context.Context, a *app, name, path string) error {
	s, err := a.server(name, a.open)
	if err != nil {
		return err
	}
	outcome, report, err := wal.Push(ctx, s, path)
	for _, lost := range report.Lost {
		a.print().warn(fmt.Sprintf("server %s: %s did not take %s: %s", name, lost.Sink, path, lost.Reason))
	}
	if err != nil {
		return err
	}
	a.print().answer(walArchived{name, path, outcome})
	return nil
}

// walArchived is what became of the file.
type walArchived struct {
	server, path string
	outcome      wal.Outcome
}

// text says nothing: PostgreSQL would log it with every segment.
func (walArchived) text(io.Writer, style) {}

func (w walArchived) document() map[string]any {
	return map[string]any{w.server: map[string]any{"path": w.path, "outcome": w.outcome}}
}
