package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/recovery"
	"github.com/barman-go/barman/sdk"
)

type recoverOptions struct {
	targetTime  string
	target      recovery.Target
	standby     bool
	tablespaces []string
	jobs        int

	getWAL, noGetWAL bool
	getWALFrom       string
	port             uint16
}

func newRecoverCommand(a *app) *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:     "recover SERVER BACKUP DIRECTORY",
		Aliases: []string{"restore"},
		Short:   "Recover a backup into a new data directory",
		Long: `Recover a backup into DIRECTORY, which must not exist or be empty, and prepare
it so that PostgreSQL, when it is started there, replays WAL up to the target:
the end of the archive, or the one that an option names.

BACKUP is an ID, a name given with 'barman backup --name', or one of latest,
last, oldest, first, latest-full and last-full.

Nothing outside DIRECTORY and the directories of tablespaces is changed. A
tablespace goes where it was on the server unless --tablespace says otherwise.

The WAL that recovery needs is copied beside the data, the unfinished segment
that was received last included. With --get-wal, or "get-wal" among the options
of the recovery block, PostgreSQL fetches it from Barman while it recovers:
a server on this host by 'barman get-wal', one on another host by
'barman-wal-restore' over SSH, when --get-wal-from names this host as that one
knows it.

` + exitCodesHelp,
		Example: `  barman recover main latest /var/lib/postgresql/15/main
  barman recover main latest /srv/pg --target-time '2026-01-31 15:04:05+01:00' --target-action promote
  barman recover main 20240110T120000 /srv/pg --tablespace fast:/srv/fast --jobs 4
  barman recover main latest /mnt/newhost/pg --get-wal-from barman@backup.example.com`,
		Args:              exactly(3, "a server, a backup and a directory"),
		ValidArgsFunction: a.completeServer,
		RunE: func(cmd *cobra.Command, args []string) error {
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
	flags.BoolVar(&o.getWAL, "get-wal", false, "let PostgreSQL fetch WAL from Barman during recovery, copy none (default from the configuration)")
	flags.BoolVar(&o.noGetWAL, "no-get-wal", false, "copy the WAL that recovery needs, whatever the configuration says")
	flags.StringVar(&o.getWALFrom, "get-wal-from", "", "PostgreSQL will run on another host and fetch WAL from this one over SSH: `[USER@]HOST`")
	flags.Uint16Var(&o.port, "recovery-option-port", 0, "with --get-wal-from: `PORT` of the SSH server there")
	return cmd
}

func runRecover(ctx context.Context, a *app, o recoverOptions, name, reference, destination string) error {
	request, err := o.request(destination)
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
	if request.Backup, err = s.Catalogue.Resolve(reference); err != nil {
		return err
	}
	if o.fetches(s.Config.Recovery.GetWAL()) {
		if request.GetWAL, err = a.getWAL(o); err != nil {
			return err
		}
	}
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
	a.print().answer(recovered{server: s.Name(), report: report, begun: begun})
	return nil
}

// request is what the options ask for.
func (o recoverOptions) request(destination string) (recovery.Request, error) {
	request := recovery.Request{Target: o.target, Standby: o.standby, Jobs: o.jobs, Tablespaces: map[string]string{}}
	if o.jobs < 0 || o.jobs > maxJobs {
		return request, sdk.Errorf(sdk.Invalid, "--jobs %d: choose from 1 to %d", o.jobs, maxJobs)
	}
	switch {
	case o.noGetWAL && (o.getWAL || o.getWALFrom != ""):
		return request, sdk.Errorf(sdk.Invalid, "--no-get-wal excludes --get-wal and --get-wal-from")
	case o.port != 0 && o.getWALFrom == "":
		return request, sdk.Errorf(sdk.Invalid, "--recovery-option-port goes with --get-wal-from")
	}
	if o.targetTime != "" {
		moment, err := parseTargetTime(o.targetTime)
		if err != nil {
			return request, sdk.Errorf(sdk.Invalid, "--target-time: %w", err)
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
	absolute, err := filepath.Abs(destination)
	if err != nil {
		return request, sdk.Errorf(sdk.Invalid, "%s: %w", destination, err)
	}
	request.Destination = absolute
	return request, nil
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
	if found && (user == "" || host == "") {
		return nil, sdk.Errorf(sdk.Invalid, "--get-wal-from %s: write a host, or a user, @ and a host", o.getWALFrom)
	}
	return &recovery.GetWAL{Executable: executable, Configuration: configuration, Host: host, User: user, Port: int(o.port)}, nil
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

// recovered is the outcome of a recovery.
type recovered struct {
	server string
	report recovery.Report
	begun  time.Time
}

func (r recovered) text(w io.Writer, _ style) {
	fmt.Fprintf(w, "Backup %s of server %s has been recovered to %s (%s).\n", r.report.Backup, r.server, r.report.Destination, catalogue.PrettyDuration(r.report.Elapsed))
	for _, name := range sortedKeys(r.report.Tablespaces) {
		fmt.Fprintf(w, "  Tablespace %s: %s\n", name, r.report.Tablespaces[name])
	}
	files := fmt.Sprintf("%d files", r.report.WALFiles)
	if r.report.WALFiles == 1 {
		files = "1 file"
	}
	switch {
	case r.report.WALDirectory == "":
		fmt.Fprintf(w, "  WAL: fetched from Barman as recovery goes on, by restore_command:\n    %s\n", r.report.RestoreCommand)
	case r.report.RestoreCommand == "":
		fmt.Fprintf(w, "  WAL: %s in %s, where PostgreSQL finds them\n", files, r.report.WALDirectory)
	default:
		fmt.Fprintf(w, "  WAL: %s in %s, which restore_command takes them from\n", files, r.report.WALDirectory)
	}
	fmt.Fprintln(w, "Look at its configuration, then start PostgreSQL there to replay WAL.")
}

func (r recovered) document() map[string]any {
	return map[string]any{
		"server": r.server, "backup_id": r.report.Backup, "destination": r.report.Destination, "tablespaces": r.report.Tablespaces,
		"wal_files": r.report.WALFiles, "wal_directory": r.report.WALDirectory, "get_wal": r.report.WALDirectory == "", "restore_command": r.report.RestoreCommand,
		"recovery_start_time": r.begun.Format(time.ANSIC), "recovery_start_time_timestamp": strconv.FormatInt(r.begun.Unix(), 10),
		"recovery_elapsed_time": catalogue.PrettyDuration(r.report.Elapsed), "recovery_elapsed_time_seconds": r.report.Elapsed.Seconds(),
	}
}
