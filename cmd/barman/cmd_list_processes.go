package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
)

func newListProcessesCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list-processes SERVER",
		Aliases: []string{"list-process"},
		Short:   "List the tasks that run for a server",
		Long: `List the tasks that run for a server, with their process numbers: backup, cron,
archive-wal and receive-wal, whichever program they belong to. A task is known
by the lock that it holds.

'barman terminate-process' ends one.

` + exitCodesHelp,
		Example:           "  barman list-processes main\n  barman -f json list-processes main",
		Args:              exactly(1, "a server"),
		ValidArgsFunction: a.completeServer,
		RunE:              func(_ *cobra.Command, args []string) error { return runListProcesses(a, args[0]) },
	}
}

func runListProcesses(a *app, name string) error {
	s, err := a.server(name, a.enabled)
	if err != nil || a.skipInactive(s.Config) {
		return err
	}
	running, err := s.Catalogue.Processes()
	a.print().answer(processList{server: s.Name(), running: running})
	return err
}

// processList are the running tasks of a server.
type processList struct {
	server  string
	running []catalogue.Process
}

func (l processList) text(w io.Writer, _ style) {
	if len(l.running) == 0 {
		fmt.Fprintf(w, "No active subprocesses found for server %s.\n", l.server)
		return
	}
	fmt.Fprintf(w, "Active subprocesses for server %s:\n", l.server)
	for _, p := range l.running {
		fmt.Fprintf(w, "%d %s\n", p.PID, p.Task)
	}
}

func (l processList) document() map[string]any {
	running := []map[string]any{}
	for _, p := range l.running {
		running = append(running, map[string]any{"pid": p.PID, "name": p.Task})
	}
	return map[string]any{l.server: running}
}
