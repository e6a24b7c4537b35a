package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/recovery"
)

// recovered is the outcome of a recovery.
type recovered struct {
	server string
	report recovery.Report
	begun  time.Time
}

// text is the report of Barman in Python.
func (r recovered) text(w io.Writer, _ style) {
	for _, name := range sortedKeys(r.report.Tablespaces) {
		fmt.Fprintf(w, "  Tablespace %s: %s\n", name, r.report.Tablespaces[name])
	}
	if r.report.Continued {
		fmt.Fprintf(w, "%d files (%s) were there already and have been kept.\n", r.report.Kept.Files, catalogue.PrettySize(r.report.Kept.Bytes))
	}
	files := fmt.Sprintf("%d files", r.report.WALFiles)
	if r.report.WALFiles == 1 {
		files = "1 file"
	}
	switch {
	case r.report.WALDirectory == "":
		fmt.Fprintf(w, "WAL is fetched from Barman as recovery goes on, by restore_command:\n    %s\n", r.report.RestoreCommand)
	case r.report.RestoreCommand == "":
		fmt.Fprintf(w, "Copying required WAL segments.\n  %s in %s, where PostgreSQL finds them\n", files, r.report.WALDirectory)
	default:
		fmt.Fprintf(w, "Copying required WAL segments.\n  %s in %s, which restore_command takes them from\n", files, r.report.WALDirectory)
	}
	fmt.Fprint(w, "Generating recovery configuration\nIdentify dangerous settings in destination directory.\n")
	found := r.report.Settings
	if len(found.Changed) > 0 {
		fmt.Fprint(w, "\nIMPORTANT\nThese settings have been modified to prevent data losses\n\n")
		for _, s := range found.Changed {
			value := "None"
			if s.Value != nil {
				value = *s.Value
			}
			fmt.Fprintf(w, "%s line %d: %s = %s\n", s.File, s.Line, s.Key, value)
		}
	}
	if len(found.Dangerous) > 0 {
		fmt.Fprint(w, "\nWARNING\nYou are required to review the following options as potentially dangerous\n\n")
		for _, s := range found.Dangerous {
			fmt.Fprintf(w, "%s line %d: %s = %s\n", s.File, s.Line, s.Key, *s.Value)
		}
	}
	if len(found.Missing) > 0 {
		fmt.Fprint(w, "\nWARNING\nThe following configuration files have not been saved during backup, hence they have not been restored.\n"+
			"You need to manually restore them in order to start the recovered PostgreSQL instance:\n\n")
		for _, name := range found.Missing {
			fmt.Fprintf(w, "    %s\n", name)
		}
	}
	if r.report.WALDirectory == "" {
		fmt.Fprintf(w, "\nWARNING: %s\n", reviewGetWAL)
	}
	fmt.Fprintf(w, "\nRecovery completed (start time: %s, elapsed time: %s)\n", r.begun.Format(pythonTime), catalogue.PrettyDuration(r.report.Elapsed))
	fmt.Fprintln(w, "Your PostgreSQL server has been successfully prepared for recovery!")
}

const (
	// pythonTime is how Python prints a time.
	pythonTime   = "2006-01-02 15:04:05.000000-07:00"
	reviewGetWAL = "'get-wal' is in the specified 'recovery_options'. Before you start up the PostgreSQL server, please review the recovery configuration " +
		"inside the target directory. Make sure that 'restore_command' can be executed by the PostgreSQL user."
)

// pointOut says what a document holds that must be looked at.
func (r recovered) pointOut(warn func(string)) {
	found := r.report.Settings
	if len(found.Changed) > 0 {
		warn("IMPORTANT! Some settings have been modified to prevent data losses. See 'changes' key.")
	}
	if len(found.Dangerous) > 0 {
		warn("WARNING! You are required to review the options as potentially dangerous. See 'warnings' key.")
	}
	if len(found.Missing) > 0 {
		warn("WARNING! Some configuration files have not been saved during backup, hence they have not been restored. See 'missing_files' key.")
	}
	if r.report.WALDirectory == "" {
		warn("WARNING: " + reviewGetWAL)
	}
}

func (r recovered) document() map[string]any {
	found := r.report.Settings
	return map[string]any{
		"server": r.server, "backup_id": r.report.Backup, "destination": r.report.Destination, "tablespaces": r.report.Tablespaces,
		"wal_files": r.report.WALFiles, "wal_directory": r.report.WALDirectory, "get_wal": r.report.WALDirectory == "", "restore_command": r.report.RestoreCommand,
		"continued": r.report.Continued, "kept_files": r.report.Kept.Files, "kept_bytes": r.report.Kept.Bytes,
		"changes": settingLines(found.Changed), "changes_count": len(found.Changed),
		"warnings": settingLines(found.Dangerous), "warnings_count": len(found.Dangerous), "missing_files": append([]string{}, found.Missing...),
		"recovery_start_time": r.begun.Format(pythonTime), "recovery_start_time_timestamp": strconv.FormatInt(r.begun.Unix(), 10),
		"recovery_elapsed_time": catalogue.PrettyDuration(r.report.Elapsed), "recovery_elapsed_time_seconds": r.report.Elapsed.Seconds(),
	}
}

// settingLines are lists of file, line, key and value. As those of Barman in
// Python, lines count from 0 there.
func settingLines(settings []recovery.Setting) [][]any {
	lines := [][]any{}
	for _, s := range settings {
		lines = append(lines, []any{s.File, s.Line - 1, s.Key, s.Value})
	}
	return lines
}
