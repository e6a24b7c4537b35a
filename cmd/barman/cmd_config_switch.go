package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/cron"
	"github.com/barman-go/barman/core/reconfigure"
)

func newConfigSwitchCommand(a *app) *cobra.Command {
	var reset bool
	cmd := &cobra.Command{
		Use:   "config-switch SERVER MODEL",
		Short: "Lay a model over a server's configuration, or take it off",
		Long: `Lay a model over a server's configuration, in place of the one that is there, or
take it off with --reset. The model must be of the server's cluster. What it says
holds until the next config-switch; a receiver of the server's WAL begins anew
with it.

` + exitCodesHelp,
		Example: "  barman config-switch main standby-as-source\n  barman config-switch main --reset",
		Args: func(cmd *cobra.Command, args []string) error {
			if reset {
				return exactly(1, "a server, with --reset")(cmd, args)
			}
			return exactly(2, "a server, and a model or --reset")(cmd, args)
		},
		ValidArgsFunction: a.completeModel,
		RunE: func(cmd *cobra.Command, args []string) error {
			model := ""
			if !reset {
				model = args[1]
			}
			return runConfigSwitch(cmd.Context(), a, args[0], model)
		},
	}
	cmd.Flags().BoolVar(&reset, "reset", false, "take the model off")
	return cmd
}

func runConfigSwitch(ctx context.Context, a *app, server, model string) error {
	loaded, err := a.configuration()
	if err != nil {
		return err
	}
	s, err := loaded.Server(server)
	if err != nil {
		return err
	}
	changed, err := reconfigure.Switch(ctx, loaded, s, model)
	switch {
	case err != nil:
		return err
	case !changed && model == "":
		a.print().info(fmt.Sprintf("No model is active on server '%s'", server))
		return nil
	case !changed:
		a.print().info(fmt.Sprintf("Model '%s' is active on server '%s' already", model, server))
		return nil
	case model == "":
		a.print().info(fmt.Sprintf("No model is active on server '%s' any more", server))
	default:
		a.print().info(fmt.Sprintf("Model '%s' is active on server '%s' now", model, server))
	}
	return a.renew(ctx, func(s *config.Server) bool { return s.Name == server })
}

// renew has the WAL of servers received with the settings that have changed.
func (a *app) renew(ctx context.Context, concerned func(*config.Server) bool) error {
	loaded, err := a.reload()
	if err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	configuration, err := a.namedConfiguration()
	if err != nil {
		return err
	}
	var failed failures
	for _, configured := range loaded.Servers {
		if !concerned(configured) {
			continue
		}
		failed.of++
		err := configured.Err()
		if err == nil {
			s, opened := a.catalogued(configured)
			if opened != nil {
				return opened
			}
			r := cron.Renew(ctx, s, cron.Background(executable, configuration, false))
			if r.Skipped != "" {
				a.print().info(fmt.Sprintf("Server '%s': %s", r.Server, r.Skipped))
			}
			err = r.Err
		}
		if err != nil {
			a.report(err)
			failed.errs = append(failed.errs, err)
		}
	}
	return failed.result()
}

// completeModel offers servers, then the models that fit the server.
func (a *app) completeModel(cmd *cobra.Command, args []string, given string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeServer(cmd, args, given)
	}
	loaded, err := config.Load(a.options.config)
	if err != nil || len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, err := loaded.Server(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, m := range loaded.Models {
		if m.Cluster == s.Cluster {
			names = append(names, m.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
