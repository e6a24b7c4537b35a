package recovery

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/sdk"
)

// Setting is a line of a restored configuration file that matters for safety.
type Setting struct {
	// File is relative to the data directory.
	File string
	// Line counts from 1; that of a changed setting as it was, that of a dangerous
	// one as it is.
	Line int
	// Key is the name of the setting.
	Key string
	// Value is the rest of the line. Of a changed setting it is the new value, nil
	// when the line has become a comment and nothing else.
	Value *string
}

// Settings are what was found in the restored configuration files.
type Settings struct {
	// Changed would have harmed the server that the backup is of, or the recovery.
	Changed []Setting
	// Dangerous are for the user to look at: they lead out of the data directory, or
	// to other servers.
	Dangerous []Setting
	// Missing are configuration files that the backup does not have.
	Missing []string
}

const (
	mangledPrefix = "#BARMAN#"
	originSuffix  = ".origin"
	postgresConf  = "postgresql.conf"
	autoConf      = "postgresql.auto.conf"
	// maxSettingsFile bounds a configuration file.
	maxSettingsFile = 16 << 20
	// maxIncludes is how deep files may include each other (PostgreSQL's
	// CONF_FILE_MAX_DEPTH).
	maxIncludes = 10
)

// mangled are the settings that become comments, with what takes their place;
// nothing for an empty text. The first eight are those that Barman in Python
// mangles; the others are what remains of an earlier recovery, and the one that
// comes before archive_command since PostgreSQL 15.
var mangled = map[string]string{
	"archive_command": "false",
	"recovery_target": "", "recovery_target_name": "", "recovery_target_time": "", "recovery_target_xid": "", "recovery_target_lsn": "",
	"recovery_target_inclusive": "", "recovery_target_timeline": "", "recovery_target_action": "",
	"restore_command": "", "recovery_end_command": "", "archive_cleanup_command": "", "archive_library": "",
}

// dangerous are the settings to be looked at; the last three are this program's.
var dangerous = []string{
	"data_directory", "config_file", "hba_file", "ident_file", "external_pid_file", "ssl_cert_file", "ssl_key_file", "ssl_ca_file", "ssl_crl_file",
	"unix_socket_directory", "unix_socket_directories", "include", "include_dir", "include_if_exists",
	"primary_conninfo", "primary_slot_name", "synchronous_standby_names",
}

