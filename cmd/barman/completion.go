package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
)

// Completions for the shell. They say nothing about what is wrong: whoever
// presses the tabulator key has not asked for it yet.

// completions completes what the commands below root have in common.
func completions(root *cobra.Command) {
	for name, values := range map[string][]string{
		"format": {formatConsole, formatJSON}, "color": {"auto", "always", "never"}, "log-level": {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "NOTSET"},
	} {
		completeFlag(root, name, values...)
	}
	config := root.PersistentFlags().Lookup("config")
	config.Annotations = map[string][]string{cobra.BashCompFilenameExt: {"hcl", "conf"}}
	everyCommand(root, func(cmd *cobra.Command) {
		if !cmd.HasSubCommands() && cmd.ValidArgsFunction == nil && !strings.HasSuffix(cmd.Use, " FILE") {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		for name, values := range valuesOf[cmd.Name()] {
			completeFlag(cmd, name, values...)
		}
	})
}

// valuesOf are the values of the flags of commands.
var valuesOf = map[string]map[string][]string{
	"keep":               {"target": {"full", "standalone"}},
	"list-files":         {"target": {"standalone", "data", "wal", "full"}},
	"recover":            {"target-action": {"pause", "shutdown", "promote"}, "target-tli": {"current", "latest"}},
	"replication-status": {"target": {clientsAll, clientsHotStandby, clientsWALStreamer}, "source": {sourceBackupHost, sourceWALHost}},
}

func completeFlag(cmd *cobra.Command, name string, values ...string) {
	if cmd.Flag(name) == nil {
		return
	}
	if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // it was completed already: a mistake in this program
	}
}

// everyCommand calls visit for a command and all below it.
func everyCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		everyCommand(child, visit)
	}
}

// configured are the servers of the configuration, without those that are given.
func (a *app) configured(given []string) []string {
	loaded, err := config.Load(a.options.config)
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
		return nil
	}
	var names []string
	for _, s := range loaded.Servers {
		if !slices.Contains(given, s.Name) {
			names = append(names, cobra.CompletionWithDesc(s.Name, s.Description))
		}
	}
	return names
}

// completeServers offers the names of servers, and "all".
func (a *app) completeServers(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if slices.Contains(args, allServers) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := a.configured(args)
	if len(args) == 0 {
		names = append(names, cobra.CompletionWithDesc(allServers, "every server"))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeServer offers the names of servers for the first argument, and nothing
// for the others.
func (a *app) completeServer(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.configured(nil), cobra.ShellCompDirectiveNoFileComp
}

// completeServerAndFile is completeServer for commands whose other argument is a
// file.
func (a *app) completeServerAndFile(cmd *cobra.Command, args []string, given string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return a.completeServer(cmd, args, given)
}

// completeBackup offers the names of servers and then the backups of one, the
// newest first, and what stands for one.
func (a *app) completeBackup(cmd *cobra.Command, args []string, given string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return a.completeServer(cmd, args, given)
	}
	return append(a.backupsOf(args[0]), shortcuts()...), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completeRecovery is completeBackup with the directory behind it, or in the place
// of the backup.
func (a *app) completeRecovery(cmd *cobra.Command, args []string, given string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(args) == 1 && strings.Contains(given, "/"), len(args) == 2:
		return nil, cobra.ShellCompDirectiveFilterDirs
	case len(args) == 1:
		backups, directive := a.completeBackup(cmd, args, given)
		return append(backups, cobra.CompletionWithDesc(catalogue.ShortcutAuto, "the backup that suits the target")), directive
	}
	return a.completeServer(cmd, args, given)
}

// backupsOf lists the backups of a server, with their names if they have any.
func (a *app) backupsOf(name string) []string {
	s, err := a.server(name, a.catalogued)
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
		return nil
	}
	var found []string
	for entry, err := range s.Catalogue.Entries() {
		switch {
		case err != nil:
			cobra.CompDebugln(err.Error(), false)
			return found
		case entry.Err != nil:
			found = append(found, cobra.CompletionWithDesc(string(entry.ID), stateDamaged))
			continue
		}
		b := entry.Backup
		about := string(b.State)
		if b.State.CopyDone() {
			about = fmt.Sprintf("%s, %s", b.State, b.EndTime.Format(time.DateTime))
		}
		if b.Name != "" && b.State.CopyDone() {
			found = append(found, cobra.CompletionWithDesc(b.Name, string(b.ID)))
		}
		found = append(found, cobra.CompletionWithDesc(string(b.ID), about))
	}
	slices.Reverse(found)
	return found
}

// shortcuts stand for backups.
func shortcuts() []string {
	return []string{
		cobra.CompletionWithDesc(catalogue.ShortcutLatest, "the newest complete backup"),
		cobra.CompletionWithDesc(catalogue.ShortcutOldest, "the oldest complete backup"),
		cobra.CompletionWithDesc(catalogue.ShortcutLastFailed, "the newest that failed"),
		cobra.CompletionWithDesc(catalogue.ShortcutLatestFull, "the newest complete backup that needs no other"),
	}
}
