package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newDocsCommand makes the documents that are made from the commands themselves.
// It is for the Makefile, and hidden.
func newDocsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:    "docs",
		Short:  "Make the documents that are made from the commands",
		Hidden: true,
		Args:   cobra.ArbitraryArgs,
		RunE:   runNoCommand,
	}
	cmd.AddCommand(
		&cobra.Command{
			Hidden: true, Use: "commands", Short: "Print docs/commands.md", Args: exactly(0, "no arguments"),
			RunE: func(cmd *cobra.Command, _ []string) error {
				a.print().answer(generated(commandsDocument(programs(cmd.Root()))))
				return nil
			},
		},
		&cobra.Command{
			Hidden: true, Use: "readme FILE", Short: "Print README.md with its table of commands made anew", Args: exactly(1, "a file"),
			RunE: func(cmd *cobra.Command, args []string) error {
				written, err := os.ReadFile(args[0])
				if err != nil {
					return err
				}
				made, err := withCommandsTable(string(written), programs(cmd.Root()))
				a.print().answer(generated(made))
				return err
			},
		},
		&cobra.Command{
			Hidden: true, Use: "man DIRECTORY", Short: "Write the manual pages into a directory", Args: exactly(1, "a directory"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return writeManual(cmd.Context(), a, cmd.Root(), args[0])
			},
		},
	)
	return cmd
}

// generated is a document.
type generated string

func (g generated) text(w io.Writer, _ style) { _, _ = io.WriteString(w, string(g)) } // into memory

func (g generated) document() map[string]any { return map[string]any{"document": string(g)} }

// programs are the commands that people run, in order: those below root that do
// something, the clients, and the programs for buckets by their own names.
func programs(root *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	everyCommand(root, func(cmd *cobra.Command) {
		if !cmd.HasSubCommands() && cmd.IsAvailableCommand() && cmd.Name() != "help" && cmd.Parent() != nil && !slices.Contains([]string{"completion", "cloud"}, cmd.Parent().Name()) {
			all = append(all, cmd)
		}
	})
	slices.SortFunc(all, func(a, b *cobra.Command) int { return cmp.Compare(a.CommandPath(), b.CommandPath()) })
	other := newApp(os.Stdout, os.Stderr)
	return append(append(all, newRemoteWALArchiveCommand(other), newRemoteWALRestoreCommand(other)), cloudPrograms(other)...)
}

// synopsis is a command line: "barman check SERVER…".
func synopsis(cmd *cobra.Command) string {
	_, arguments, _ := strings.Cut(cmd.Use, " ")
	return strings.TrimSpace(cmd.CommandPath() + " " + arguments)
}

// firstExample is one line that runs the command.
func firstExample(cmd *cobra.Command) string {
	var first string
	for line := range strings.Lines(cmd.Example) {
		if line = strings.TrimSpace(line); strings.Contains(line, cmd.Name()) {
			first = cmp.Or(first, line)
		}
	}
	return first
}

// The table of commands in README.md stands between these lines.
const (
	tableBegins = "<!-- The table is made by \"make generate\". -->\n"
	tableEnds   = "<!-- End of the table. -->\n"
)

func withCommandsTable(readme string, commands []*cobra.Command) (string, error) {
	before, rest, begun := strings.Cut(readme, tableBegins)
	_, after, ended := strings.Cut(rest, tableEnds)
	if !begun || !ended {
		return readme, errors.New("README.md has no place for the table of commands")
	}
	return before + tableBegins + commandsTable(commands, "docs/commands.md") + tableEnds + after, nil
}

// commandsTable is a row for each command, with links into a document.
func commandsTable(commands []*cobra.Command, document string) string {
	var b strings.Builder
	b.WriteString("| Command | | Example |\n|---|---|---|\n")
	headings := map[string]bool{}
	for _, cmd := range commands {
		anchor := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		if headings[anchor] {
			anchor += "-1" // the second heading of that name
		}
		headings[anchor] = true
		fmt.Fprintf(&b, "| [`%s`](%s#%s) | %s | `%s` |\n", strings.TrimPrefix(cmd.CommandPath(), "barman "), document, anchor,
			inTable(cmd.Short), strings.ReplaceAll(firstExample(cmd), "|", `\|`))
	}
	return b.String()
}

