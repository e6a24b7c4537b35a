package main

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/cloud"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// cloudRestoreFlags are the options of barman-cloud-restore beyond the common ones.
type cloudRestoreFlags struct {
	cloudFlags
	tablespaces                           []string
	targetTime, targetLSN, targetTimeline string
	restoreJobs                           int
	snapshots                             []string // options of snapshot backups that were given
}

func newCloudRestoreCommand(a *app) *cobra.Command {
	var o cloudRestoreFlags
	cmd := &cobra.Command{
		Use:   "restore SOURCE_URL SERVER_NAME BACKUP_ID RECOVERY_DIRECTORY",
		Short: "Restore a base backup from a bucket",
		Long: `Restore a base backup from a bucket into RECOVERY_DIRECTORY, which must not exist or
be empty, as must the directories of its tablespaces. BACKUP_ID is an ID, a name, one
of latest, last, oldest, first, or auto: the newest backup that leads to the target.

Only files are restored: no WAL is fetched, and no setting is changed. Before the server
is started, set restore_command, such as 'barman-cloud-wal-restore s3://backups/pg main
%f %p', and create recovery.signal.

PostgreSQL does not start from a directory in which a restore was interrupted. The same
command begins anew there.

` + cloudExitCodesHelp,
		Example: "  barman-cloud-restore s3://backups/pg main latest /var/lib/postgresql/15/main\n" +
			"  barman-cloud-restore s3://backups/pg main auto /srv/pg --target-time '2026-01-31 15:04:05+01:00' --tablespace fast:/srv/fast",
	}
	addCloud(a, cmd, &o.cloudFlags, 2, 2, func(ctx context.Context, store *cloud.Store, args []string) error {
		return runCloudRestore(ctx, a, store, &o, args[0], args[1])
	})
	o.addFlags(cmd.Flags())
	cmd.ValidArgsFunction = completeCloud(cobra.ShellCompDirectiveFilterDirs)
	return cmd
}

func (o *cloudRestoreFlags) addFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.tablespaces, "tablespace", nil, "`NAME:LOCATION` of a tablespace that goes elsewhere; may be repeated")
	flags.StringVar(&o.targetTime, "target-time", "", "for auto: the newest backup that ended by this `TIME`")
	flags.StringVar(&o.targetLSN, "target-lsn", "", "for auto: the newest backup that ended by this `LSN`")
	flags.StringVar(&o.targetTimeline, "target-tli", "", "for auto: a backup on this `TIMELINE`, a number or latest")
	flags.IntVarP(&o.restoreJobs, "jobs", "J", 0, "how many archives are fetched and unpacked at once (default: one for each processor, two at least)")
	flags.StringVar(&o.region, "aws-region", "", "S3: `REGION` of the bucket")
	for _, name := range []string{"snapshot-recovery-instance", "snapshot-recovery-zone", "gcp-zone", "azure-resource-group"} {
		flags.Func(name, "", func(string) error { o.snapshots = append(o.snapshots, "--"+name); return nil })
		hide(flags, name)
	}
}

func (o *cloudRestoreFlags) validate(reference string) error {
	targeted := o.targetTime != "" || o.targetLSN != "" || o.targetTimeline != ""
	switch {
	case len(o.snapshots) > 0:
		return sdk.Errorf(sdk.Invalid, "%s: backups by snapshots of volumes are not supported", strings.Join(o.snapshots, ", "))
	case o.targetTime != "" && o.targetLSN != "":
		return sdk.Errorf(sdk.Invalid, "--target-time and --target-lsn exclude each other")
	case reference == cloud.Auto && !targeted:
		return sdk.Errorf(sdk.Invalid, "auto needs a target: give --target-time, --target-lsn or --target-tli, or use latest")
	case reference != cloud.Auto && targeted:
		return sdk.Errorf(sdk.Invalid, "a target chooses among the backups: use auto in the place of %s", reference)
	case o.restoreJobs < 0 || o.restoreJobs > maxJobs:
		return sdk.Errorf(sdk.Invalid, "--jobs %d: choose from 1 to %d", o.restoreJobs, maxJobs)
	}
	return nil
}

func (o *cloudRestoreFlags) target() (cloud.Target, error) {
	var t cloud.Target
	var err error
	if o.targetTime != "" {
		if t.Time, _, err = parseTargetTime(o.targetTime); err != nil {
			return t, err
		}
	}
	if o.targetLSN != "" {
		if t.LSN, err = wal.ParseLSN(o.targetLSN); err != nil {
			return t, sdk.Errorf(sdk.Invalid, "--target-lsn: %w", err)
		}
	}
	switch o.targetTimeline {
	case "", "latest":
		return t, nil
	case "current":
		return t, sdk.Errorf(sdk.Invalid, "--target-tli current: which backup that is depends on the backup; give a number or latest")
	}
	n, err := strconv.ParseUint(o.targetTimeline, 10, 32)
	if err != nil || n == 0 {
		return t, sdk.Errorf(sdk.Invalid, "--target-tli %q: it is a number from 1, or latest", o.targetTimeline)
	}
	t.Timeline = wal.Timeline(n)
	return t, nil
}

// moved are the tablespaces that go elsewhere.
func (o *cloudRestoreFlags) moved() (map[string]string, error) {
	moved := map[string]string{}
	for _, rule := range o.tablespaces {
		name, location, found := strings.Cut(rule, ":")
		if !found || name == "" || location == "" {
			return nil, sdk.Errorf(sdk.Invalid, "--tablespace %q: write NAME:LOCATION", rule)
		}
		moved[name] = location
	}
	return moved, nil
}

func runCloudRestore(ctx context.Context, a *app, store *cloud.Store, o *cloudRestoreFlags, reference, destination string) error {
	if err := o.validate(reference); err != nil {
		return err
	}
	target, err := o.target()
	if err != nil {
		return err
	}
	moved, err := o.moved()
	if err != nil {
		return err
	}
	tell, end := a.progress("restore of " + store.Server().Name)
	b, err := store.Restore(ctx, cloud.RestoreRequest{
		Reference: reference, Target: target, Destination: destination, Tablespaces: moved, Jobs: o.restoreJobs, Progress: tell, Logger: a.logger(),
	})
	end()
	switch {
	case err == nil:
		a.print().answer(cloudRestored{store.Server().Name, b, destination})
		return nil
	case sdk.KindOf(err) == sdk.Unavailable, b == nil && sdk.KindOf(err) != sdk.NotFound:
		return err
	}
	return cloudFailed(err)
}

// cloudRestored is a backup whose files are in place.
type cloudRestored struct {
	server      string
	backup      *catalogue.Backup
	destination string
}

// text says nothing, as in Python.
func (cloudRestored) text(io.Writer, style) {}

func (r cloudRestored) document() map[string]any {
	return map[string]any{r.server: map[string]any{"backup_id": string(r.backup.ID), "destination": r.destination}}
}
