package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/check"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/removal"
	"github.com/barman-go/barman/sdk"
)

type backupOptions struct {
	wait         bool
	waitTimeout  time.Duration
	jobs         int
	name         string
	retryTimes   int
	noRetry      bool
	retrySleep   time.Duration
	checkTimeout time.Duration

	fast, spread                bool
	rate                        int64
	reuse                       string
	manifest, noManifest        bool
	keepalive                   time.Duration
	startBatchSize, startPeriod int
	incremental                 string
}

func newBackupCommand(a *app) *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "backup SERVER…",
		Short: "Take a base backup",
		Long: `Take a base backup of one or more servers, or of "all" active ones.

The backup waits for WAL when its data is stored, and is DONE when all WAL from
its begin to its end is archived as well. With --wait the command returns then;
when --wait-timeout is over before, it fails with 2 and the backup stays.
An interrupted backup is marked as FAILED.

The server is checked first. A check that shows the backup to be of no use keeps
it from starting; what keeps its WAL from coming is a warning.

` + exitCodesHelp,
		Example: "  barman backup main\n  barman backup all --wait --wait-timeout 10m\n" +
			"  barman backup main -j 2 --name 'before upgrade' --immediate-checkpoint --bwlimit 20000",
		Args:              someServers,
		ValidArgsFunction: a.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBackup(cmd.Context(), a, &o, cmd.Flags(), args)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *backupOptions) addFlags(flags *pflag.FlagSet) {
	flags.BoolVarP(&o.wait, "wait", "w", false, "wait until the WAL that the backup needs is archived")
	durationVar(flags, &o.waitTimeout, "wait-timeout", "give up waiting after this `TIME`: seconds, or a number with a unit (default none)")
	flags.IntVarP(&o.jobs, "jobs", "j", 0, "how many objects are copied at once (default from the configuration)")
	flags.StringVar(&o.name, "name", "", "a `NAME` for the backup, usable in place of its ID")
	flags.BoolVar(&o.fast, "immediate-checkpoint", false, "have PostgreSQL make the checkpoint that begins the backup at once (default from the configuration)")
	flags.BoolVar(&o.spread, "no-immediate-checkpoint", false, "let PostgreSQL spread that checkpoint")
	flags.Int64Var(&o.rate, "bwlimit", 0, "the most that PostgreSQL sends, in `KBPS`: kilobytes in a second; 0 is without limit (default from the configuration)")
	flags.IntVar(&o.retryTimes, "retry-times", 0, "how many times a copy that failed is tried again (default from the configuration)")
	flags.BoolVar(&o.noRetry, "no-retry", false, "try it once, the same as --retry-times 0")
	durationVar(flags, &o.retrySleep, "retry-sleep", "the pause before a copy is tried again (default from the configuration)")
	durationVar(flags, &o.checkTimeout, "check-timeout", "how long the checks before the backup may take; 0 is without limit (default from the configuration)")
	flags.BoolVar(&o.manifest, "manifest", false, "store a backup manifest (default from the configuration)")
	flags.BoolVar(&o.noManifest, "no-manifest", false, "store no backup manifest")
	flags.StringVar(&o.reuse, "reuse-backup", "", "share unchanged files with the backup before: `HOW` is link, copy or off; only for backups by rsync")
	reuse := flags.Lookup("reuse-backup")
	reuse.NoOptDefVal, reuse.Annotations = "link", map[string][]string{ownWord: reuseWays()}
	durationVar(flags, &o.keepalive, "keepalive-interval", "how often PostgreSQL is asked for a sign of life; only for backups by rsync")
	flags.IntVar(&o.startBatchSize, "jobs-start-batch-size", 0, "how many jobs start in one period; only for backups by rsync")
	flags.IntVar(&o.startPeriod, "jobs-start-batch-period", 0, "that period in `SECONDS`; only for backups by rsync")
	flags.StringVar(&o.incremental, "incremental", "", "not supported yet: an incremental backup on top of the one with this `ID`")
}

