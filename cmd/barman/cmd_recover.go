package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/recovery"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// maxRate is a terabyte in a second, in kilobytes.
const maxRate = 1 << 30

type recoverOptions struct {
	targetTime  string
	target      recovery.Target
	standby     bool
	rate        int64
	tablespaces []string
	jobs        int

	getWAL, noGetWAL bool
	getWALFrom       string
	port             uint16
	stagingWAL       string
	recoveryFile     string

	delta, noDelta bool
	retryTimes     int
	retrySleep     time.Duration
	noRetry        bool

	remote                     string
	compression, noCompression bool
	staging                    string

	notYet  notYet
	without withoutEffect
}

// notYet are options of Barman in Python for what this version cannot do.
type notYet struct {
	combineMode string
	snapshot    [5]string
}

// snapshotOptions are those for backups that are snapshots of volumes.
var snapshotOptions = [...]string{"snapshot-recovery-instance", "snapshot-recovery-zone", "gcp-zone", "azure-resource-group", "aws-region"}

// refuse tells what cannot be done.
func (n notYet) refuse() error {
	if n.combineMode != "" {
		return sdk.Errorf(sdk.Invalid, "--combine-mode: this version of barman does not combine incremental backups")
	}
	for i, value := range n.snapshot {
		if value != "" {
			return sdk.Errorf(sdk.Invalid, "--%s: this version of barman does not recover snapshots of volumes", snapshotOptions[i])
		}
	}
	return nil
}

// withoutEffect are options of Barman in Python for what this program does
// otherwise.
type withoutEffect struct {
	batchSize, batchPeriod int
	location, staged       string
}

// check refuses values that would be wrong anywhere.
func (w withoutEffect) check(remote string) error {
	if w.location != "" && w.location != "local" && w.location != "remote" {
		return sdk.Errorf(sdk.Invalid, "--staging-location %s: it is local or remote", w.location)
	}
	if w.location == "remote" && remote == "" {
		return sdk.Errorf(sdk.Invalid, "--staging-location remote goes with --remote-ssh-command")
	}
	if w.staged != "" && !filepath.IsAbs(w.staged) {
		return sdk.Errorf(sdk.Invalid, "--recovery-staging-path %s: give an absolute path", w.staged)
	}
	if w.batchSize < 0 || w.batchPeriod < 0 {
		return sdk.Errorf(sdk.Invalid, "--jobs-start-batch-size and --jobs-start-batch-period are numbers from 0")
	}
	return nil
}

