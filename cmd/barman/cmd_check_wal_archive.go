package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func newCheckWALArchiveCommand(a *app) *cobra.Command {
	var timeline uint32
	cmd := &cobra.Command{
		Use:   "check-wal-archive SERVER",
		Short: "Check that a new cluster can safely archive its WAL for a server",
		Long: `Check that the WAL archive of a server holds nothing that the WAL of a new
cluster could meet: without --timeline the archive must be empty; with
--timeline N it must hold nothing of timeline N or a later one, as is right
before a cluster recovered to timeline N begins to archive.

The exit code is 1 when it does.

` + exitCodesHelp,
		Example:           "  barman check-wal-archive main\n  barman check-wal-archive --timeline 2 main",
		Args:              exactly(1, "a server"),
		ValidArgsFunction: a.completeServer,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("timeline") && timeline == 0 {
				return usageError(cmd, "--timeline 0: the first timeline is 1")
			}
			return runCheckWALArchive(cmd.Context(), a, args[0], wal.Timeline(timeline))
		},
	}
	cmd.Flags().Uint32Var(&timeline, "timeline", 0, "the `TIMELINE` that the new cluster is on")
	return cmd
}

func runCheckWALArchive(_ context.Context, a *app, name string, timeline wal.Timeline) error {
	s, err := a.server(name, a.enabled)
	if err != nil || a.skipInactive(s.Config) {
		return err
	}
	met, err := s.Catalogue.WALFrom(timeline)
	if err != nil {
		return err
	}
	a.print().answer(checkedArchive{server: s.Name(), passed: met == catalogue.WALCount{}})
	switch {
	case met == catalogue.WALCount{}:
		return nil
	case timeline == 0:
		return sdk.Errorf(sdk.Exists, "WAL archive check failed for server %s: Expected empty archive", s.Name())
	}
	return sdk.Errorf(sdk.Exists, "WAL archive check failed for server %s: Found %d files in WAL archive equal to or newer than timeline %d",
		s.Name(), max(met.Files, met.Records), timeline)
}

// checkedArchive is the outcome of the check. That it failed is an error.
type checkedArchive struct {
	server string
	passed bool
}

func (c checkedArchive) sentence() string {
	return fmt.Sprintf("WAL archive check for server %s passed", c.server)
}

func (c checkedArchive) text(w io.Writer, _ style) {
	fmt.Fprintf(w, "Server %s:\n", c.server)
	if c.passed {
		fmt.Fprintf(w, " - %s\n", c.sentence())
	}
}

func (c checkedArchive) document() map[string]any {
	if !c.passed {
		return nil
	}
	return map[string]any{c.server: c.sentence()}
}
