package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/fetch"
	"github.com/barman-go/barman/core/remote"
	"github.com/barman-go/barman/core/walrestore"
	"github.com/barman-go/barman/sdk"
)

const (
	// abortRecovery is added to the exit code of every failure while PostgreSQL
	// recovers from an archive. It takes codes up to 125 for the end of the archive,
	// where it ends recovery and goes on by itself on a timeline of its own; those
	// above make it stop, and it can be started again (PostgreSQL manual,
	// restore_command).
	abortRecovery = 200
	// retryTime is how long such a PostgreSQL is spared that, by trying again.
	retryTime = 5 * time.Minute
	// mostRetryPause bounds the pause between two attempts.
	mostRetryPause = 10 * time.Second
)

// restoreCommand is what the programs have in common that PostgreSQL runs as its
// restore_command. It is written so that no failure at all, not even in the
// reading of the command line, looks like the end of the archive.
type restoreCommand struct {
	state   walrestore.State
	retry   time.Duration
	codes   func(error) int // the exit code of a failure where nothing is recovered
	partial *bool           // whether an unfinished segment will do
}

// restores makes a restore_command of a command.
func restores(cmd *cobra.Command, partial *bool, codes func(error) int) *restoreCommand {
	r := &restoreCommand{state: walrestore.StateOf("."), codes: codes, partial: partial}
	durationVar(cmd.Flags(), &r.retry, "retry-timeout", "`TIME` to go on trying when barman or its store cannot be reached (default: 5m while PostgreSQL recovers from the archive, else 0)")
	return r
}

// endsRecovery tells whether PostgreSQL would end recovery after a failure. Where
// the data directory cannot be looked into, what is asked for decides: a standby
// does not ask for unfinished segments, which it will be given whole.
func (r *restoreCommand) endsRecovery() bool {
	return r.state == walrestore.ArchiveRecovery || r.state == walrestore.Hidden && *r.partial
}

// settle wraps what a command consists of, once that is set.
func (r *restoreCommand) settle(cmd *cobra.Command) {
	run, args, begin := cmd.RunE, cmd.Args, cmd.PersistentPreRunE
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		return r.decide(cmd.Context(), run(cmd, given))
	}
	cmd.Args = func(cmd *cobra.Command, given []string) error {
		if r.endsRecovery() {
			// Go ends a program that has crashed with code 2; this makes it a signal.
			debug.SetTraceback("crash")
			if !cmd.Flags().Changed("retry-timeout") {
				r.retry = retryTime
			}
		}
		return r.decide(cmd.Context(), args(cmd, given))
	}
	if begin != nil {
		cmd.PersistentPreRunE = func(cmd *cobra.Command, given []string) error {
			return r.decide(cmd.Context(), begin(cmd, given))
		}
	}
	flagError := cmd.FlagErrorFunc()
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return r.decide(context.Background(), flagError(cmd, err))
	})
}

// decide gives an error the exit code that PostgreSQL gets.
func (r *restoreCommand) decide(ctx context.Context, err error) error {
	var missing *fetch.MissingError
	var signalled interruption
	var several *failures
	switch {
	case err == nil:
		return nil
	case errors.As(context.Cause(ctx), &signalled):
		return settled{128 + int(signalled.signal), err}
	case errors.As(err, &missing) && !errors.As(err, &several):
		return settled{exitFailed, err}
	case r.endsRecovery():
		return settled{abortRecovery + r.codes(err), fmt.Errorf("%w\nPostgreSQL stops here, so that it does not take this for the end of the archive: put it right, and start it again", err)}
	}
	return settled{r.codes(err), err}
}

// persist calls attempt until it succeeds, or fails otherwise than because
// something is out of reach, or time is up. again tells whether another attempt is
// possible.
func (r *restoreCommand) persist(ctx context.Context, a *app, again func() bool, attempt func() error) error {
	begun, pause := time.Now(), time.Second
	for {
		err := attempt()
		if sdk.KindOf(err) != sdk.Unavailable || !again() || time.Since(begun)+pause > r.retry {
			return err
		}
		a.print().warn(fmt.Sprintf("%v; trying again in %s", err, pause))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause = min(2*pause, mostRetryPause) + time.Duration(rand.Int64N(int64(time.Second)))
	}
}

// codeOfGetWAL is the table of docs/exit-codes.md, except that 1 is kept for a
// file that is proven not to be there.
func codeOfGetWAL(err error) int {
	code := exitCode(context.Background(), err)
	switch {
	case code != exitFailed:
		return code
	case sdk.KindOf(err) == sdk.NotFound:
		return exitInvalid // a server of that name
	}
	return exitUnknown
}

// codeOfRestore is what Python's barman-wal-restore ends with: the exit code of
// get-wal, 3 when the destination can't be written, 2 for everything else. Codes
// above 125 are not passed on, or a standby would end.
func codeOfRestore(err error) int {
	var there *remote.Failed
	var decided settled
	switch {
	case errors.As(err, &decided):
		return decided.code
	case errors.As(err, &there) && there.Code > exitFailed && there.Code <= highestCode:
		return there.Code
	case errors.As(err, &there):
		return clientFailed
	case sdk.KindOf(err) == sdk.Invalid:
		return exitInvalid
	case sdk.KindOf(err) == sdk.Corrupt:
		return exitCorrupt
	}
	return clientFailed
}
