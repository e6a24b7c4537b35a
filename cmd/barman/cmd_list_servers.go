package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/config"
)

type listServersOptions struct{ minimal bool }

func newListServersCommand(a *app) *cobra.Command {
	var o listServersOptions
	cmd := &cobra.Command{
		Use:     "list-servers",
		Aliases: []string{"list-server"},
		Short:   "List the configured servers",
		Long:    "List the configured servers with their descriptions.\n\n" + exitCodesHelp,
		Example: "  barman list-servers\n  barman list-servers --minimal",
		Args:    exactly(0, "no arguments"),
		RunE:    func(*cobra.Command, []string) error { return runListServers(a, o) },
	}
	cmd.Flags().BoolVar(&o.minimal, "minimal", false, "print the names only")
	return cmd
}

func runListServers(a *app, o listServersOptions) error {
	loaded, err := a.configuration()
	if err != nil {
		return err
	}
	a.print().answer(serverList{servers: loaded.Servers, minimal: o.minimal})
	return nil
}

type serverList struct {
	servers []*config.Server
	minimal bool
}

func (l serverList) text(w io.Writer, _ style) {
	for _, s := range l.servers {
		description := s.Description
		switch {
		case !s.Active:
			description += inactiveSuffix
		case s.Err() != nil:
			description += disabledSuffix
		case s.Passive():
			description += passiveSuffix
		}
		if l.minimal || description == "" {
			fmt.Fprintln(w, s.Name)
			continue
		}
		fmt.Fprintf(w, "%s - %s\n", s.Name, description)
	}
}

func (l serverList) document() map[string]any {
	servers := map[string]any{}
	for _, s := range l.servers {
		servers[s.Name] = map[string]any{"description": s.Description}
	}
	return servers
}
