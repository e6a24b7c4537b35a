package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/diagnosis"
	"github.com/barman-go/barman/core/stage"
)

func newDiagnoseCommand(a *app) *cobra.Command {
	var sources bool
	cmd := &cobra.Command{
		Use:   "diagnose",
		Short: "Print everything about this installation, for whoever helps with it",
		Long: `Print a JSON document about the program, the machine, the configuration, all
servers with what their PostgreSQL says of itself, all backups, and the newest WAL
of each timeline. It works also when the configuration cannot be read. Passwords
are masked; look through it nevertheless before you send it to somebody.

With -f json the document is the text of an _INFO, as in Barman in Python.

` + exitCodesHelp,
		Example:           "  barman diagnose\n  barman diagnose --show-config-source",
		Args:              exactly(0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return runDiagnose(cmd.Context(), a, sources) },
	}
	cmd.Flags().BoolVar(&sources, "show-config-source", false, "tell which file each setting of a server was written in")
	return cmd
}

func runDiagnose(ctx context.Context, a *app, sources bool) error {
	request := diagnosis.Request{Sources: sources, Now: time.Now()}
	loaded, failed := a.configuration()
	if failed != nil {
		request.Errors = complaints(failed)
	} else {
		request.Config = loaded
		for _, configured := range loaded.Servers {
			s, err := a.catalogued(configured)
			if err != nil {
				request.Errors = append(request.Errors, err.Error())
				continue
			}
			request.Servers = append(request.Servers, s)
		}
		var err error
		if request.Plugins, err = a.pluginPaths(); err != nil {
			request.Errors = append(request.Errors, err.Error())
		}
	}
	report, err := indented(diagnosis.Report(ctx, request))
	if err != nil {
		return err
	}
	a.print().info(strings.TrimRight(string(report), "\n"))
	return failed
}

// complaints are what is wrong with the configuration, a line each.
func complaints(err error) []string {
	var whole *config.Error
	if !errors.As(err, &whole) {
		return []string{err.Error()}
	}
	var lines []string
	for _, m := range whole.Messages() {
		lines = append(lines, oneLine(m))
	}
	return lines
}

// pluginPaths returns where the plugins are that are found.
func (a *app) pluginPaths() (map[string]string, error) {
	finder, err := a.plugins()
	if err != nil {
		return nil, err
	}
	found, err := finder.List()
	paths := map[string]string{}
	for _, p := range found {
		paths[stage.Label(p.Kind, p.Name)] = p.Path
	}
	return paths, err
}

// indented is a document with passwords masked and keys sorted.
func indented(document map[string]any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return nil, err
	}
	masked, err := redactJSON(b.Bytes())
	if err != nil {
		return nil, err
	}
	var pretty bytes.Buffer
	err = json.Indent(&pretty, masked, "", "    ")
	return pretty.Bytes(), err
}
