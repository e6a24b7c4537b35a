package config

import (
	"fmt"
	"strings"

	"github.com/barman-go/barman/sdk/schema"
)

// ReferenceMarkdown returns the reference of every block and setting that is
// the core's. It is made from the definitions that files are decoded with.
func ReferenceMarkdown() (string, error) {
	s := newSections()
	if s.err != nil {
		return "", s.err
	}
	var b strings.Builder
	b.WriteString(introduction)
	for _, entry := range []struct {
		title, text string
		section     section
	}{
		{"`barman { … }`", "Settings of the program. At most one.", s.barman},
		{"`plugin \"<kind>\" \"<name>\" { … }`", "Where a plugin's binary is, or what it must be. Needed only for a plugin that is not in `plugin_dirs` or that is pinned. " +
			"The kind is " + oneOf(pluginKinds()) + ".", s.plugin},
		{"`server \"<name>\" { … }`, `defaults { … }`", serverText, s.server},
		{"`model \"<name>\" { … }`", modelText, section{}},
		{"`backup { … }`", backupText, s.backup},
		{"`wal { … }`", walText, s.wal},
		{"`sink \"<plugin>\" { … }`", sinkText, s.sink},
		{"`retention { … }`", "Which backups are kept.", s.retention},
		{"`recovery { … }`", "How backups are recovered.", s.recovery},
		{"`hook \"<event>\" { … }`", "A plugin that is told of an event; before an operation it may veto it. The event is " + oneOf(hookEvents()) + ". " +
			"Hooks are called in the order in which they are written, those of `defaults` first. " +
			"All other settings of the block belong to the plugin.", s.hook},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", entry.title, entry.text)
		if entry.section.decoder != nil {
			fmt.Fprintf(&b, "\n%s", schema.Markdown(entry.section.decoder.Schema()))
		}
	}
	return b.String(), nil
}

const introduction = `# Configuration

Barman reads the file that ` + "`-c FILE`" + ` or the environment variable ` + "`" + EnvConfigFile + "`" + ` names, and no other. Without either it reads
` + "`~/.barman.hcl`" + `, and if there is none, ` + "`/etc/barman.hcl`" + ` and then ` + "`/etc/barman.d/*.hcl`" + ` in sorted order, as if they were one file. What
` + "`barman config-update`" + ` has changed is in ` + "`.barman.auto.hcl`" + ` below ` + "`home`" + ` and is laid over all of them, setting by setting.

A file whose name does not end in ` + "`.hcl`" + ` is read as a ` + "`barman.conf`" + ` of Python Barman. Where there is no HCL, it is found where Python Barman looks for it:
` + "`~/.barman.conf`, `/etc/barman.conf`, `/etc/barman/barman.conf`" + `. [What becomes of its options](operations.md#coming-from-python-barman).

The files are HCL. A server that says only ` + "`conninfo`" + ` works:

` + "```hcl" + `
server "main" {
  conninfo = "host=pg user=barman dbname=postgres"
}
` + "```" + `

Values may be expressions. ` + "`env(\"NAME\")`" + ` is an environment variable, which must be set; ` + "`file(\"/path\")`" + ` is the content of a file without the
newlines at its end; ` + "`server.name`" + ` is the name of the server, in ` + "`server`" + ` and ` + "`defaults`" + ` blocks. ` + "`format`, `join`, `lower`, `replace`, `split`, `trimspace`" + ` and
` + "`upper`" + ` work on strings. Passwords and keys belong into ` + "`env()`" + ` or ` + "`file()`" + `.

A duration is written with units, as in ` + "`\"30s\"`" + ` or ` + "`\"1h30m\"`" + `; a size as ` + "`\"16MiB\"`, `\"1GB\"`" + ` or a number of bytes. Paths are absolute. ` + "`null`" + ` is the same
as not saying anything.
`

const serverText = "A PostgreSQL server, by a name that is unique, names its directory and is not `all`. `defaults` holds the same settings and blocks: " +
	"they hold for every server that does not say otherwise, setting by setting, also inside of `backup`, `wal`, `retention` and `recovery`. " +
	"Two things are inherited differently: a `backup` or `wal` block with any `source`, `transform` or `sink` of its own inherits none of these, " +
	"and hooks add up."

const modelText = "A set of settings that `barman config-switch SERVER MODEL` lays over a server, and `--reset` takes off again: those of `server`, and the blocks `backup`, `wal`, " +
	"`retention` and `recovery`, inherited as from `defaults`, only that the model's win. `cluster` is required and must be the server's. " +
	"A model has no hooks and changes no directory."

const backupText = "The pipeline of base backups: at most one `source \"<plugin>\" { … }` (default: `pgbasebackup`), any number of `transform \"<plugin>\" { … }` in the order " +
	"of a backup, and one or more `sink \"<plugin>\" { … }` (default: `posix`). The settings of these blocks belong to the plugins."

const walText = "The pipeline of WAL files. WAL is streamed when there is a `source \"<plugin>\" { … }`, such as `pgreceivewal`; there is none by default. " +
	"Transforms and sinks are as in `backup`; the sink is `posix` by default."

const sinkText = "A sink of a `backup` or `wal` block has one setting that is the core's; all others belong to the plugin."