// safeguard defuses the settings of a restored data directory, and tells what it
// did and what is left to look at. The files as they were stay beside them.
func safeguard(host hostfs.Host, directory, recoveryFile string) (Settings, error) {
	s := &safeguarding{host: host, directory: directory, done: map[string]bool{}}
	for _, name := range []string{postgresConf, autoConf, "pg_hba.conf", "pg_ident.conf"} {
		_, err := host.Lstat(filepath.Join(directory, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.found.Missing = append(s.found.Missing, name)
		case err != nil:
			return Settings{}, err
		}
	}
	for _, name := range []string{postgresConf, autoConf, recoveryFile} {
		if err := s.file(name, true, 0); err != nil {
			return Settings{}, fmt.Errorf("configuration of the restored server: %w", err)
		}
	}
	return s.found, nil
}

type safeguarding struct {
	host      hostfs.Host
	directory string
	done      map[string]bool
	found     Settings
}

// file rewrites a configuration file, and those in the data directory that it
// includes. always leaves a copy of the file as it was also when nothing changes.
func (s *safeguarding) file(name string, always bool, depth int) error {
	if name == "" || s.done[name] || depth > maxIncludes {
		return nil
	}
	s.done[name] = true
	at := filepath.Join(s.directory, name)
	info, err := s.host.Lstat(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Type != 0 || info.Size > maxSettingsFile {
		return sdk.Errorf(sdk.Corrupt, "%s is no configuration file: it has %d bytes, or is no regular file", at, info.Size)
	}
	before, err := s.host.ReadFile(at, maxSettingsFile)
	if err != nil {
		return err
	}
	after, includes := s.rewrite(name, string(before))
	if always || after != string(before) {
		if err := s.host.CopyFile(at, at+originSuffix, info.Mode); err != nil {
			return err
		}
	}
	if after != string(before) {
		if err := s.host.WriteFile(at, []byte(after), info.Mode); err != nil {
			return err
		}
	}
	for _, include := range includes {
		if err := s.include(name, include, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// include follows an include, as far as it stays in the data directory. What is
// elsewhere is not the restored server's alone.
func (s *safeguarding) include(from string, what line, depth int) error {
	name, err := filepath.Rel(s.directory, what.value())
	if !filepath.IsAbs(what.value()) {
		name, err = path.Join(path.Dir(from), what.value()), nil
	}
	if err != nil || !filepath.IsLocal(name) {
		return nil
	}
	if what.key != "include_dir" {
		return s.file(name, false, depth)
	}
	entries, err := s.host.ReadDir(filepath.Join(s.directory, name))
	if err != nil {
		return nil // PostgreSQL says what is wrong with it
	}
	for _, entry := range entries {
		if base := entry.Name; entry.Type == 0 && !strings.HasPrefix(base, ".") && strings.HasSuffix(base, ".conf") {
			if err := s.file(path.Join(name, base), false, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewrite returns the content of a file without the settings that would do harm,
// and the includes in it.
func (s *safeguarding) rewrite(name, content string) (after string, includes []line) {
	var out strings.Builder
	was, is := 0, 0
	for text := range strings.Lines(content) {
		was, is = was+1, is+1
		l, ok := parseLine(text)
		value, harms := mangled[l.key]
		switch {
		case !ok:
		case harms:
			changed := Setting{File: name, Line: was, Key: l.key}
			out.WriteString(mangledPrefix)
			if value != "" {
				changed.Value = &value
				text = strings.TrimSuffix(text, "\n") + "\n" + l.key + " = " + value + "\n"
				is++
			}
			s.found.Changed = append(s.found.Changed, changed)
		case slices.Contains(dangerous, l.key) && !(l.rest == "''" && !strings.HasPrefix(l.key, "include")):
			s.found.Dangerous = append(s.found.Dangerous, Setting{File: name, Line: is, Key: l.key, Value: &l.rest})
			if strings.HasPrefix(l.key, "include") {
				includes = append(includes, l)
			}
		}
		out.WriteString(text)
	}
	return out.String(), includes
}

// line is a setting: its key, in lower case, as PostgreSQL takes it, and what
// follows.
type line struct{ key, rest string }

// parseLine reads a line of a configuration file (PostgreSQL manual, section
// 20.1.2): a key, an equals sign that may be left out, and a value.
func parseLine(text string) (line, bool) {
	text = strings.TrimSpace(text)
	end := strings.IndexFunc(text, func(r rune) bool {
		return !(r == '_' || r == '.' || r == '$' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= 0x80)
	})
	if end < 0 {
		end = len(text)
	}
	if end == 0 {
		return line{}, false
	}
	rest := strings.TrimSpace(text[end:])
	rest = strings.TrimSpace(strings.TrimPrefix(rest, "="))
	return line{key: strings.ToLower(text[:end]), rest: rest}, true
}

// value is the value without quotes and comment.
func (l line) value() string {
	quoted, isQuoted := strings.CutPrefix(l.rest, "'")
	if !isQuoted {
		word, _, _ := strings.Cut(l.rest, "#")
		return strings.TrimSpace(word)
	}
	var out strings.Builder
	for i := 0; i < len(quoted); i++ {
		switch c := quoted[i]; {
		case c == '\'' && i+1 < len(quoted) && quoted[i+1] == '\'', c == '\\' && i+1 < len(quoted):
			i++
			out.WriteByte(quoted[i])
		case c == '\'':
			return out.String()
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}
