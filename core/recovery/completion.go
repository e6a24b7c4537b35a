package recovery

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/barman-go/barman/core/durable"
)

// tablespaceLine begins a line of the data directory's guard that names a
// tablespace's directory whose own guard may have been taken away already.
const tablespaceLine = "tablespace: "

// complete takes the guards away, that of the data directory last: until then
// PostgreSQL does not start. It names the tablespaces first, so that a process
// killed in between leaves no directory of which nobody knows whose it is.
func complete(all []destination, what string) error {
	data, tablespaces := all[0], all[1:]
	if len(tablespaces) > 0 {
		var lines []string
		for _, d := range tablespaces {
			lines = append(lines, tablespaceLine+d.path)
		}
		if err := data.guard(what, lines...); err != nil {
			return err
		}
	}
	for _, d := range tablespaces {
		if err := d.complete(); err != nil {
			return err
		}
	}
	return data.complete()
}

// reclaim puts the guards of tablespaces up again that a recovery into the same
// directories had taken away before it was killed.
func reclaim(all []destination, what string) error {
	guard, err := readOptional(filepath.Join(all[0].path, pidFile))
	if err != nil || !strings.HasPrefix(string(guard), guardText) {
		return err
	}
	named := map[string]bool{}
	for line := range strings.Lines(string(guard)) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), tablespaceLine); ok {
			named[path] = true
		}
	}
	for _, d := range all[1:] {
		if !named[d.path] {
			continue
		}
		ours, err := d.holdsTablespace()
		if err != nil {
			return err
		}
		if ours {
			if err := d.guard(what); err != nil {
				return err
			}
		}
	}
	return nil
}

// holdsTablespace tells whether there is nothing but what PostgreSQL has in a
// tablespace's directory.
func (d destination) holdsTablespace() (bool, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		if name := entry.Name(); !strings.HasPrefix(name, "PG_") && name != pidFile && !durable.IsTemporary(name, pidFile) {
			return false, nil
		}
	}
	return true, nil
}
