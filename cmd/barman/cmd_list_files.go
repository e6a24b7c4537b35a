package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/files"
)

type listFilesOptions struct {
	target           string
	emptyDirectories bool
}

func newListFilesCommand(a *app) *cobra.Command {
	var o listFilesOptions
	cmd := &cobra.Command{
		Use:   "list-files SERVER BACKUP",
		Short: "List the files of a backup and of its WAL",
		Long: `List the files of a backup with their absolute paths, one in a line, for programs
that carry them elsewhere. --target says which:

  standalone  the files of the backup, and the WAL from its begin to its end
  data        the files of the backup only
  wal         the archived WAL from the backup's begin up to the next backup, or
              to the newest, with the history files
  full        data and wal

The names of the WAL of "standalone" are listed whether it has been archived or
not. What is in a store elsewhere is listed by the name that it has there.

BACKUP is an ID, a name given with 'barman backup --name', or one of latest,
last, oldest, first, latest-full, last-full and last-failed.

` + exitCodesHelp,
		Example:           "  barman list-files main latest\n  barman list-files main 20240110T120000 --target full\n  barman -f json list-files main latest --target wal",
		Args:              exactly(2, "a server and a backup"),
		ValidArgsFunction: a.completeBackup,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(files.Targets(), files.Target(o.target)) {
				return usageError(cmd, fmt.Sprintf("--target %s: it is one of %s", o.target, targetNames()))
			}
			return runListFiles(cmd.Context(), a, o, args[0], args[1])
		},
	}
	cmd.Flags().StringVar(&o.target, "target", string(files.Standalone), "which files: "+targetNames())
	cmd.Flags().BoolVar(&o.emptyDirectories, "list-empty-directories", false, "list empty directories, too")
	return cmd
}

func targetNames() string {
	var names []string
	for _, t := range files.Targets() {
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}

func runListFiles(ctx context.Context, a *app, o listFilesOptions, name, reference string) error {
	request := files.Request{Target: files.Target(o.target), EmptyDirectories: o.emptyDirectories}
	s, err := a.server(name, a.inspected)
	if err != nil {
		return err
	}
	if request.Backup, err = s.Catalogue.Resolve(reference); err != nil {
		return err
	}
	for path, err := range files.List(ctx, s, request) {
		if err != nil {
			return fmt.Errorf("files of backup %s: %w", request.Backup.ID, err)
		}
		a.print().info(path)
	}
	return nil
}
