package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completed writes out long options that were abbreviated: any beginning that
// only one option of the command has, as Barman in Python takes it. The others
// are left as they are, for the command to refuse.
func completed(root *cobra.Command, args []string) []string {
	cmd, _, err := root.Find(args)
	if err != nil || strings.HasPrefix(cmd.Name(), "__complete") {
		return args
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	all := make([]string, 0, len(args))
	for i, arg := range args {
		if arg == "--" {
			return append(all, args[i:]...)
		}
		all = append(all, writtenOut(cmd, arg))
	}
	return all
}

func writtenOut(cmd *cobra.Command, arg string) string {
	given, isLong := strings.CutPrefix(arg, "--")
	name, value, hasValue := strings.Cut(given, "=")
	if !isLong || name == "" || cmd.Flag(name) != nil {
		return arg
	}
	var found []string
	look := func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, name) {
			found = append(found, f.Name)
		}
	}
	cmd.NonInheritedFlags().VisitAll(look)
	cmd.InheritedFlags().VisitAll(look)
	if len(found) != 1 {
		return arg
	}
	if hasValue {
		return "--" + found[0] + "=" + value
	}
	return "--" + found[0]
}
