package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/cloud"
	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/sdk"
)

// cloudDelete are the options of backup-delete.
type cloudDelete struct {
	backup, policy string
	minimum, batch int
	dryRun         bool
}

func newCloudBackupDeleteCommand(a *app) *cobra.Command {
	o := cloudFlags{patience: brief}
	var d cloudDelete
	cmd := &cobra.Command{
		Use:   "backup-delete SOURCE_URL SERVER_NAME",
		Short: "Delete a backup, or those that a policy calls obsolete, from a bucket",
		Long: `Delete a backup from a bucket, or all that a retention policy calls obsolete, with
the WAL that no other backup needs. Before anything goes, backup.info says FAILED, so
that what is left of a backup is not taken for one; an interrupted deletion is finished
by the next one. While any backup.info of the server cannot be read nothing is deleted.

` + cloudExitCodesHelp,
		Example: "  barman-cloud-backup-delete --backup-id 20260102T030405 s3://backups/pg main\n" +
			"  barman-cloud-backup-delete --retention-policy 'RECOVERY WINDOW OF 7 DAYS' --minimum-redundancy 1 s3://backups/pg main",
	}
	addCloud(a, cmd, &o, 0, 0, func(ctx context.Context, store *cloud.Store, _ []string) error {
		return d.run(ctx, a, cmd, store)
	})
	flags := cmd.Flags()
	flags.StringVarP(&d.backup, "backup-id", "b", "", "`BACKUP_ID` of the backup to delete")
	flags.StringVarP(&d.policy, "retention-policy", "r", "", "delete what the `POLICY` calls obsolete: REDUNDANCY 3, or RECOVERY WINDOW OF n DAYS, WEEKS or MONTHS")
	flags.IntVarP(&d.minimum, "minimum-redundancy", "m", 0, "leave at least `N` backups")
	flags.BoolVar(&d.dryRun, "dry-run", false, "delete nothing, print what would be deleted")
	flags.IntVar(&d.batch, "batch-size", 0, "delete at most `N` objects in one request (default: as many as the store takes)")
	flags.BoolVar(&o.checkLock, "check-object-lock", false, "S3: delete nothing of a backup of which the store has locked an object")
	return cmd
}

func (d cloudDelete) run(ctx context.Context, a *app, cmd *cobra.Command, store *cloud.Store) error {
	if (d.backup == "") == (d.policy == "") {
		return usageError(cmd, "give --backup-id or --retention-policy, one of them")
	}
	if d.minimum < 0 {
		return usageError(cmd, fmt.Sprintf("--minimum-redundancy %d: it is not negative", d.minimum))
	}
	options := cloud.DeleteOptions{
		DryRun: d.dryRun, Minimum: d.minimum, Batch: d.batch,
		Group: func(objects []string) {
			a.print().info(skippedDeletion(store.Server().Name, objects))
		},
		Warn: func(err error) { a.print().warn(err.Error()) },
	}
	var err error
	if d.policy != "" {
		policy, bad := retention.Parse(d.policy)
		if bad != nil || policy.IsZero() {
			return sdk.Errorf(sdk.Invalid, "--retention-policy: %q is none: write REDUNDANCY 3, or RECOVERY WINDOW OF 7 DAYS, WEEKS or MONTHS", d.policy)
		}
		err = store.Enforce(ctx, policy, options)
	} else {
		err = store.Delete(ctx, d.backup, options)
	}
	var unknown *cloud.UnknownIDError
	if errors.As(err, &unknown) {
		a.print().warn(err.Error()) // what is gone already need not be deleted
		return nil
	}
	return deletionFailed(err)
}

// deletionFailed gives what was refused, and a deletion that broke down after it had
// begun, the exit code of an operation that failed.
func deletionFailed(err error) error {
	var broken *cloud.DeletionError
	if err == nil {
		return nil
	}
	if kind := sdk.KindOf(err); errors.As(err, &broken) || kind == sdk.Denied || kind == sdk.Corrupt {
		return cloudFailed(err)
	}
	return err
}

// skippedDeletion says what a dry run leaves in place, in Python's words.
func skippedDeletion(server string, objects []string) string {
	quoted := make([]string, len(objects))
	for i, object := range objects {
		quoted[i] = "'" + server + "/" + object + "'"
	}
	return fmt.Sprintf("Skipping deletion of objects [%s] due to --dry-run option", strings.Join(quoted, ", "))
}
