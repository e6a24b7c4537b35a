package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/barman-go/barman/core/remote"
	"github.com/barman-go/barman/core/version"
	"github.com/barman-go/barman/sdk"
)

// settled is an error whose exit code is decided, also when a signal came:
// what PostgreSQL calls must not look to it as if a shell had failed.
type settled struct {
	code int
	error
}

// Unwrap returns the error itself.
func (s settled) Unwrap() error { return s.error }

const (
	// clientFailed is the exit code of a client that failed by itself.
	clientFailed = 2
	// highestCode is the highest exit code after which PostgreSQL only tries again
	// (PostgreSQL manual, archive_command).
	highestCode = 125
)

// remoteFlags are the options by which the clients on PostgreSQL's host find
// barman.
type remoteFlags struct {
	user   string
	port   int
	config string
}

func (f *remoteFlags) addFlags(flags *pflag.FlagSet) {
	flags.StringVarP(&f.user, "user", "U", "barman", "`USER` who runs barman on BARMAN_HOST")
	flags.IntVar(&f.port, "port", 0, "`PORT` of BARMAN_HOST's sshd (default: ssh's configuration)")
	flags.StringVarP(&f.config, "config", "c", "", "barman's configuration `FILE` on BARMAN_HOST")
}

// barman is barman on the named host.
func (f *remoteFlags) barman(host string) (remote.Barman, error) {
	if f.port < 0 || f.port > 65535 {
		return remote.Barman{}, sdk.Errorf(sdk.Invalid, "--port %d: it is a number up to 65535", f.port)
	}
	return remote.Barman{User: f.user, Host: host, Port: f.port, Config: f.config}, nil
}

// newClient makes a program for PostgreSQL's host. Whatever fails outside of
// run ends it with clientFailed.
func newClient(a *app, cmd *cobra.Command, run func(ctx context.Context, args []string) error, arguments int, what string) *cobra.Command {
	cmd.Version = version.String()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetVersionTemplate("{{.Version}}\n")
	cmd.SetOut(a.stdout)
	cmd.SetErr(a.stderr)
	cmd.Flags().BoolP("version", "V", false, "print the version")
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return settled{clientFailed, usageError(cmd, err.Error())}
	})
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) != arguments {
			return settled{clientFailed, usageError(cmd, fmt.Sprintf("%s takes %s, not %d arguments", cmd.Name(), what, len(args)))}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := run(cmd.Context(), args)
		var decided settled
		if err == nil || errors.As(err, &decided) {
			return err
		}
		return settled{clientFailed, err}
	}
	return cmd
}

// settleRemote decides the exit code for what became of a command on the other
// host: its own, or unreachable when ssh did not get there.
func settleRemote(err error, unreachable int) error {
	var there *remote.Failed
	switch {
	case errors.As(err, &there):
		return settled{min(there.Code, highestCode), err}
	case sdk.KindOf(err) == sdk.Unavailable:
		return settled{unreachable, err}
	}
	return err
}

const archiveCommandCodesHelp = exitCodesHelp + `
PostgreSQL calls this command, so that a signal ends it with 2, and no exit code
is above 125.`

// forArchiveCommand settles the exit code of a command that PostgreSQL may call
// as its archive_command.
func forArchiveCommand(ctx context.Context, err error) error {
	if err == nil || !isInterrupted(ctx) {
		return err
	}
	return settled{exitUnavailable, err}
}