func (o *backupOptions) check(flags *pflag.FlagSet) error {
	if flags.Changed("name") {
		if err := catalogue.ValidBackupName(o.name); err != nil {
			return err
		}
	}
	for _, either := range [][2]string{{"immediate-checkpoint", "no-immediate-checkpoint"}, {"manifest", "no-manifest"}, {"retry-times", "no-retry"}} {
		if flags.Changed(either[0]) && flags.Changed(either[1]) {
			return sdk.Errorf(sdk.Invalid, "--%s and --%s contradict each other: give one", either[0], either[1])
		}
	}
	switch {
	case flags.Changed("jobs") && (o.jobs < 1 || o.jobs > maxJobs):
		return sdk.Errorf(sdk.Invalid, "--jobs %d: choose from 1 to %d", o.jobs, maxJobs)
	case o.waitTimeout > 0 && !o.wait:
		return sdk.Errorf(sdk.Invalid, "--wait-timeout limits --wait: give both")
	case flags.Changed("incremental"):
		return sdk.Errorf(sdk.Invalid, "--incremental: incremental backups are not supported yet; take a full one")
	case o.retryTimes < 0:
		return sdk.Errorf(sdk.Invalid, "--retry-times %d: it is 0 or more", o.retryTimes)
	case o.rate < 0:
		return sdk.Errorf(sdk.Invalid, "--bwlimit %d: it is 0, for no limit, or more", o.rate)
	case flags.Changed("reuse-backup") && !slices.Contains(reuseWays(), o.reuse):
		return sdk.Errorf(sdk.Invalid, "--reuse-backup=%s: it is link, copy or off", o.reuse)
	case flags.Changed("jobs-start-batch-size") && o.startBatchSize < 1:
		return sdk.Errorf(sdk.Invalid, "--jobs-start-batch-size %d: it is 1 or more", o.startBatchSize)
	case flags.Changed("jobs-start-batch-period") && o.startPeriod < 1:
		return sdk.Errorf(sdk.Invalid, "--jobs-start-batch-period %d: it is 1 or more", o.startPeriod)
	}
	return nil
}

func reuseWays() []string { return []string{"link", "copy", "off"} }

// maxJobs is the limit that the configuration has.
const maxJobs = 64

// choices are the options that are settings of the backup source, by the names
// that sources give them.
func (o *backupOptions) choices(flags *pflag.FlagSet) []backup.Choice {
	var choices []backup.Choice
	choose := func(flag string, optional bool, settings ...backup.Setting) {
		if flags.Changed(flag) {
			choices = append(choices, backup.Choice{Option: "--" + flag, Optional: optional, Settings: settings})
		}
	}
	setting := func(name string, value any) backup.Setting { return backup.Setting{Name: name, Value: value} }
	choose("immediate-checkpoint", false, setting("checkpoint", "fast"), setting("immediate_checkpoint", true))
	choose("no-immediate-checkpoint", false, setting("checkpoint", "spread"), setting("immediate_checkpoint", false))
	if o.rate == 0 {
		choose("bwlimit", true, setting("max_rate", nil), setting("bandwidth_limit", nil))
	} else {
		choose("bwlimit", false, setting("max_rate", o.rate<<10), setting("bandwidth_limit", o.rate))
	}
	choose("manifest", false, setting("autogenerate_manifest", true), setting("manifest", true))
	choose("no-manifest", true, setting("autogenerate_manifest", false), setting("manifest", false))
	choose("reuse-backup", true, setting("reuse_backup", o.reuse))
	choose("keepalive-interval", true, setting("keepalive_interval", int(o.keepalive.Seconds())))
	choose("jobs-start-batch-size", true, setting("parallel_jobs_start_batch_size", o.startBatchSize))
	choose("jobs-start-batch-period", true, setting("parallel_jobs_start_batch_period", o.startPeriod))
	return choices
}

// forCore are the options as core/backup takes them.
func (o *backupOptions) forCore(flags *pflag.FlagSet) backup.Options {
	options := backup.Options{Name: o.name, Jobs: o.jobs, Source: o.choices(flags), Wait: o.wait, WaitLimit: o.waitTimeout}
	if flags.Changed("retry-times") || o.noRetry {
		options.RetryTimes = &o.retryTimes
	}
	if flags.Changed("retry-sleep") {
		options.RetrySleep = &o.retrySleep
	}
	return options
}

func runBackup(ctx context.Context, a *app, o *backupOptions, flags *pflag.FlagSet, args []string) error {
	if err := o.check(flags); err != nil {
		return err
	}
	if err := a.warnOfConfiguration(); err != nil {
		return err
	}
	options := o.forCore(flags)
	alone := len(args) == 1 && args[0] != allServers
	return a.forServers(ctx, args, func(ctx context.Context, s *config.Server) error {
		if a.skipPassive(s) {
			return nil
		}
		if flags.Changed("check-timeout") {
			s.CheckTimeout = o.checkTimeout
		}
		return a.backUp(ctx, options, s, alone)
	})
}

// backUp takes a backup of one server.
func (a *app) backUp(ctx context.Context, options backup.Options, configured *config.Server, alone bool) error {
	s, err := a.open(configured)
	if err != nil {
		return err
	}
	if err := check.BeforeBackup(ctx, s, time.Now()); err != nil {
		return err
	}
	told := &backupNews{app: a, server: s, method: configured.Backup.Source.Name, begun: time.Now()}
	options.Progress, options.Reached, options.File = told.progress, told.reached, told.file
	taken, err := backup.Run(ctx, s, options)
	told.settle()
	if err == nil {
		if _, unpurged := removal.Purge(ctx, s, taken.ID); unpurged != nil {
			s.Logger.Warn("WAL from before the first backup could not be deleted", "error", unpurged)
		}
	}
	if taken != nil {
		a.tellSinks(s, taken)
		a.print().answer(takenBackup{server: s.Name(), backup: taken, elapsed: time.Since(told.begun), alone: alone})
	}
	return err
}
