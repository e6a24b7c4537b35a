// Command barman backs up and recovers PostgreSQL servers. A command reads its
// flags, loads the configuration, calls the core once, and prints.
package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/version"
	"github.com/barman-go/barman/sdk"
)

func main() {
	os.Exit(run(filepath.Base(os.Args[0]), os.Args[1:]))
}

// run is the whole program under one of its names; it returns the exit code.
func run(name string, args []string) int {
	ctx, stop := interruptible(context.Background())
	defer stop()
	a := newApp(os.Stdout, os.Stderr)
	root := newProgram(a, name)
	root.SetArgs(completed(root, args))
	failed := root.ExecuteContext(ctx)
	a.record(failed)
	errs := []error{failed, a.close()}
	for _, err := range errs {
		a.report(err)
	}
	return exitCode(ctx, errors.Join(append(errs, a.finish())...))
}

// newProgram returns the program of a name. The clients that run on PostgreSQL's
// host are links to the one binary.
func newProgram(a *app, name string) *cobra.Command {
	switch name {
	case "barman-wal-archive":
		return newRemoteWALArchiveCommand(a)
	case "barman-wal-restore":
		return newRemoteWALRestoreCommand(a)
	}
	if program := newCloudProgram(a, name); program != nil {
		return program
	}
	return newRootCommand(a)
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "barman COMMAND",
		Short: "Backup and recovery of PostgreSQL servers",
		Long: `Barman takes base backups of PostgreSQL servers, archives their WAL, and
recovers them to any moment in between.

The configuration is the file that -c or BARMAN_CONFIG_FILE names, or
~/.barman.hcl, or /etc/barman.hcl with /etc/barman.d/*.hcl, or the barman.conf of
Python Barman, where that looks for it. A file whose name does not end in .hcl is
read as a barman.conf.

` + exitCodesHelp,
		Version:           version.String(),
		Args:              cobra.ArbitraryArgs,
		RunE:              runNoCommand,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.begin() },
	}
	root.SetVersionTemplate(versionText())
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError(cmd, err.Error()) })
	root.CompletionOptions.HiddenDefaultCmd = false
	a.options.addFlags(root.PersistentFlags())
	root.AddCommand(
		newArchiveWALCommand(a),
		newBackupCommand(a),
		newCheckBackupCommand(a),
		newCheckCommand(a),
		newCheckWALArchiveCommand(a),
		newCloudCommand(a),
		newConfigCommand(a),
		newConfigSwitchCommand(a),
		newConfigUpdateCommand(a),
		newCronCommand(a),
		newDeleteCommand(a),
		newDiagnoseCommand(a),
		newDocsCommand(a),
		newGenerateManifestCommand(a),
		newGetWALCommand(a),
		newKeepCommand(a),
		newListBackupsCommand(a),
		newListFilesCommand(a),
		newListProcessesCommand(a),
		newListServersCommand(a),
		newLockDirectoryCleanupCommand(a),
		newPluginCommand(a),
		newPutWALCommand(a),
		newRebuildCatalogueCommand(a),
		newRebuildXlogDBCommand(a),
		newReceiveWALCommand(a),
		newRecoverCommand(a),
		newReplicationStatusCommand(a),
		newRetentionCommand(a),
		newShowBackupCommand(a),
		newShowServersCommand(a),
		newStatusCommand(a),
		newSwitchWALCommand(a),
		newSyncBackupCommand(a),
		newSyncInfoCommand(a),
		newSyncSinkCommand(a),
		newSyncWALsCommand(a),
		newTerminateProcessCommand(a),
		newVerifyBackupCommand(a),
		newVersionCommand(a),
		newWALArchiveCommand(a),
		newWALGapsCommand(a),
	)
	root.SetGlobalNormalizationFunc(root.PersistentFlags().GetNormalizeFunc()) // the same names behind the command
	completions(root)
	return root
}

// runNoCommand is what a command that only groups others does.
func runNoCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	text := "unknown command \"" + args[0] + "\""
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean \"" + near[0] + "\"?"
	}
	return usageError(cmd, text)
}

// usageError says what is wrong with a command line and where to read more.
func usageError(cmd *cobra.Command, text string) error {
	return sdk.Errorf(sdk.Invalid, "%s\nSee '%s --help'.", text, cmd.CommandPath())
}

const (
	exitFailed      = 1
	exitUnavailable = 2
	exitInvalid     = 3
	exitUnknown     = 4
	exitBusy        = 5
	exitCorrupt     = 6
	exitPartial     = 7
)

const exitCodesHelp = `Exit codes: 0 done; 1 not found, exists already or denied, or a check failed;
2 out of reach, try again; 3 wrong usage or configuration; 4 any other error;
5 another process is at it; 6 stored data is damaged; 7 some items failed, the
others are done; 128 and the signal's number when interrupted by a signal.`

// exitCode is the table of docs/exit-codes.md.
func exitCode(ctx context.Context, err error) int {
	var signalled interruption
	var chosen codedError
	var decided settled
	switch {
	case err == nil:
		return 0
	case errors.As(err, &decided):
		return decided.code
	case errors.As(context.Cause(ctx), &signalled):
		return 128 + int(signalled.signal)
	case errors.As(err, &chosen):
		return chosen.exitCode()
	}
	return codeOfKind(sdk.KindOf(err))
}

// codedError is an error that stands for several, or for none in particular.
type codedError interface {
	error
	exitCode() int
}

func codeOfKind(kind sdk.ErrorKind) int {
	switch kind {
	case sdk.NotFound, sdk.Exists, sdk.Denied:
		return exitFailed
	case sdk.Unavailable, sdk.Cancelled, sdk.Disconnected:
		// Cancelled without a signal is a time limit that ran out.
		return exitUnavailable
	case sdk.Invalid:
		return exitInvalid
	case sdk.Busy:
		return exitBusy
	case sdk.Corrupt:
		return exitCorrupt
	}
	return exitUnknown
}
