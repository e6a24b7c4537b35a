package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/diagnosis"
)

func newShowServersCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show-servers SERVER…",
		Aliases: []string{"show-server"},
		Short:   "Show the settings of servers, and what PostgreSQL says of itself",
		Long: `Show what holds for one or more servers, or for "all", under the names that the
settings have in a barman.conf, and what their PostgreSQL says of itself. A server
that is out of reach says why in connection_error. Passwords are masked.

'barman config show' shows the settings as they are written in HCL, those of
plugins included.

` + exitCodesHelp,
		Example:           "  barman show-servers main\n  barman -f json show-servers all",
		Args:              someServers,
		ValidArgsFunction: a.completeServers,
		RunE:              func(cmd *cobra.Command, args []string) error { return runShowServers(cmd.Context(), a, args) },
	}
}

func runShowServers(ctx context.Context, a *app, args []string) error {
	return a.forServers(ctx, args, func(ctx context.Context, configured *config.Server) error {
		s, err := a.catalogued(configured)
		if err != nil {
			return err
		}
		summary, err := diagnosis.Summary(ctx, a.config, s, time.Now())
		a.print().answer(shownServer{name: s.Name(), title: serverTitle(configured), summary: summary})
		return err
	})
}

// shownServer is what is known of a server.
type shownServer struct {
	name, title string
	summary     map[string]any
}

func (s shownServer) text(w io.Writer, _ style) {
	fmt.Fprintln(w, s.title+":")
	for _, key := range sortedKeys(s.summary) {
		fmt.Fprintf(w, "\t%s: %s\n", key, likePython(s.summary[key]))
	}
}

func (s shownServer) document() map[string]any { return map[string]any{s.name: s.summary} }

// likePython writes a value as Barman in Python prints it: programs that read its
// text know True, False and None.
func likePython(value any) string {
	switch v := value.(type) {
	case nil:
		return "None"
	case bool:
		return boolean(v)
	case []string:
		quoted := make([]string, len(v))
		for i, text := range v {
			quoted[i] = "'" + text + "'"
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case []any:
		parts := make([]string, len(v))
		for i, part := range v {
			parts[i] = likePython(part)
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(value)
}