func newRecoverCommand(a *app) *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:     "recover SERVER [BACKUP] DIRECTORY",
		Aliases: []string{"restore"},
		Short:   "Recover a backup into a new data directory",
		Long: `Recover a backup into DIRECTORY, which must not exist or be empty, and prepare
it so that PostgreSQL, when it is started there, replays WAL up to the target:
the end of the archive, or the one that an option names. What cannot lead there
is refused before anything is written.

BACKUP is an ID, a name given with 'barman backup --name', or one of latest,
last, oldest, first, latest-full, last-full and auto. With auto, or without
BACKUP, the newest one is taken that ended before the target and leads to it;
the target can be a time, an LSN or a timeline then.

Nothing outside DIRECTORY and the directories of tablespaces is changed. A
tablespace goes where it was on the server unless --tablespace says otherwise.

With --remote-ssh-command all directories are on another host, where nothing is
needed but a shell, tar and the usual commands, and not barman.

A recovery that was interrupted goes on where it was when it is given once more.

Settings that would do harm are made comments in the restored files, and those
to be looked at are listed.

The WAL that recovery needs is copied beside the data, the unfinished segment
that was received last included. With --get-wal, or "get-wal" among the options
of the recovery block, PostgreSQL fetches it from Barman while it recovers:
a server on this host by 'barman get-wal', one on another host by
'barman-wal-restore' over SSH, when --get-wal-from names this host as that one
knows it.

` + exitCodesHelp,
		Example: `  barman recover main latest /var/lib/postgresql/15/main
  barman recover main /srv/pg --target-time '2026-01-31 15:04:05+01:00' --target-action promote
  barman recover main 20240110T120000 /srv/pg --tablespace fast:/srv/fast --jobs 4
  barman recover main latest /mnt/newhost/pg --get-wal-from barman@backup.example.com
  barman recover main latest /srv/pg --delta-restore
  barman recover main latest /var/lib/postgresql/15/main --remote-ssh-command 'ssh postgres@newhost'`,
		Args:              recoverArguments,
		ValidArgsFunction: a.completeRecovery,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				args = []string{args[0], catalogue.ShortcutAuto, args[1]}
			}
			return runRecover(cmd.Context(), a, o, args[0], args[1], args[2])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.targetTime, "target-time", "", "recover to this `MOMENT`, such as '2026-01-31 15:04:05+01:00'")
	flags.StringVar(&o.target.XID, "target-xid", "", "recover to the commit of this transaction `ID`")
	flags.StringVar(&o.target.LSN, "target-lsn", "", "recover to this `LSN`")
	flags.StringVar(&o.target.Name, "target-name", "", "recover to the restore point of this `NAME` (pg_create_restore_point)")
	flags.BoolVar(&o.target.Immediate, "target-immediate", false, "stop as soon as the backup is consistent")
	flags.BoolVar(&o.target.Exclusive, "exclusive", false, "stop just before the target rather than just after it")
	flags.StringVar(&o.target.Timeline, "target-tli", "", "follow this `TIMELINE`: a number, current or latest")
	flags.StringVar(&o.target.Action, "target-action", "", "`ACTION` at the target: pause, shutdown or promote")
	flags.BoolVar(&o.standby, "standby-mode", false, "make a standby, which goes on recovering")
	flags.StringArrayVar(&o.tablespaces, "tablespace", nil, "put a tablespace elsewhere: `NAME:DIR` (repeatable)")
	flags.IntVarP(&o.jobs, "jobs", "j", 0, "how many objects are copied at once (default from the configuration)")
	flags.Int64Var(&o.rate, "bwlimit", 0, "the most that is written, in `KBPS`: kilobytes in a second; 0 is without limit")
	flags.BoolVar(&o.getWAL, "get-wal", false, "let PostgreSQL fetch WAL from Barman during recovery, copy none (default from the configuration)")
	flags.BoolVar(&o.noGetWAL, "no-get-wal", false, "copy the WAL that recovery needs, whatever the configuration says")
	flags.StringVar(&o.getWALFrom, "get-wal-from", "", "PostgreSQL will run on another host and fetch WAL from this one over SSH: `[USER@]HOST`")
	flags.Uint16Var(&o.port, "recovery-option-port", 0, "with --get-wal-from: `PORT` of the SSH server there")
	flags.StringVar(&o.stagingWAL, "staging-wal-directory", "", "copy WAL into this new or empty `DIR` instead of barman_wal in DIRECTORY")
	flags.StringVar(&o.recoveryFile, "recovery-conf-filename", "", "since PostgreSQL 12: append the settings of the recovery to this `FILE` in DIRECTORY, which the configuration must include, instead of postgresql.auto.conf")
	flags.BoolVar(&o.delta, "delta-restore", false, "restore onto the files of a cluster that does not run, and replace only what differs (default from the configuration)")
	flags.BoolVar(&o.noDelta, "no-delta-restore", false, "take a new or empty directory only, whatever the configuration says")
	flags.IntVar(&o.retryTimes, "retry-times", 0, "`N`: how often to try again when the copy fails (default from the configuration)")
	durationVar(flags, &o.retrySleep, "retry-sleep", "`TIME` to wait before that (default from the configuration)")
	flags.BoolVar(&o.noRetry, "no-retry", false, "do not try again, whatever the configuration says")
	flags.StringVar(&o.remote, "remote-ssh-command", "", "recover on another host, to which this `COMMAND` leads, such as 'ssh postgres@newhost'")
	flags.BoolVar(&o.compression, "network-compression", false, "with --remote-ssh-command: compress what goes to the other host")
	flags.BoolVar(&o.noCompression, "no-network-compression", false, "do not compress it, which is the default")
	flags.StringVar(&o.staging, "staging-path", "", "with --remote-ssh-command: absolute `DIR` on this host for the few files that must wait before they are sent (default the system's for temporary files)")
	flags.StringVar(&o.staging, "local-staging-path", "", "the same, as older versions of Barman in Python have it")
	o.addForeign(flags)
	return cmd
}

// addForeign adds the options of Barman in Python that do nothing here, or not yet.
func (o *recoverOptions) addForeign(flags *pflag.FlagSet) {
	flags.StringVar(&o.notYet.combineMode, "combine-mode", "", "not yet: `MODE` of combining incremental backups")
	for i, name := range snapshotOptions {
		flags.StringVar(&o.notYet.snapshot[i], name, "", "not yet: for backups that are snapshots of volumes")
	}
	const nothing = "accepted for Barman in Python's sake, without effect: "
	flags.IntVar(&o.without.batchSize, "jobs-start-batch-size", 0, nothing+"jobs start at once")
	flags.IntVar(&o.without.batchPeriod, "jobs-start-batch-period", 0, nothing+"jobs start at once")
	flags.StringVar(&o.without.location, "staging-location", "", nothing+"`local` or remote: backups are decompressed on their way")
	flags.StringVar(&o.without.staged, "recovery-staging-path", "", nothing+"nothing waits on the other host")
}

