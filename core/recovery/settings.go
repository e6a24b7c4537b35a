package recovery

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/barman-go/barman/core/durable"
)

// version12 is the first release that reads recovery settings from its ordinary
// configuration (PostgreSQL manual, release notes of version 12).
const version12 = 120000

// settings writes what makes PostgreSQL recover from the restored directory.
type settings struct {
	version   int
	directory string // the data directory
	staged    string // where WAL waits for restore_command; empty when in pg_wal
	target    Target
	standby   bool
}

// lines are the settings as they stand in a configuration file.
func (s settings) lines() []string {
	var lines []string
	add := func(name, value string) { lines = append(lines, fmt.Sprintf("%s = '%s'", name, quoteSetting(value))) }
	if s.staged != "" {
		add("restore_command", fmt.Sprintf("cp %s/%%f %%p", quoteShell(s.staged)))
		add("recovery_end_command", "rm -fr "+quoteShell(s.staged))
	}
	t := s.target
	if t.Time != nil {
		add("recovery_target_time", formatTime(*t.Time))
	}
	if t.XID != "" {
		add("recovery_target_xid", t.XID)
	}
	if t.LSN != "" {
		add("recovery_target_lsn", t.LSN)
	}
	if t.Name != "" {
		add("recovery_target_name", t.Name)
	}
	if t.Immediate {
		add("recovery_target", "immediate")
	}
	if t.Exclusive {
		add("recovery_target_inclusive", "false")
	}
	if t.Timeline != "" {
		add("recovery_target_timeline", t.Timeline)
	}
	if t.Action != "" {
		add("recovery_target_action", t.Action)
	}
	if s.standby && s.version < version12 {
		add("standby_mode", "on")
	}
	return lines
}

// safety keeps the recovered server from writing into the archive of the one
// it was made from.
const safety = "archive_command = 'false'"

// targets are reset first: what the backup's own settings say of an earlier
// recovery must not meet the new target.
var targets = []string{
	"recovery_target", "recovery_target_name", "recovery_target_time", "recovery_target_xid", "recovery_target_lsn",
}

// write makes the settings durable.
func (s settings) write() error {
	if s.version < version12 {
		if err := durable.WriteFile(filepath.Join(s.directory, "recovery.conf"), []byte(strings.Join(s.lines(), "\n")+"\n"), 0o600); err != nil {
			return err
		}
		return s.appendAuto([]string{safety})
	}
	lines := []string{safety}
	for _, name := range targets {
		lines = append(lines, name+" = ''")
	}
	if err := s.appendAuto(append(lines, s.lines()...)); err != nil {
		return err
	}
	signal := "recovery.signal"
	if s.standby {
		signal = "standby.signal"
	}
	return durable.WriteFile(filepath.Join(s.directory, signal), nil, 0o600)
}

// appendAuto appends to postgresql.auto.conf, which overrides postgresql.conf.
func (s settings) appendAuto(lines []string) error {
	path := filepath.Join(s.directory, "postgresql.auto.conf")
	before, err := readOptional(path)
	if err != nil {
		return err
	}
	text := strings.TrimRight(string(before), "\n")
	if text != "" {
		text += "\n"
	}
	text += "# Written by barman recover\n" + strings.Join(lines, "\n") + "\n"
	return durable.WriteFile(path, []byte(text), 0o600)
}

// quoteSetting quotes a value for a configuration file (PostgreSQL manual,
// section 20.1.2).
func quoteSetting(value string) string {
	return strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(value)
}

// quoteShell quotes a word for the shell that runs PostgreSQL's commands, in
// which a percent sign has a meaning of its own.
func quoteShell(word string) string {
	word = strings.ReplaceAll(word, "%", "%%")
	if !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:@,%", r)
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
