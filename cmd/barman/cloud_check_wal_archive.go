package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/cloud"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func newCloudCheckWALArchiveCommand(a *app) *cobra.Command {
	o := cloudFlags{createBucket: true, patience: brief}
	var timeline uint32
	cmd := &cobra.Command{
		Use:   "check-wal-archive DESTINATION_URL SERVER_NAME",
		Short: "Check that a new cluster can safely archive its WAL in a bucket",
		Long: `Check that a bucket holds no WAL of the server which the WAL of a new cluster could
meet: without --timeline none at all; with --timeline N none of timeline N or a later
one. A bucket that does not exist is made. The exit code is 1 when there is such WAL.

` + cloudExitCodesHelp,
		Example: "  barman-cloud-check-wal-archive s3://backups/pg main\n  barman-cloud-check-wal-archive --timeline 2 s3://backups/pg main",
	}
	addCloud(a, cmd, &o, 0, 0, func(ctx context.Context, store *cloud.Store, _ []string) error {
		if cmd.Flags().Changed("timeline") && timeline == 0 {
			return usageError(cmd, "--timeline 0: the first timeline is 1")
		}
		return runCloudCheckWALArchive(ctx, a, store, wal.Timeline(timeline))
	})
	cmd.Flags().Uint32Var(&timeline, "timeline", 0, "the `TIMELINE` that the new cluster is on")
	return cmd
}

func runCloudCheckWALArchive(ctx context.Context, a *app, store *cloud.Store, timeline wal.Timeline) error {
	server := store.Server().Name
	found, err := store.WALFrom(ctx, timeline)
	switch {
	case err != nil:
		return err
	case found == 0:
		a.print().answer(usableArchive{checkedArchive{server: server, passed: true}})
		return nil
	case timeline == 0:
		return cloudFailed(sdk.Errorf(sdk.Exists, "WAL archive check failed for server %s: Expected empty archive", server))
	}
	return cloudFailed(sdk.Errorf(sdk.Exists, "WAL archive check failed for server %s: Found %d files in WAL archive equal to or newer than timeline %d",
		server, found, timeline))
}

// usableArchive is the outcome of a check that passed. Python's program says nothing
// then.
type usableArchive struct{ checkedArchive }

func (usableArchive) text(io.Writer, style) {}