// recoverArguments are a server, a backup that may be left out, and a directory.
// Of two arguments the last must look like a directory, so that nobody who forgot
// it gets his data into a directory that is called latest.
func recoverArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 2 && !strings.Contains(args[1], "/") {
		return usageError(cmd, fmt.Sprintf("%s main %s: the directory is missing; one in the directory where you are is ./%s", cmd.CommandPath(), args[1], args[1]))
	}
	if len(args) == 2 {
		return nil
	}
	return exactly(3, "a server, a backup and a directory")(cmd, args)
}

func runRecover(ctx context.Context, a *app, o recoverOptions, name, reference, destination string) error {
	request, err := o.request(a.print(), destination)
	if err != nil {
		return err
	}
	s, err := a.server(name, a.open)
	if err != nil {
		return err
	}
	if err := backup.Reap(s); err != nil {
		return err
	}
	if request.Backup, err = a.backupToRecover(ctx, s, reference, request); err != nil {
		return err
	}
	request.Delta = o.delta || s.Config.Recovery.DeltaRestore() && !o.noDelta
	request.Retries, request.RetryPause = o.retries(s.Config.Backup)
	if o.fetches(s.Config.Recovery.GetWAL()) {
		if request.GetWAL, err = a.getWAL(o); err != nil {
			return err
		}
	}
	request.Begin = func() { a.announceRecovery(s.Name(), request) }
	var end func()
	request.Progress, end = a.progress("recovery of " + s.Name())
	begun := time.Now()
	report, err := recovery.Run(ctx, s, request)
	end()
	for _, warning := range report.Warnings {
		a.print().warn(warning)
	}
	if err != nil {
		return err
	}
	done := recovered{server: s.Name(), report: report, begun: begun}
	if a.options.format == formatJSON {
		done.pointOut(a.print().warn)
	}
	a.print().answer(done)
	return nil
}

// backupToRecover finds the backup that a user means, or chooses one.
func (a *app) backupToRecover(ctx context.Context, s *server.Server, reference string, request recovery.Request) (*catalogue.Backup, error) {
	if reference != catalogue.ShortcutAuto {
		return s.Catalogue.Resolve(reference)
	}
	chosen, warnings, err := recovery.Choose(ctx, s, request.Target, request.Standby)
	for _, warning := range warnings {
		a.print().warn(warning)
	}
	return chosen, err
}

// announceRecovery tells what is being done, in the words of Barman in Python.
func (a *app) announceRecovery(server string, request recovery.Request) {
	say := a.print().info
	where := "local"
	if request.Remote != "" {
		where = "remote"
	}
	say(fmt.Sprintf("Starting %s restore for server %s using backup %s", where, server, request.Backup.ID))
	say("Destination directory: " + request.Destination)
	t := request.Target
	for _, target := range []struct{ what, value string }{{"time", timeOf(t.Time)}, {"xid", t.XID}, {"lsn", t.LSN}, {"name", t.Name}} {
		if target.value != "" {
			say(fmt.Sprintf("Doing PITR. Recovery target %s: '%s'", target.what, target.value))
		}
	}
	if t.Immediate {
		say("Doing PITR. Recovery target immediate: True")
	}
	for _, tablespace := range request.Backup.Tablespaces {
		say(fmt.Sprintf("\t%d, %s, %s", tablespace.OID, tablespace.Name, cmp.Or(request.Tablespaces[tablespace.Name], tablespace.Location)))
	}
	say("Copying the base backup.")
}

func timeOf(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format("2006-01-02 15:04:05.999999-07:00")
}

// retries are how often to try again, and when.
func (o recoverOptions) retries(configured config.BackupPipeline) (times int, pause time.Duration) {
	times, pause = cmp.Or(o.retryTimes, configured.RetryTimes), cmp.Or(o.retrySleep, configured.RetrySleep)
	if o.noRetry {
		times = 0
	}
	return times, pause
}

// request is what the options ask for.
func (o recoverOptions) request(p printer, destination string) (recovery.Request, error) {
	request := recovery.Request{
		Target: o.target, Standby: o.standby, Jobs: o.jobs, BandwidthLimit: o.rate << 10, Tablespaces: map[string]string{}, StagingWAL: o.stagingWAL, RecoveryFile: o.recoveryFile,
		Remote: o.remote, NetworkCompression: o.compression, StagingPath: o.staging,
	}
	if err := o.contradiction(destination); err != nil {
		return request, err
	}
	if err := o.notYet.refuse(); err != nil {
		return request, err
	}
	if err := o.without.check(o.remote); err != nil {
		return request, err
	}
	if o.targetTime != "" {
		moment, local, err := parseTargetTime(o.targetTime)
		if err != nil {
			return request, sdk.Errorf(sdk.Invalid, "--target-time: %w", err)
		}
		if local {
			p.warn(fmt.Sprintf("--target-time %s has no time zone: it is taken for %s, in the time zone of this machine", o.targetTime, timeOf(&moment)))
		}
		request.Target.Time = &moment
	}
	for _, rule := range o.tablespaces {
		name, directory, found := strings.Cut(rule, ":")
		switch {
		case !found || name == "" || !filepath.IsAbs(directory):
			return request, sdk.Errorf(sdk.Invalid, "--tablespace %s: write the tablespace's name, a colon and an absolute directory", rule)
		case request.Tablespaces[name] != "":
			return request, sdk.Errorf(sdk.Invalid, "--tablespace %s: the tablespace has been given a directory already", rule)
		}
		request.Tablespaces[name] = directory
	}
	if o.remote != "" {
		request.Destination = filepath.Clean(destination)
		return request, nil
	}
	absolute, err := filepath.Abs(destination)
	if err != nil {
		return request, sdk.Errorf(sdk.Invalid, "%s: %w", destination, err)
	}
	request.Destination = absolute
	return request, nil
}

