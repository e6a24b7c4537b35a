package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/stage"
	"github.com/barman-go/barman/sdk/schema"
)

func newConfigReferenceCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "reference",
		Short: "Print the reference of all blocks and settings, as Markdown",
		Long: `Print the reference of every block and setting, those of all plugins that are
found included. It is made from what the configuration is read with. Without a
configuration the plugins beside the barman binary are described.

` + exitCodesHelp,
		Example: "  barman config reference > reference.md",
		Args:    exactly(0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runConfigReference(cmd.Context(), a) },
	}
}

func runConfigReference(ctx context.Context, a *app) error {
	r, err := readReference(ctx, a)
	if err != nil {
		return err
	}
	a.print().answer(r)
	return nil
}

// readReference asks the plugins that are found for their settings.
func readReference(ctx context.Context, a *app) (r reference, err error) {
	if r.core, err = config.ReferenceMarkdown(); err != nil {
		return r, err
	}
	found, engine, err := a.found()
	if err != nil {
		return r, err
	}
	for _, p := range found {
		described, err := engine.Describe(ctx, p.Kind, p.Name)
		if err != nil {
			return r, fmt.Errorf("%s: %w", stage.Label(p.Kind, p.Name), err)
		}
		r.plugins = append(r.plugins, describedPlugin{label: stage.Label(p.Kind, p.Name), doc: described.Doc, settings: described.Schema})
	}
	return r, nil
}

// reference is the answer of config reference.
type reference struct {
	core    string
	plugins []describedPlugin
}

type describedPlugin struct {
	label, doc string
	settings   schema.Schema
}

func (r reference) text(w io.Writer, _ style) {
	fmt.Fprintln(w, strings.TrimRight(r.core, "\n"))
	fmt.Fprintln(w, "\n## Plugins")
	for _, p := range r.plugins {
		fmt.Fprintf(w, "\n### %s\n\n%s\n", p.label, p.doc)
		if len(p.settings.Attributes)+len(p.settings.Blocks) == 0 {
			fmt.Fprintln(w, "\nIt has no settings.")
			continue
		}
		fmt.Fprintf(w, "\n%s\n", strings.TrimRight(schema.Markdown(p.settings), "\n"))
	}
}

func (r reference) document() map[string]any {
	plugins := map[string]any{}
	for _, p := range r.plugins {
		plugins[p.label] = p.settings
	}
	return map[string]any{"reference": r.core, "plugins": plugins}
}
