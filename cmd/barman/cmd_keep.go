package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/removal"
)

type keepOptions struct {
	release, status bool
	target          string
}

func newKeepCommand(a *app) *cobra.Command {
	var o keepOptions
	cmd := &cobra.Command{
		Use:   "keep SERVER BACKUP",
		Short: "Keep a backup whatever the retention policy says",
		Long: `Keep a backup whatever the retention policy says, let it go again, or show
whether it is kept.

With --target full all WAL from the backup's begin on is kept, so that it can be
recovered to any moment; with --target standalone only the WAL that the backup
needs itself.

BACKUP is an ID, a name given with 'barman backup --name', or one of latest,
last, oldest, first, latest-full and last-full.

` + exitCodesHelp,
		Example:           "  barman keep main latest --target standalone\n  barman keep main latest --status\n  barman keep main latest --release",
		Args:              exactly(2, "a server and a backup"),
		ValidArgsFunction: a.completeBackup,
		RunE: func(cmd *cobra.Command, args []string) error {
			if chosen(o.release, o.status, o.target != "") != 1 {
				return usageError(cmd, "give one of --target, --release and --status")
			}
			return runKeep(cmd.Context(), a, o, args[0], args[1])
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.release, "release", "r", false, "let the backup go")
	flags.BoolVarP(&o.status, "status", "s", false, "show whether the backup is kept")
	flags.StringVar(&o.target, "target", "", "what to keep: full or standalone")
	return cmd
}

// chosen counts options.
func chosen(options ...bool) int {
	n := 0
	for _, given := range options {
		if given {
			n++
		}
	}
	return n
}

func runKeep(ctx context.Context, a *app, o keepOptions, name, reference string) error {
	s, err := a.server(name, a.open)
	if err != nil {
		return err
	}
	b, err := s.Catalogue.Resolve(reference)
	if err != nil {
		return err
	}
	if o.status {
		keep, err := s.Catalogue.Annotation(b.ID, catalogue.AnnotationKeep)
		if err != nil {
			return err
		}
		a.print().answer(kept{server: s.Name(), how: keep})
		return nil
	}
	if a.skipInactive(s.Config) {
		return nil
	}
	if o.release {
		return removal.LetGo(ctx, s, b.ID)
	}
	return removal.Keep(ctx, s, b.ID, o.target)
}

// kept is how a backup is kept.
type kept struct{ server, how string }

func (k kept) text(w io.Writer, _ style) {
	fmt.Fprintf(w, "Server %s:\n\tKeep: %s\n", k.server, k.shown())
}

func (k kept) shown() string {
	if k.how == "" {
		return "nokeep"
	}
	return k.how
}

func (k kept) document() map[string]any {
	return map[string]any{k.server: map[string]any{"keep_status": map[string]any{"description": "Keep", "message": k.shown()}}}
}
