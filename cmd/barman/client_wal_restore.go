package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/remote"
	"github.com/barman-go/barman/core/walrestore"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// walRestoreName is the name by which the binary is this program.
const walRestoreName = "barman-wal-restore"

// walRestoreOptions are the flags of barman-wal-restore.
type walRestoreOptions struct {
	from           remoteFlags
	sleep          time.Duration
	ahead          int
	spool          string
	partial        bool
	gzip, bzip2    bool
	keepCompressed bool
	test           bool
	prefetch       string // the spool to fill; set in the prefetcher
}

func newRemoteWALRestoreCommand(a *app) *cobra.Command {
	var o walRestoreOptions
	var restoring *restoreCommand
	cmd := newClient(a, &cobra.Command{
		Use:                   walRestoreName + " [OPTIONS] BARMAN_HOST SERVER WAL_NAME WAL_DEST",
		Short:                 "Fetch a WAL file from barman on another host, as a restore_command",
		DisableFlagsInUseLine: true,
		Long: `Fetch a WAL file of a server from barman on another host through ssh:

  restore_command = 'barman-wal-restore -P -p 4 backup main %f %p'

With -p N, N segments are fetched ahead while PostgreSQL replays, by a process
in the background that ends when nobody asks any more.

Exit codes: 0 done; 1 barman has no such WAL file, for certain; 2 barman cannot
be reached, or another error here; 3 a name that is none of a WAL file's, or
WAL_DEST cannot be written; 6 what came is not the file; else the exit code of
'barman get-wal' there. In the data directory of a PostgreSQL that recovers from
the archive and is no standby, every code but 0 and 1 is 200 higher, and is given
only after trying again for --retry-timeout: PostgreSQL takes a lower one for the
end of the archive, and would end recovery.`,
		Example: "  barman-wal-restore -P -p 4 backup main 000000010000000000000042 pg_wal/RECOVERYXLOG\n  barman-wal-restore -t backup main DUMMY DUMMY",
	}, nil, 4, "BARMAN_HOST, SERVER, WAL_NAME and WAL_DEST")
	flags := cmd.Flags()
	o.from.addFlags(flags)
	durationVar(flags, &o.sleep, "sleep", "`TIME` to sleep after a failure, before the exit code is given")
	flags.Lookup("sleep").Shorthand = "s"
	flags.IntVarP(&o.ahead, "parallel", "p", 0, "fetch `N` segments ahead")
	flags.StringVar(&o.spool, "spool-dir", "/var/tmp/walrestore", "`DIRECTORY` in which they wait")
	flags.BoolVarP(&o.partial, "partial", "P", false, "take the unfinished segment if there is no finished one")
	flags.BoolVarP(&o.gzip, "gzip", "z", false, "compress with gzip on the way")
	flags.BoolVarP(&o.bzip2, "bzip2", "j", false, "compress with bzip2 on the way")
	flags.BoolVar(&o.keepCompressed, "keep-compression", false, "send the bytes as barman stores them, and decompress here")
	flags.BoolVarP(&o.test, "test", "t", false, "only tell whether WAL of the server can be had; WAL_NAME and WAL_DEST do not matter")
	flags.StringVar(&o.prefetch, "prefetch", "", "")
	if err := flags.MarkHidden("prefetch"); err != nil {
		panic(err) // it was added in the line before
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), a, restoring, args) }
	restoring = restores(cmd, &o.partial, codeOfRestore)
	restoring.settle(cmd)
	return cmd
}

func (o *walRestoreOptions) run(ctx context.Context, a *app, restoring *restoreCommand, args []string) error {
	host, server, name, destination := args[0], args[1], args[2], args[3]
	barman, err := o.from.barman(host)
	if err != nil {
		return err
	}
	source := walrestore.Source{Barman: barman, Server: server, Gzip: o.gzip, Bzip2: o.bzip2, KeepCompression: o.keepCompressed}
	if o.test {
		return settleRemote(barman.Run(ctx, remote.Streams{Out: a.stdout, Err: a.stderr}, "get-wal", "--test", server, name), clientFailed)
	}
	if o.gzip && o.bzip2 || o.keepCompressed && (o.gzip || o.bzip2) {
		return sdk.Errorf(sdk.Invalid, "--gzip, --bzip2 and --keep-compression exclude each other")
	}
	parsed, err := wal.ParseName(name)
	if err != nil {
		return sdk.Errorf(sdk.Invalid, "%w", err)
	}
	if o.prefetch != "" {
		return o.fill(ctx, source, parsed)
	}
	request := walrestore.Request{
		Source: source, Name: parsed, Destination: destination, Partial: o.partial, Ahead: o.ahead, SpoolDirectory: o.spool,
		Prefetch: func(r walrestore.PrefetchRequest) error { return o.startPrefetcher(args, r) },
		Warn:     func(err error) { a.print().warn(err.Error()) },
	}
	err = restoring.persist(ctx, a, func() bool { return true }, func() error { return walrestore.Restore(ctx, request) })
	if err != nil && o.sleep > 0 {
		select {
		case <-time.After(o.sleep):
		case <-ctx.Done():
		}
	}
	return err
}

// fill is the prefetcher. It ends with 0 whatever happens: where PostgreSQL is the
// first process of a container it inherits the prefetcher, and takes the failure
// of a child that it does not know for the crash of one of its own.
func (o *walRestoreOptions) fill(ctx context.Context, source walrestore.Source, next wal.Name) error {
	log := hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Info, Name: walRestoreName})
	err := walrestore.Prefetch(ctx, walrestore.PrefetchRequest{Source: source, Spool: o.prefetch, Next: next, Ahead: o.ahead, Logger: log})
	if err != nil {
		log.Error("WAL is not fetched ahead any more", "error", err)
	}
	return nil
}

// startPrefetcher starts this program as the prefetcher, in a session of its own:
// what PostgreSQL sends to the process group of its restore_command, and waits for
// of its log, has nothing to do with it.
func (o *walRestoreOptions) startPrefetcher(args []string, r walrestore.PrefetchRequest) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(r.Spool, "log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the prefetcher has it
	line := []string{walRestoreName, "--prefetch", r.Spool, "--parallel", strconv.Itoa(r.Ahead), "--user", o.from.user,
		"--port", strconv.Itoa(o.from.port), "--config", o.from.config}
	for name, set := range map[string]bool{"--gzip": o.gzip, "--bzip2": o.bzip2, "--keep-compression": o.keepCompressed} {
		if set {
			line = append(line, name)
		}
	}
	cmd := &exec.Cmd{
		Path: program, Args: append(line, "--", args[0], args[1], r.Next.String(), os.DevNull), Dir: "/", Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
