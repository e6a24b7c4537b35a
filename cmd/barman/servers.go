package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// allServers stands for every configured server.
const allServers = "all"

// failures are the errors of a command that works on several things. They have
// been printed as they came.
type failures struct {
	errs []error
	of   int // how many things there were
}

func (f *failures) Error() string { return errors.Join(f.errs...).Error() }

func (f *failures) Unwrap() []error { return f.errs }

// exitCode is that of the errors when everything failed alike, else "some items
// failed".
func (f *failures) exitCode() int {
	if len(f.errs) < f.of {
		return exitPartial
	}
	code := exitCode(context.Background(), f.errs[0])
	for _, err := range f.errs[1:] {
		if exitCode(context.Background(), err) != code {
			return exitPartial
		}
	}
	return code
}

// result is nil when nothing failed.
func (f *failures) result() error {
	if len(f.errs) == 0 {
		return nil
	}
	return f
}

// forServers calls work for the servers of the command line, in the order of
// their names. A failure is printed at once and does not keep the others from
// being worked on; a signal does.
func (a *app) forServers(ctx context.Context, args []string, work func(context.Context, *config.Server) error) error {
	loaded, err := a.configuration()
	if err != nil {
		return err
	}
	names := slices.Sorted(slices.Values(args))
	names = slices.Compact(names)
	switch {
	case slices.Contains(names, allServers) && len(names) > 1:
		return sdk.Errorf(sdk.Invalid, "%q stands for all servers and cannot be used with other names", allServers)
	case slices.Contains(names, allServers):
		names = nil
		for _, s := range loaded.Servers {
			names = append(names, s.Name)
		}
	}
	failed := &failures{of: len(names)}
	for _, name := range names {
		err := ctx.Err()
		if err == nil {
			var s *config.Server
			if s, err = loaded.Server(name); err == nil {
				err = work(ctx, s)
			}
		} else {
			err = fmt.Errorf("server %s: %w", name, context.Cause(ctx))
		}
		if err != nil {
			a.report(err)
			failed.errs = append(failed.errs, err)
		}
	}
	return failed.result()
}

// serverTitle is what stands above what is told of a server.
func serverTitle(s *config.Server) string {
	switch {
	case !s.Active:
		return "Server " + s.Name + inactiveSuffix
	case s.Err() != nil:
		return "Server " + s.Name + disabledSuffix
	}
	return "Server " + s.Name
}

const (
	inactiveSuffix = " (inactive)"
	disabledSuffix = " (WARNING: disabled)"
	passiveSuffix  = " (Passive)"
)

// enabled prepares a server of which only the catalogue is used, and refuses one
// whose part of the configuration is wrong.
func (a *app) enabled(s *config.Server) (*server.Server, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	return a.catalogued(s)
}

// inspected prepares a server that is only looked at, also one whose part of the
// configuration is wrong.
func (a *app) inspected(s *config.Server) (*server.Server, error) {
	engine, err := a.engine()
	if err != nil {
		return nil, err
	}
	return server.Open(a.config, s, engine, a.logger())
}

// skipInactive tells whether a server is to be left alone, and says so.
func (a *app) skipInactive(s *config.Server) bool {
	if !s.Active {
		a.print().info(fmt.Sprintf("Skipping inactive server '%s'", s.Name))
	}
	return !s.Active
}

// skipPassive is skipInactive, and tells the same of a server that is copied from
// another Barman.
func (a *app) skipPassive(s *config.Server) bool {
	if a.skipInactive(s) {
		return true
	}
	if s.Passive() {
		a.print().info(fmt.Sprintf("Skipping passive server '%s'", s.Name))
	}
	return s.Passive()
}

// someServers is the Args of commands for one or more servers.
func someServers(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError(cmd, "name one or more servers, or \"all\"")
	}
	return nil
}

// exactly is the Args of commands with fixed arguments, which what names.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError(cmd, fmt.Sprintf("%s takes %s, not %d arguments", cmd.CommandPath(), what, len(args)))
		}
		return nil
	}
}
