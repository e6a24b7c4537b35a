package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/version"
)

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			a.print().answer(versionAnswer(version.String()))
			return nil
		},
	}
}

type versionAnswer string

func (v versionAnswer) text(w io.Writer, _ style) { fmt.Fprintln(w, string(v)) }

func (v versionAnswer) document() map[string]any { return map[string]any{"version": string(v)} }
