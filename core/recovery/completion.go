package recovery

import (
	"path/filepath"
	"strings"

	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/sdk/wal"
)

// tablespaceLine begins a line of the data directory's guard that names the
// directory of a tablespace, or for WAL, whose own guard may have been taken away already.
const tablespaceLine = "tablespace: "

// complete takes the guards away, that of the data directory last: until then
// PostgreSQL does not start. It names the tablespaces first, so that a process
// killed in between leaves no directory of which nobody knows whose it is.
func complete(all []destination, e errand) error {
	data, tablespaces := all[0], all[1:]
	if len(tablespaces) > 0 {
		var lines []string
		for _, d := range tablespaces {
			lines = append(lines, tablespaceLine+d.path)
		}
		if err := data.guard(e, lines...); err != nil {
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
func reclaim(all []destination, e errand) error {
	guard, err := readOptional(all[0].host, filepath.Join(all[0].path, pidFile))
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
		ours, err := d.holdsOurs()
		if err != nil {
			return err
		}
		if ours {
			if err := d.guard(errand{what: e.what, mark: markOf(guard)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// holdsOurs tells whether there is nothing but what belongs there: of a
// tablespace, or WAL.
func (d destination) holdsOurs() (bool, error) {
	entries, err := d.host.ReadDir(d.path)
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		name := entry.Name
		if name == pidFile || hostfs.Temporary(name, pidFile) {
			continue
		}
		if _, err := wal.ParseName(name); d.wal && err != nil || !d.wal && !strings.HasPrefix(name, "PG_") {
			return false, nil
		}
	}
	return true, nil
}
