package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/reconfigure"
)

func newConfigUpdateCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "config-update JSON",
		Short: "Change settings of servers and models",
		Long: `Change settings of servers and models, for programs. JSON is an array of objects,
each with a "scope" ("server" or "model"), a "server_name" or "model_name", and
settings. A model that does not exist is made; it needs a "cluster". Receivers of
the servers' WAL begin anew with the changes.

In a barman.conf a setting is changed where it stands, else in .barman.auto.conf
below barman_home. With HCL it goes to .barman.auto.hcl below home, which is laid
over all other files; settings in blocks are written with a dot, as in
retention.policy, and those of stages and hooks cannot be changed.

A change that would make the configuration unusable, or that would be ignored, is
refused. What was accepted is carried out even if barman is killed: by the next
cron.

` + exitCodesHelp,
		Example: `  barman config-update '[{"scope": "server", "server_name": "main", "minimum_redundancy": "2"}]'`,
		Args:    exactly(1, "a JSON array"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runConfigUpdate(cmd.Context(), a, args[0]) },
	}
}

func runConfigUpdate(ctx context.Context, a *app, request string) error {
	changes, err := reconfigure.Update(ctx, a.reload, []byte(request))
	if err != nil {
		return err
	}
	a.print().answer(updatedConfig{changes})
	return a.renew(ctx, func(s *config.Server) bool {
		return slices.ContainsFunc(changes, func(c config.Change) bool { return c.Section == s.Name || c.Section == s.ActiveModel })
	})
}

// updatedConfig is the answer of config-update.
type updatedConfig struct{ changes []config.Change }

func (u updatedConfig) text(w io.Writer, _ style) {
	for _, change := range u.changes {
		for _, s := range change.Settings {
			fmt.Fprintf(w, "%s: %s of %s\n", s.File, s.Key, change.Section)
		}
	}
}

// document leaves out the values, which may be secrets.
func (u updatedConfig) document() map[string]any {
	changed := []map[string]string{}
	for _, change := range u.changes {
		for _, s := range change.Settings {
			changed = append(changed, map[string]string{"section": change.Section, "key": s.Key, "file": s.File})
		}
	}
	return map[string]any{"changes": changed}
}
