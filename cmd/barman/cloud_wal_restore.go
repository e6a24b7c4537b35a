package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/cloud"
	"github.com/barman-go/barman/core/walrestore"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func newCloudWALRestoreCommand(a *app) *cobra.Command {
	o := cloudFlags{patience: brief}
	var noPartial, partial bool
	var restoring *restoreCommand
	cmd := &cobra.Command{
		Use:   "wal-restore SOURCE_URL SERVER_NAME WAL_NAME WAL_DEST",
		Short: "Fetch a WAL file from a bucket, as restore_command",
		Long: `Fetch a WAL file from a bucket, whatever it is compressed with, and write it to
WAL_DEST. Where there is no finished segment of that name the unfinished one that a
promotion left will do, unless --no-partial says otherwise. Nothing appears under
WAL_DEST unless it is complete.

Exit codes: 0 done; 1 the bucket has no such WAL file, for certain; 2 the store is out
of reach; 3 wrong usage, or a name that is none of a WAL file's; 4 any other error: no
such bucket, no permission, a damaged object. Run by a PostgreSQL that recovers from
the archive and is no standby, directly or from a shell script, every code but 0 and 1
is 200 higher, and is given only after trying again for --retry-timeout: PostgreSQL
takes a lower one for the end of the archive, and would end recovery. Any other
program that runs it gets the codes as they are.`,
		Example: "  restore_command = 'barman-cloud-wal-restore s3://backups/pg main %f %p'",
	}
	addCloud(a, cmd, &o, 2, 2, func(ctx context.Context, store *cloud.Store, args []string) error {
		name, err := wal.ParseName(args[0])
		if err != nil {
			return sdk.Errorf(sdk.Invalid, "%w", err)
		}
		partial = !noPartial
		return restoring.persist(ctx, a, func() bool { return true }, func() error {
			return store.RestoreWAL(ctx, cloud.WALRequest{
				Name: name, Destination: args[1], Partial: partial, Examine: restoring.state != walrestore.Elsewhere,
			})
		})
	})
	cmd.Flags().BoolVar(&noPartial, "no-partial", false, "never take an unfinished segment")
	cmd.ValidArgsFunction = completeCloud(cobra.ShellCompDirectiveDefault)
	restoring = restores(cmd, &partial, codeOfCloud)
	if !walrestore.RunByPostgreSQL(os.Getpid()) {
		restoring.state = walrestore.Elsewhere
	}
	restoring.settle(cmd)
	return cmd
}
