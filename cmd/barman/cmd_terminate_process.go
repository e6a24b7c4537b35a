package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/processes"
)

// terminationPatience is how long a task may take to end once it was told to.
const terminationPatience = 10 * time.Second

func newTerminateProcessCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "terminate-process SERVER TASK",
		Short: "End a task that runs for a server",
		Long: `Ask a task that runs for a server to end, with SIGINT, and wait up to ` + terminationPatience.String() + ` for it.
A backup that is ended so is marked as FAILED.

TASK is a name that 'barman list-processes' shows: ` + strings.Join(catalogue.Tasks(), ", ") + `.

` + exitCodesHelp,
		Example: "  barman terminate-process main backup",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := exactly(2, "a server and a task")(cmd, args); err != nil {
				return err
			}
			if !slices.Contains(catalogue.Tasks(), args[1]) {
				return usageError(cmd, fmt.Sprintf("%q is no task: they are %s", args[1], strings.Join(catalogue.Tasks(), ", ")))
			}
			return nil
		},
		ValidArgsFunction: a.completeTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runTerminateProcess(cmd.Context(), a, args[0], args[1])
		},
	}
}

func runTerminateProcess(ctx context.Context, a *app, name, task string) error {
	s, err := a.server(name, a.enabled)
	if err != nil || a.skipInactive(s.Config) {
		return err
	}
	p, err := processes.Find(s.Catalogue, task)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, terminationPatience)
	defer cancel()
	if err := processes.Stop(ctx, s.Catalogue, p); err != nil {
		return err
	}
	a.print().info(fmt.Sprintf("Stopped process %s(%d)", p.Task, p.PID))
	return nil
}

// completeTask offers servers, and then the tasks that run for one.
func (a *app) completeTask(cmd *cobra.Command, args []string, given string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return a.completeServer(cmd, args, given)
	case 1:
		s, err := a.server(args[0], a.catalogued)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		running, err := s.Catalogue.Processes()
		if err != nil {
			cobra.CompDebugln(err.Error(), false)
		}
		var tasks []string
		for _, p := range running {
			tasks = append(tasks, cobra.CompletionWithDesc(p.Task, fmt.Sprintf("process %d", p.PID)))
		}
		return tasks, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
