package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/check"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
)

func newConfigCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration",
		Args:  cobra.ArbitraryArgs,
		RunE:  runNoCommand,
	}
	cmd.AddCommand(newConfigValidateCommand(a), newConfigShowCommand(a), newConfigReferenceCommand(a), newConfigImportCommand(a))
	return cmd
}

func newConfigValidateCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check the configuration, the settings of plugins included",
		Long: `Check the configuration. Every plugin that it names is started and asked about
its settings, as before a backup; no server is connected to. All mistakes are
shown with their lines. The exit code is 3 when there are any.

` + exitCodesHelp,
		Example: "  barman config validate\n  barman -c new.hcl -f json config validate",
		Args:    exactly(0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runConfigValidate(cmd.Context(), a) },
	}
}

func runConfigValidate(ctx context.Context, a *app) error {
	if err := a.warnOfConfiguration(); err != nil {
		return err
	}
	loaded := a.config
	var errs []error
	for _, configured := range loaded.Servers {
		if err := configured.Err(); err != nil {
			errs = append(errs, err)
			continue
		}
		s, err := a.open(configured)
		if err != nil {
			return err
		}
		for _, p := range check.Pipelines(s) {
			if err := s.Engine.Check(ctx, s.ForStages(), p.Stages...); err != nil {
				errs = append(errs, sdk.Errorf(sdk.Invalid, "server %s, %s: %w", s.Name(), p.Name, err))
			}
		}
	}
	if isInterrupted(ctx) {
		return context.Cause(ctx)
	}
	if len(errs) > 0 {
		return a.reportSettings(errs)
	}
	a.print().answer(validConfig{paths: loaded.Paths, servers: len(loaded.Servers)})
	return nil
}

// reportSettings prints what plugins have against their settings: the mistakes
// with a place in the configuration together, once each, the others as they are.
func (a *app) reportSettings(errs []error) error {
	placed := &config.Error{Files: a.config.Files()}
	seen := map[string]bool{}
	var listed []error
	for _, err := range errs {
		found := configErrors(err)
		if len(found) == 0 {
			a.print().fail(err)
			listed = append(listed, err)
		}
		for _, e := range found {
			for _, d := range e.Diagnostics {
				if key := d.Error(); !seen[key] {
					seen[key] = true
					placed.Diagnostics = append(placed.Diagnostics, d)
				}
			}
		}
	}
	if len(placed.Diagnostics) > 0 {
		a.print().diagnose(placed)
		listed = append(listed, placed)
	}
	return &failures{errs: listed, of: len(listed)}
}

// configErrors returns all errors of the configuration within an error.
func configErrors(err error) []*config.Error {
	var one *config.Error
	switch e := err.(type) { //nolint:errorlint // this walks the tree itself
	case nil:
		return nil
	case *config.Error:
		return []*config.Error{e}
	case interface{ Unwrap() []error }:
		var found []*config.Error
		for _, inner := range e.Unwrap() {
			found = append(found, configErrors(inner)...)
		}
		return found
	}
	if inner := errors.Unwrap(err); inner != nil {
		return configErrors(inner)
	}
	if errors.As(err, &one) {
		return []*config.Error{one}
	}
	return nil
}

type validConfig struct {
	paths   []string
	servers int
}

func (v validConfig) text(w io.Writer, s style) {
	fmt.Fprintf(w, "%s: %s (%d servers)\n", strings.Join(v.paths, ", "), s.good("valid"), v.servers)
}

func (v validConfig) document() map[string]any {
	return map[string]any{"valid": true, "files": v.paths, "servers": v.servers}
}

func newConfigShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show SERVER",
		Short: "Show what holds for a server, defaults included",
		Long: `Show every setting that holds for a server: written, inherited from defaults or
left to its default, those of plugins included. Passwords and keys are masked.

` + exitCodesHelp,
		Example:           "  barman config show main\n  barman -f json config show main",
		Args:              exactly(1, "a server"),
		ValidArgsFunction: a.completeServer,
		RunE:              func(cmd *cobra.Command, args []string) error { return runConfigShow(cmd.Context(), a, args[0]) },
	}
}

func runConfigShow(ctx context.Context, a *app, name string) error {
	if err := a.warnOfConfiguration(); err != nil {
		return err
	}
	s, err := a.server(name, a.open)
	if err != nil {
		return err
	}
	known := map[[2]string]schema.Schema{}
	shown, diagnostics := config.Effective(s.Config, func(kind, plugin string) (schema.Schema, error) {
		key := [2]string{kind, plugin}
		if described, ok := known[key]; ok {
			return described, nil
		}
		described, err := s.Engine.Describe(ctx, kind, plugin)
		if err == nil {
			known[key] = described.Schema
		}
		return described.Schema, err
	})
	a.print().answer(shownConfig{shown})
	return a.diagnostics(diagnostics)
}

// diagnostics returns the errors among diagnostics and prints the warnings.
func (a *app) diagnostics(found hcl.Diagnostics) error {
	if err := config.Check(found, a.config.Files()); err != nil {
		return err
	}
	for _, message := range config.Messages(found) {
		a.print().warn(oneLine(message))
	}
	return nil
}

// oneLine renders a diagnostic in a line.
func oneLine(m config.Message) string {
	text := m.Summary
	if m.Detail != "" {
		text += ": " + m.Detail
	}
	if m.File != "" {
		text = fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, text)
	}
	return text
}

type shownConfig struct{ root *config.Node }

func (c shownConfig) text(w io.Writer, _ style) { fmt.Fprint(w, c.root.HCL()) }

func (c shownConfig) document() map[string]any {
	raw, err := c.root.MarshalJSON()
	if err != nil {
		return map[string]any{"_ERROR": []string{err.Error()}}
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return map[string]any{"_ERROR": []string{err.Error()}}
	}
	return object
}
