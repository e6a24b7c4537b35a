package main

import (
	"slices"
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
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(all, args[i:]...)
		}
		arg := writtenOut(cmd, args[i])
		if i+1 < len(args) && takes(cmd, arg, args[i+1]) {
			i++
			arg += "=" + args[i]
		}
		if takesSeveral(cmd, arg) {
			for ; i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"); i++ {
				all = append(all, arg+"="+args[i+1])
			}
			continue
		}
		all = append(all, arg)
	}
	return all
}

// ownWord annotates an option whose value can be left out with the values that it
// takes as the next word, too.
const ownWord = "value as the next word"

// takes tells whether the next word is an option's value.
func takes(cmd *cobra.Command, arg, next string) bool {
	name, isLong := strings.CutPrefix(arg, "--")
	flag := cmd.Flag(name)
	return isLong && flag != nil && slices.Contains(flag.Annotations[ownWord], next)
}

// severalWords annotates an option that takes all words up to the next option.
const severalWords = "several words"

// takesSeveral tells whether all words up to the next option are an option's.
func takesSeveral(cmd *cobra.Command, arg string) bool {
	name, isLong := strings.CutPrefix(arg, "--")
	flag := cmd.Flag(name)
	if !isLong || flag == nil {
		return false
	}
	_, several := flag.Annotations[severalWords]
	return several
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
