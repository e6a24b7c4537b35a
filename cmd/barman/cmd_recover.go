package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/recovery"
	"github.com/barman-go/barman/sdk"
)

type recoverOptions struct {
	targetTime  string
	target      recovery.Target
	standby     bool
	tablespaces []string
	jobs        int
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

` + exitCodesHelp,
		Example: `  barman recover main latest /var/lib/postgresql/15/main
  barman recover main latest /srv/pg --target-time '2026-01-31 15:04:05+01:00' --target-action promote
  barman recover main 20240110T120000 /srv/pg --tablespace fast:/srv/fast --jobs 4`,
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
	fmt.Fprintln(w, "Look at its configuration, then start PostgreSQL there to replay WAL.")
}

func (r recovered) document() map[string]any {
	return map[string]any{
		"server": r.server, "backup_id": r.report.Backup, "destination": r.report.Destination, "tablespaces": r.report.Tablespaces,
		"wal_files":           r.report.WALFiles,
		"recovery_start_time": r.begun.Format(time.ANSIC), "recovery_start_time_timestamp": strconv.FormatInt(r.begun.Unix(), 10),
		"recovery_elapsed_time": catalogue.PrettyDuration(r.report.Elapsed), "recovery_elapsed_time_seconds": r.report.Elapsed.Seconds(),
	}
}
