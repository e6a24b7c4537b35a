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
		Long: `Print the version of this program, and the release of Barman whose command line,
output and catalogue it has. 'barman --version' prints that release first, for
programs that ask which commands there are.

` + exitCodesHelp,
		Example:           "  barman version\n  barman -f json version",
		Args:              exactly(0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			a.print().answer(versionAnswer{version.String(), version.Compatible})
			return nil
		},
	}
}

// versionText is what --version prints. Its first line is a number and nothing
// else: other programs compare it.
func versionText() string {
	return fmt.Sprintf("%s\n\nThis is barman-go %s, with the commands, output and catalogue of Barman %s.\n", version.Compatible, version.String(), version.Compatible)
}

type versionAnswer struct{ own, compatible string }

func (v versionAnswer) text(w io.Writer, _ style) {
	fmt.Fprintf(w, "%s, compatible with Barman %s\n", v.own, v.compatible)
}

func (v versionAnswer) document() map[string]any {
	return map[string]any{"version": v.own, "compatible_with": v.compatible}
}
