package recovery

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/core/remote"
)

const (
	recoveryConf   = "recovery.conf"
	recoverySignal = "recovery.signal"
	standbySignal  = "standby.signal"
	// version12 is the first release that reads recovery settings from its ordinary
	// configuration (PostgreSQL manual, release notes of version 12).
	version12 = 120000
	// version15 is the first release with archive_library.
	version15 = 150000
)

// settings writes what makes PostgreSQL recover from the restored directory.
type settings struct {
	host      hostfs.Host
	version   int
	directory string // the data directory
	restore   string // restore_command; empty for none
	end       string // recovery_end_command; empty for none
	target    Target
	standby   bool
	// file is the name, in the data directory, of the file that they are appended to
	// since version 12; empty for postgresql.auto.conf.
	file string
}

// lines are the settings as they stand in a configuration file.
func (s settings) lines() []string {
	var lines []string
	add := func(name, value string) { lines = append(lines, fmt.Sprintf("%s = '%s'", name, quoteSetting(value))) }
	if s.restore != "" {
		add("restore_command", s.restore)
	}
	if s.end != "" {
		add("recovery_end_command", s.end)
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
	// Before version 12 the current timeline is the default, and has no name.
	if t.Timeline != "" && (t.Timeline != "current" || s.version >= version12) {
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
func (s settings) safety() []string {
	lines := []string{"archive_command = 'false'"}
	if s.version >= version15 {
		lines = append(lines, "archive_library = ''") // it would come before the command
	}
	return lines
}

// reset are the defaults of all settings of a recovery that follow: what the
// backup's own settings say of an earlier one must not meet the new one.
var reset = []string{
	"restore_command = ''", "recovery_end_command = ''", "archive_cleanup_command = ''",
	"recovery_target = ''", "recovery_target_name = ''", "recovery_target_time = ''", "recovery_target_xid = ''", "recovery_target_lsn = ''",
	"recovery_target_inclusive = 'on'", "recovery_target_action = 'pause'", "recovery_target_timeline = 'latest'",
}

// recoveryFile is where the settings of the recovery go since version 12.
func (s settings) recoveryFile() string { return cmp.Or(s.file, autoConf) }

// write makes the settings durable.
func (s settings) write() error {
	if s.version < version12 {
		if err := s.host.WriteFile(filepath.Join(s.directory, recoveryConf), []byte(strings.Join(s.lines(), "\n")+"\n"), 0o600); err != nil {
			return err
		}
		return s.append(autoConf, s.safety())
	}
	// PostgreSQL does not start where there is one (release notes of version 12).
	if err := s.host.Remove(filepath.Join(s.directory, recoveryConf)); err != nil {
		return err
	}
	recovery := slices.Concat(reset, s.lines())
	if s.recoveryFile() == autoConf {
		recovery = slices.Concat(s.safety(), recovery)
	} else if err := s.append(autoConf, s.safety()); err != nil {
		return err
	}
	if err := s.append(s.recoveryFile(), recovery); err != nil {
		return err
	}
	signal, other := recoverySignal, standbySignal
	if s.standby {
		signal, other = other, signal
	}
	// A backup of a standby has the one that makes it follow its primary.
	if err := s.host.Remove(filepath.Join(s.directory, other)); err != nil {
		return err
	}
	return s.host.WriteFile(filepath.Join(s.directory, signal), nil, 0o600)
}

// append appends to a configuration file. Of those that are there always,
// postgresql.auto.conf overrides all others.
func (s settings) append(name string, lines []string) error {
	path := filepath.Join(s.directory, name)
	before, err := readOptional(s.host, path)
	if err != nil {
		return err
	}
	text := strings.TrimRight(string(before), "\n")
	if text != "" {
		text += "\n"
	}
	text += "# Written by barman recover\n" + strings.Join(lines, "\n") + "\n"
	return s.host.WriteFile(path, []byte(text), 0o600)
}

// fromDirectory are the commands of a server whose WAL waits in a directory.
func fromDirectory(path string) (restore, end string) {
	return fmt.Sprintf("cp %s/%%f %%p", quoteShell(path)), "rm -fr " + quoteShell(path)
}

// quoteSetting quotes a value for a configuration file (PostgreSQL manual,
// section 20.1.2).
func quoteSetting(value string) string {
	return strings.NewReplacer(`'`, `''`, `\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(value)
}

// quoteShell quotes a word for the shell that runs PostgreSQL's commands, in
// which a percent sign has a meaning of its own.
func quoteShell(word string) string { return remote.Quote(strings.ReplaceAll(word, "%", "%%")) }