func inTable(text string) string { return strings.ReplaceAll(inMarkdown(text), "|", `\|`) }

// inMarkdown protects a text from being taken for markup.
func inMarkdown(text string) string {
	return strings.NewReplacer("*", `\*`, "_", `\_`, "<", `\<`, "`", "\\`", "[", `\[`).Replace(text)
}

func commandsDocument(commands []*cobra.Command) string {
	var b strings.Builder
	b.WriteString(`# Commands

This page is made from the program by ` + "`make generate`" + `; ` + "`barman COMMAND --help`" + ` says the same. Commands and options are those of Python Barman 3.17; long
options may be abbreviated. What a command ends with is in [exit-codes.md](exit-codes.md).

Where a command takes several servers, ` + "`all`" + ` stands for all of them. A backup is meant by its ID, by a name that was given with ` + "`barman backup --name`" + `, or by
` + "`latest`, `last`, `oldest`, `first`, `last-failed`, `latest-full` or `last-full`" + `. ` + "`barman completion bash`" + ` (` + "`zsh`, `fish`" + `) prints what lets the shell complete all
of it.

`)
	b.WriteString(commandsTable(commands, ""))
	b.WriteString("\n## Options of every command\n\n")
	optionsTable(&b, commands[0].Root().PersistentFlags())
	for _, cmd := range commands {
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n\n", cmd.CommandPath(), synopsis(cmd))
		if len(cmd.Aliases) > 0 {
			fmt.Fprintf(&b, "Also: `%s`.\n\n", strings.Join(cmd.Aliases, "`, `"))
		}
		b.WriteString(description(cmd))
		if own := cmd.NonInheritedFlags(); own.HasAvailableFlags() {
			b.WriteString("\n")
			optionsTable(&b, own)
		}
		fmt.Fprintf(&b, "\n```\n%s\n```\n", unindented(cmd.Example))
	}
	return b.String()
}

// description is what a command's help says, as Markdown, without the exit codes
// that every command has.
func description(cmd *cobra.Command) string {
	long := strings.Replace(cmd.Long, exitCodesHelp, "", 1)
	if command, isCloud := strings.CutPrefix(cmd.Name(), cloudPrefix); isCloud {
		long += "\n\nThe same is 'barman cloud " + command + "'."
	}
	var b strings.Builder
	for i, paragraph := range strings.Split(strings.TrimSpace(long), "\n\n") {
		if i > 0 {
			b.WriteString("\n")
		}
		if strings.HasPrefix(paragraph, "  ") {
			fmt.Fprintf(&b, "```\n%s\n```\n", unindented(paragraph))
			continue
		}
		b.WriteString(inMarkdown(paragraph) + "\n")
	}
	return b.String()
}

func unindented(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

// option is a flag as people read it.
type option struct{ form, usage string }

func optionsOf(flags *pflag.FlagSet) []option {
	var all []option
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		form := "--" + f.Name
		if f.Shorthand != "" {
			form = "-" + f.Shorthand + ", " + form
		}
		if value != "" {
			form += " " + value
		}
		if !slices.Contains([]string{"", "false", "0", "[]", "0s"}, f.DefValue) {
			usage += " (default " + f.DefValue + ")"
		}
		all = append(all, option{form, usage})
	})
	return all
}

func optionsTable(b *strings.Builder, flags *pflag.FlagSet) {
	b.WriteString("| Option | |\n|---|---|\n")
	for _, o := range optionsOf(flags) {
		fmt.Fprintf(b, "| `%s` | %s |\n", o.form, inTable(o.usage))
	}
}