// contradiction tells of options that exclude each other, or are out of range.
func (o recoverOptions) contradiction(destination string) error {
	switch {
	case o.rate < 0 || o.rate > maxRate:
		return sdk.Errorf(sdk.Invalid, "--bwlimit %d: it is 0, for no limit, or up to %d", o.rate, maxRate)
	case o.jobs < 0 || o.jobs > maxJobs:
		return sdk.Errorf(sdk.Invalid, "--jobs %d: choose from 1 to %d", o.jobs, maxJobs)
	case o.noGetWAL && (o.getWAL || o.getWALFrom != ""):
		return sdk.Errorf(sdk.Invalid, "--no-get-wal excludes --get-wal and --get-wal-from")
	case o.port != 0 && o.getWALFrom == "" && o.remote == "":
		return sdk.Errorf(sdk.Invalid, "--recovery-option-port goes with --get-wal-from or --remote-ssh-command")
	case o.delta && o.noDelta:
		return sdk.Errorf(sdk.Invalid, "--no-delta-restore excludes --delta-restore")
	case o.noRetry && o.retryTimes > 0:
		return sdk.Errorf(sdk.Invalid, "--no-retry excludes --retry-times")
	case o.retryTimes < 0:
		return sdk.Errorf(sdk.Invalid, "--retry-times %d: it is a number from 0", o.retryTimes)
	case o.remote != "" && !filepath.IsAbs(destination):
		return sdk.Errorf(sdk.Invalid, "%s: give the absolute path of a directory on the other host", destination)
	case o.compression && o.remote == "":
		return sdk.Errorf(sdk.Invalid, "--network-compression goes with --remote-ssh-command")
	case o.staging != "" && !filepath.IsAbs(o.staging):
		return sdk.Errorf(sdk.Invalid, "--staging-path %s: give an absolute path", o.staging)
	case o.compression && o.noCompression:
		return sdk.Errorf(sdk.Invalid, "--no-network-compression excludes --network-compression")
	}
	return nil
}

// fetches tells whether PostgreSQL is to fetch WAL, which the configuration says
// where no option does.
func (o recoverOptions) fetches(configured bool) bool {
	return o.getWAL || o.getWALFrom != "" || configured && !o.noGetWAL
}

// getWAL is how a recovered server fetches WAL from this barman.
func (a *app) getWAL(o recoverOptions) (*recovery.GetWAL, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	configuration, err := a.namedConfiguration()
	if err != nil {
		return nil, err
	}
	user, host, found := strings.Cut(o.getWALFrom, "@")
	if !found {
		user, host = "", o.getWALFrom
	}
	if o.remote != "" && host == "" {
		if host, err = ownHost(); err != nil {
			return nil, err
		}
	}
	if found && (user == "" || host == "") {
		return nil, sdk.Errorf(sdk.Invalid, "--get-wal-from %s: write a host, or a user, @ and a host", o.getWALFrom)
	}
	return &recovery.GetWAL{Executable: executable, Configuration: configuration, Host: host, User: user, Port: int(o.port)}, nil
}

// ownHost is the name by which other hosts should know this one, with its domain
// as far as that is known here.
func ownHost() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", sdk.Errorf(sdk.Invalid, "this host's name: %w: give it with --get-wal-from", err)
	}
	if full, err := net.LookupCNAME(name); err == nil {
		return strings.TrimSuffix(full, "."), nil
	}
	return name, nil
}

// namedConfiguration is the absolute path of the configuration file that another
// barman has to be given to read the same, whoever runs it and where; empty for
// the system's own, which every barman on this host reads.
func (a *app) namedConfiguration() (string, error) {
	loaded, err := a.configuration()
	if err != nil {
		return "", err
	}
	path := loaded.Paths[0]
	asked := cmp.Or(a.options.config, os.Getenv(config.EnvConfigFile))
	if asked == "" && strings.HasPrefix(path, config.System().System+"/") {
		return "", nil
	}
	return filepath.Abs(path)
}
