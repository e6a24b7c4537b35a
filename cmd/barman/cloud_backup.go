package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/cloud"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
)

// cloudBackupFlags are the options of barman-cloud-backup beyond the common ones.
type cloudBackupFlags struct {
	cloudFlags
	codecs      codecFlags
	connection  cloudConnection
	name        string
	immediate   bool
	archiveSize cloudSize
	snapshots   []string // options of snapshot backups that were given
}

// cloudBackupJobs is how many archives are on their way at once, as in Python.
const cloudBackupJobs = 2

func newCloudBackupCommand(a *app) *cobra.Command {
	var o cloudBackupFlags
	cmd := &cobra.Command{
		Use:   "backup DESTINATION_URL SERVER_NAME",
		Short: "Take a base backup of a PostgreSQL server straight into a bucket",
		Long: `Take a base backup of a PostgreSQL server straight into a bucket; nothing is kept on
local disks on the way. The server is read over the replication protocol. Where that
is not allowed, and the server's data directory is on this host, it is read there.
Connection options that are not given come from the variables of libpq, such as
PGHOST, and ~/.pgpass.

The backup is complete when the server has archived the WAL that it needs. One that
fails, or is interrupted, is listed as FAILED.

As a hook of a Barman server, post_backup_script or post_backup_retry_script, it copies
the backup that was taken, which must be in plain files.

` + cloudExitCodesHelp + `
As a hook it ends with 63 when the backup is not DONE, so that it is not tried again.`,
		Example: "  barman-cloud-backup --gzip -h /var/run/postgresql -U postgres s3://backups/pg main\n" +
			"  barman-cloud-backup --zstd --name before-upgrade --immediate-checkpoint -J 4 gs://backups/pg main\n" +
			"  post_backup_retry_script = 'barman-cloud-backup s3://backups/pg ${BARMAN_SERVER}'",
	}
	addCloud(a, cmd, &o.cloudFlags, 0, 0, func(ctx context.Context, store *cloud.Store, _ []string) error {
		return runCloudBackup(ctx, a, store, &o)
	})
	leaveD(a, cmd.Flags())
	o.addFlags(cmd)
	cmd.ValidArgsFunction = completeCloud(cobra.ShellCompDirectiveNoFileComp)
	return cmd
}

func (o *cloudBackupFlags) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	o.codecs.addFlags(flags, "the backup", codec.Gzip, codec.Bzip2, codec.Snappy, codec.LZ4, codec.Zstd, codec.XZ)
	o.connection.addFlags(flags)
	flags.BoolVar(&o.immediate, "immediate-checkpoint", false, "have PostgreSQL make the checkpoint that begins the backup at once")
	flags.IntVarP(&o.jobs, "jobs", "J", cloudBackupJobs, "how many archives, and parts of each, are uploaded at once")
	flags.VarP(&o.archiveSize, "max-archive-size", "S", "`SIZE`, before compression, at which archives are split, between files (default 1GB)")
	flags.Var(&o.minChunkSize, "min-chunk-size", "`SIZE` of the parts that an archive is uploaded in, at least")
	flags.Var(&o.maxBandwidth, "max-bandwidth", "the most that is uploaded in a second, a `SIZE`")
	flags.StringVarP(&o.name, "name", "n", "", "a `NAME` for the backup, usable in place of its ID")
	flags.StringVar(&o.region, "aws-region", "", "S3: `REGION` of the bucket")
	o.addTags(cmd)
	o.addEncryption(cmd)
	o.addSnapshotFlags(flags)
}

// addSnapshotFlags takes the options of a form of backup that there is not, to say
// so.
func (o *cloudBackupFlags) addSnapshotFlags(flags *pflag.FlagSet) {
	for _, name := range []string{
		"snapshot-instance", "snapshot-disk", "snapshot-zone", "snapshot-gcp-project", "gcp-project", "gcp-zone", "aws-await-snapshots-timeout",
		"aws-snapshot-lock-mode", "aws-snapshot-lock-cool-off-period", "aws-snapshot-lock-expiration-date", "aws-snapshot-lock-duration",
		"azure-subscription-id", "azure-resource-group",
	} {
		flags.Func(name, "", func(string) error { o.snapshots = append(o.snapshots, "--"+name); return nil })
		hide(flags, name)
	}
}

func (o *cloudBackupFlags) validate() error {
	switch {
	case len(o.snapshots) > 0:
		return sdk.Errorf(sdk.Invalid, "%s: backups by snapshots of volumes are not supported; leave the option out to copy the data", strings.Join(o.snapshots, ", "))
	case o.jobs < 1 || o.jobs > maxJobs:
		return sdk.Errorf(sdk.Invalid, "--jobs %d: choose from 1 to %d", o.jobs, maxJobs)
	}
	return nil
}

func runCloudBackup(ctx context.Context, a *app, store *cloud.Store, o *cloudBackupFlags) error {
	if err := o.validate(); err != nil {
		return err
	}
	compression, err := o.codecs.compression()
	if err != nil {
		return err
	}
	if os.Getenv("BARMAN_HOOK") != "" {
		return runCloudUpload(ctx, a, store, o, compression)
	}
	tell, end := a.progress("backup of " + store.Server().Name)
	taken, err := store.Backup(ctx, cloud.BackupRequest{
		Conninfo: o.connection.conninfo(), Name: o.name, Immediate: o.immediate, Jobs: o.jobs, ArchiveSize: int64(o.archiveSize),
		Compression: compression, Progress: tell, Logger: a.logger(),
	})
	end()
	if err != nil {
		return backupFailure(err)
	}
	a.print().answer(cloudBackupTaken{store.Server().Name, taken})
	return nil
}