// writeManual writes barman(1), a page for each command, and barman.hcl(5).
func writeManual(ctx context.Context, a *app, root *cobra.Command, directory string) error {
	settings, err := readReference(ctx, a)
	if err != nil {
		return err
	}
	pages := map[string]string{
		"barman.1":     overviewPage(root),
		"barman.hcl.5": configurationPage(settings),
	}
	for _, cmd := range programs(root) {
		pages[pageName(cmd)+".1"] = commandPage(cmd)
	}
	for _, name := range sortedKeys(pages) {
		page := filepath.Join(directory, "man"+filepath.Ext(name)[1:], name)
		if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(page, md2man.Render([]byte(pages[name])), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pageName is that of a command's page. Of a command and a client of the same
// name, the client has it: its name is what people type.
func pageName(cmd *cobra.Command) string {
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	if cmd.HasParent() && name == "barman-wal-archive" {
		return "barman-command-wal-archive"
	}
	return name
}

// pageHead begins a page, as md2man reads it. It has no date: the same program has
// the same pages.
func pageHead(name, section, about string) string {
	return fmt.Sprintf("%% %q %q \"\" \"barman\" \"Barman\"\n\n# NAME\n\n%s - %s\n", strings.ToUpper(name), section, name, inMarkdown(about))
}

func overviewPage(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(pageHead("barman", "1", root.Short))
	fmt.Fprintf(&b, "\n# SYNOPSIS\n\n**barman** [*OPTIONS*] *COMMAND* …\n\n# DESCRIPTION\n\n%s\n# COMMANDS\n\n", description(root))
	for _, cmd := range programs(root) {
		fmt.Fprintf(&b, "**%s**(1)\n:   %s\n\n", pageName(cmd), inMarkdown(cmd.Short))
	}
	b.WriteString("# OPTIONS\n\n")
	optionsList(&b, root.PersistentFlags())
	fmt.Fprintf(&b, "# EXIT STATUS\n\n%s\n\n# SEE ALSO\n\n**barman.hcl**(5)\n", inMarkdown(exitCodesHelp))
	return b.String()
}

func commandPage(cmd *cobra.Command) string {
	var b strings.Builder
	b.WriteString(pageHead(pageName(cmd), "1", cmd.Short))
	_, arguments, _ := strings.Cut(cmd.Use, " ")
	fmt.Fprintf(&b, "\n# SYNOPSIS\n\n**%s** %s\n\n", cmd.CommandPath(), inMarkdown(arguments))
	for _, alias := range cmd.Aliases {
		fmt.Fprintf(&b, "**%s** %s\n\n", strings.TrimSuffix(cmd.CommandPath(), cmd.Name())+alias, inMarkdown(arguments))
	}
	fmt.Fprintf(&b, "# DESCRIPTION\n\n%s\n", description(cmd))
	if own := cmd.NonInheritedFlags(); own.HasAvailableFlags() {
		b.WriteString("# OPTIONS\n\n")
		optionsList(&b, own)
	}
	if inherited := cmd.InheritedFlags(); inherited.HasAvailableFlags() {
		b.WriteString("# OPTIONS OF EVERY COMMAND\n\n")
		optionsList(&b, inherited)
	}
	fmt.Fprintf(&b, "# EXAMPLES\n\n```\n%s\n```\n", unindented(cmd.Example))
	if strings.Contains(cmd.Long, exitCodesHelp) {
		fmt.Fprintf(&b, "\n# EXIT STATUS\n\n%s\n", inMarkdown(exitCodesHelp))
	}
	b.WriteString("\n# SEE ALSO\n\n**barman**(1), **barman.hcl**(5)\n")
	return b.String()
}

func optionsList(b *strings.Builder, flags *pflag.FlagSet) {
	for _, o := range optionsOf(flags) {
		fmt.Fprintf(b, "**%s**\n:   %s\n\n", inMarkdown(o.form), inMarkdown(o.usage))
	}
}

// configurationPage is the reference with the headings of a manual page.
func configurationPage(r reference) string {
	var b strings.Builder
	r.text(&b, style{})
	_, text, _ := strings.Cut(b.String(), "\n") // without the title
	return pageHead("barman.hcl", "5", "configuration of barman") + "\n# DESCRIPTION\n" + text + "\n# SEE ALSO\n\n**barman**(1)\n"
}
