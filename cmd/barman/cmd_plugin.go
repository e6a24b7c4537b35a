package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/core/stage"
	"github.com/barman-go/barman/sdk/host"
)

func newPluginCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Look at plugins",
		Args:  cobra.ArbitraryArgs,
		RunE:  runNoCommand,
	}
	cmd.AddCommand(newPluginListCommand(a))
	return cmd
}

func newPluginListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the plugins that are found",
		Long: `List the plugins that the configuration declares and that are in its plugin_dirs
(default: beside the barman binary). Each is started and says who it is; one that
does not start is listed with its error, and the exit code is 7 then.

` + exitCodesHelp,
		Example: "  barman plugin list",
		Args:    exactly(0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runPluginList(cmd.Context(), a) },
	}
}

// startsAtOnce bounds how many plugins are started side by side.
const startsAtOnce = 4

func runPluginList(ctx context.Context, a *app) error {
	found, engine, err := a.found()
	if err != nil {
		return err
	}
	list := make(pluginList, len(found))
	var group errgroup.Group
	group.SetLimit(startsAtOnce)
	for i, p := range found {
		group.Go(func() error {
			list[i] = listedPlugin{Plugin: p}
			list[i].description, list[i].err = engine.Describe(ctx, p.Kind, p.Name)
			return nil
		})
	}
	_ = group.Wait() // the errors are in the list
	a.print().answer(list)
	failed := &failures{of: len(list) + 1} // the listing itself is done
	for _, p := range list {
		if p.err != nil {
			err := fmt.Errorf("%s: %w", stage.Label(p.Kind, p.Name), p.err)
			a.print().fail(err)
			failed.errs = append(failed.errs, err)
		}
	}
	return failed.result()
}

type listedPlugin struct {
	stage.Plugin
	description host.Description
	err         error
}

func (p listedPlugin) pinned() string {
	if p.SHA256 == "" {
		return "no"
	}
	return "yes"
}

type pluginList []listedPlugin

func (l pluginList) text(w io.Writer, _ style) {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer columns.Flush()
	fmt.Fprintln(columns, "KIND\tNAME\tVERSION\tPROTOCOL\tPINNED\tPATH\tDESCRIPTION")
	for _, p := range l {
		version, protocol, doc := cmp.Or(p.description.Version, "-"), strconv.Itoa(p.description.Protocol), p.description.Doc
		if p.err != nil {
			version, protocol, doc = "-", "-", "does not start"
		}
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Kind, p.Name, version, protocol, p.pinned(), p.Path, doc)
	}
}

func (l pluginList) document() map[string]any {
	plugins := make([]map[string]any, 0, len(l))
	for _, p := range l {
		item := map[string]any{"kind": p.Kind, "name": p.Name, "path": p.Path, "pinned": p.SHA256 != ""}
		if p.err != nil {
			item["error"] = p.err.Error()
		} else {
			item["version"], item["protocol"], item["doc"] = p.description.Version, p.description.Protocol, p.description.Doc
		}
		plugins = append(plugins, item)
	}
	return map[string]any{"plugins": plugins}
}