// runCloudUpload is barman-cloud-backup as a hook.
func runCloudUpload(ctx context.Context, a *app, store *cloud.Store, o *cloudBackupFlags, compression cloud.Compression) error {
	upload, err := hookedBackup(o)
	if err != nil {
		return err
	}
	tell, end := a.progress("copy of backup " + string(upload.ID))
	defer end()
	upload.Jobs, upload.ArchiveSize, upload.Compression, upload.Progress, upload.Logger = o.jobs, int64(o.archiveSize), compression, tell, a.logger()
	return backupFailure(store.Upload(ctx, upload))
}

// backupFailure gives the failure of a backup that had begun the exit code of one.
func backupFailure(err error) error {
	var failed *cloud.BackupFailedError
	if errors.As(err, &failed) {
		return cloudFailed(err)
	}
	return err
}

// exitHookGivesUp tells a Barman server not to try its retry hook again.
const exitHookGivesUp = 63

// hookedBackup is the backup that a Barman server tells its hooks of.
func hookedBackup(o *cloudBackupFlags) (cloud.Upload, error) {
	hook, phase, status := os.Getenv("BARMAN_HOOK"), os.Getenv("BARMAN_PHASE"), os.Getenv("BARMAN_STATUS")
	id := catalogue.BackupID(os.Getenv("BARMAN_BACKUP_ID"))
	directory, info := os.Getenv("BARMAN_BACKUP_DIR"), os.Getenv("BARMAN_BACKUP_INFO_PATH")
	switch {
	case hook != "backup_script" && hook != "backup_retry_script" || phase != "post":
		return cloud.Upload{}, settled{exitUnknown, sdk.Errorf(sdk.Invalid, "this hook is %s, phase %s: use post_backup_script or post_backup_retry_script", hook, phase)}
	case status != string(catalogue.StateDone):
		return cloud.Upload{}, settled{exitHookGivesUp, sdk.Errorf(sdk.Invalid, "backup %s is %s, and only one that is DONE is copied: take it with barman backup --wait", id, status)}
	case o.name != "":
		return cloud.Upload{}, sdk.Errorf(sdk.Invalid, "--name: a backup that was taken already keeps its name")
	case !id.Valid() || directory == "" || info == "":
		return cloud.Upload{}, sdk.Errorf(sdk.Invalid, "BARMAN_BACKUP_ID, BARMAN_BACKUP_DIR and BARMAN_BACKUP_INFO_PATH are not all set: a Barman server sets them for its hooks")
	}
	return cloud.Upload{ID: id, Directory: directory, Info: info}, nil
}

// cloudBackupTaken is a backup that is complete.
type cloudBackupTaken struct {
	server string
	backup *catalogue.Backup
}

// text says nothing, as in Python: what happened is in the log.
func (cloudBackupTaken) text(io.Writer, style) {}

func (t cloudBackupTaken) document() map[string]any {
	return map[string]any{t.server: map[string]any{"backup_id": string(t.backup.ID), "backup_name": t.backup.Name}}
}

// cloudConnection is how the server is reached.
type cloudConnection struct{ host, port, user, database string }

func (c *cloudConnection) addFlags(flags *pflag.FlagSet) {
	flags.StringVarP(&c.host, "host", "h", "", "`HOST` of the PostgreSQL server, or the directory of its socket")
	flags.StringVarP(&c.port, "port", "p", "", "its `PORT`")
	flags.StringVarP(&c.user, "user", "U", "", "the `USER` to connect as")
	flags.StringVarP(&c.database, "dbname", "d", "", "the `DATABASE`, or a connection string, over which the other options go (default: PGDATABASE, else postgres)")
}

// conninfo is the connection string. What it does not say is for libpq's variables
// and service files to say.
func (c *cloudConnection) conninfo() sdk.Secret {
	parameters := [][2]string{{"host", c.host}, {"port", c.port}, {"user", c.user}}
	text, database := "", c.database
	switch {
	case strings.Contains(database, "://"):
		// A URI takes further parameters behind a question mark.
		separator := "?"
		if strings.Contains(database, "?") {
			separator = "&"
		}
		text = database
		for _, p := range parameters {
			if p[1] != "" {
				text += separator + p[0] + "=" + strings.ReplaceAll(url.QueryEscape(p[1]), "+", "%20")
				separator = "&"
			}
		}
		return sdk.Secret(text)
	case strings.Contains(database, "="):
		text, database = database+" ", ""
	case database == "" && os.Getenv("PGDATABASE") == "" && os.Getenv("PGSERVICE") == "":
		database = "postgres"
	}
	for _, p := range append(parameters, [2]string{"dbname", database}) {
		if p[1] != "" {
			text += fmt.Sprintf("%s='%s' ", p[0], strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(p[1]))
		}
	}
	return sdk.Secret(strings.TrimSuffix(text, " "))
}
