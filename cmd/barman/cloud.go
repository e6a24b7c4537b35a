package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/cloud"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/version"
	"github.com/barman-go/barman/sdk"
)

// cloudPrefix is what the programs for buckets are called, before the name of the
// command of "barman cloud" that does the same.
const cloudPrefix = "barman-cloud-"

// cloudCommands are the commands that work on a bucket without a configuration.
func cloudCommands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newCloudBackupCommand(a),
		newCloudBackupDeleteCommand(a),
		newCloudBackupKeepCommand(a),
		newCloudBackupListCommand(a),
		newCloudBackupShowCommand(a),
		newCloudCheckWALArchiveCommand(a),
		newCloudRestoreCommand(a),
		newCloudWALArchiveCommand(a),
		newCloudWALRestoreCommand(a),
	}
}

// newCloudCommand groups them for those who type "barman".
func newCloudCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cloud",
		Short: "Back up, archive and restore straight to and from a bucket, without a configuration",
		Args:  cobra.ArbitraryArgs,
		RunE:  runNoCommand,
	}
	for _, child := range cloudCommands(a) {
		child.Example = strings.ReplaceAll(child.Example, cloudPrefix, "barman cloud ")
		cmd.AddCommand(child)
	}
	return cmd
}

// cloudPrograms are the same commands as programs of their own:
// barman-cloud-wal-archive is "barman cloud wal-archive".
func cloudPrograms(a *app) []*cobra.Command {
	commands := cloudCommands(a)
	for _, cmd := range commands {
		cmd.Use = cloudPrefix + cmd.Use
		cmd.CompletionOptions.DisableDefaultCmd = true
	}
	return commands
}

// newCloudProgram returns the program of a name, or nil.
func newCloudProgram(a *app, name string) *cobra.Command {
	if !strings.HasPrefix(name, cloudPrefix) {
		return nil
	}
	for _, cmd := range cloudPrograms(a) {
		if cmd.Name() == name {
			return cmd
		}
	}
	return nil
}

const cloudExitCodesHelp = `Exit codes: 0 done; 1 the operation failed: there is no such backup, it must not
be deleted, the archive is not empty, or with --test there is no such bucket; 2 the
store is out of reach; 3 wrong usage; 4 any other error; 128 and the signal's number
when interrupted by a signal.`

// cloudFailed is an operation that was refused or did not find what it needs, in
// contrast to one that broke down.
func cloudFailed(err error) error { return settled{exitFailed, err} }

// codeOfCloud is the exit code of the barman-cloud programs, those of Python.
// Settings that a sink refuses are no mistake of usage there.
func codeOfCloud(err error) int {
	var decided settled
	var failure *pipeline.Failure
	switch {
	case errors.As(err, &decided):
		return decided.code
	case sdk.KindOf(err) == sdk.Invalid && !errors.As(err, &failure):
		return exitInvalid
	}
	switch sdk.KindOf(err) {
	case sdk.Unavailable, sdk.Cancelled, sdk.Disconnected:
		return exitUnavailable
	}
	return exitUnknown
}

// cloudRun carries out a command on a server's place in a bucket; args are those
// behind the URL and the server's name.
type cloudRun func(ctx context.Context, store *cloud.Store, args []string) error

// addCloud gives a command what all of them have: the URL and the server as its
// first arguments, then from least to most others, the common options, and the exit
// codes. run is not called for --test.
func addCloud(a *app, cmd *cobra.Command, o *cloudFlags, least, most int, run cloudRun) *cobra.Command {
	program := cloudPrefix + cmd.Name()
	cmd.Version = version.Compatible
	cmd.SetVersionTemplate(program + " {{.Version}}\n")
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(a.stdout)
	cmd.SetErr(a.stderr)
	o.addCommon(a, cmd)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return settled{exitInvalid, usageError(cmd, err.Error())}
	})
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) < 2+least || len(args) > 2+most {
			return settled{exitInvalid, usageError(cmd, fmt.Sprintf("%s takes %s, not %d arguments", cmd.CommandPath(), argumentsOf(cmd), len(args)))}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := o.run(cmd.Context(), a, args, run)
		if err == nil || isInterrupted(cmd.Context()) {
			return err
		}
		return settled{codeOfCloud(err), err}
	}
	return cmd
}

// argumentsOf is what a command's synopsis says of its arguments.
func argumentsOf(cmd *cobra.Command) string {
	_, arguments, _ := strings.Cut(cmd.Use, " ")
	return arguments
}

func (o *cloudFlags) run(ctx context.Context, a *app, args []string, run cloudRun) error {
	if err := o.check(); err != nil {
		return err
	}
	a.withoutConfiguration(o)
	engine, err := a.engine()
	if err != nil {
		return err
	}
	options, err := o.options(args[0])
	if err != nil {
		return err
	}
	store, err := cloud.Open(engine, options, args[1])
	if err != nil {
		return err
	}
	if !o.test {
		return run(ctx, store, args[2:])
	}
	if err := store.Test(ctx); sdk.KindOf(err) == sdk.NotFound {
		return cloudFailed(err)
	} else if err != nil {
		return err
	}
	return nil
}

// withoutConfiguration lets a run go by the options of the cloud programs alone.
func (a *app) withoutConfiguration(o *cloudFlags) {
	a.config = &config.Config{}
	a.log = o.logger(a.stderr, a.options.debug)
	a.printer = o.printer(a)
}
