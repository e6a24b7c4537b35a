package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/barman-go/barman/core/catalogue"
)

// wal tells whether WAL arrives at all, and where none should.
func (c *checker) wal(l catalogued) {
	if l.newest == nil && !l.waiting {
		c.bad("WAL archive", "please make sure WAL shipping is setup")
	}
	directories := c.server.Config.Directories
	if !c.server.Config.WAL.Archive {
		c.empty("empty incoming directory", directories.IncomingWALs, "archive = false: set it to true in the wal block if archive_command delivers there")
	}
	if c.server.Config.WAL.Source == nil {
		c.empty("empty streaming directory", directories.StreamingWALs, "there is no WAL source")
	}
}

// empty adds a row when a directory that nobody empties has files.
func (c *checker) empty(name, directory, when string) {
	files, err := visible(directory)
	switch {
	case err != nil:
		c.bad(name, err.Error())
	case len(files) > 0:
		c.bad(name, fmt.Sprintf("'%s' must be empty when %s", directory, when))
	}
}

// visible lists a directory without hidden files; one that is not there is empty.
func visible(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

func (c *checker) directories() {
	if err := c.server.Catalogue.CreateDirectories(); err != nil {
		c.bad("directories", err.Error())
		return
	}
	c.good("directories", "")
}

// retention is good: a policy that cannot be read is an error of the
// configuration, and no check runs with such a one.
func (c *checker) retention() { c.good("retention policy settings", "") }

// ages holds the newest backup and the newest WAL against their limits.
func (c *checker) ages(l catalogued) {
	limits := c.server.Config
	if limits.LastBackupMaximumAge == 0 {
		c.good("backup maximum age", "no last_backup_maximum_age provided")
	} else {
		ok, age := false, "No available backups"
		if b := l.last(); b != nil {
			ok, age = c.within(b.EndTime, limits.LastBackupMaximumAge)
		}
		c.add("backup maximum age", ok, fmt.Sprintf("interval provided: %s, latest backup age: %s", catalogue.PrettyDuration(limits.LastBackupMaximumAge), age))
	}
	c.minimumSize(l)
	switch {
	case limits.LastWALMaximumAge == 0:
		c.good("wal maximum age", "no last_wal_maximum_age provided")
	case l.newest == nil:
		c.bad("wal maximum age", "No WAL files archived for last backup")
	default:
		ok, age := c.within(l.newest.ModTime, limits.LastWALMaximumAge)
		c.add("wal maximum age", ok, fmt.Sprintf("interval provided: %s, latest wal age: %s", catalogue.PrettyDuration(limits.LastWALMaximumAge), age))
	}
	c.good("wal size", catalogue.PrettySize(l.walSize))
}

func (c *checker) within(t time.Time, limit time.Duration) (ok bool, age string) {
	passed := c.now.Sub(t)
	return passed <= limit, catalogue.PrettyDuration(passed)
}

func (c *checker) minimumSize(l catalogued) {
	size, minimum := l.backupSize(), int64(c.server.Config.LastBackupMinimumSize)
	switch {
	case minimum == 0:
		c.good("backup minimum size", catalogue.PrettySize(size))
	case size > minimum:
		c.good("backup minimum size", fmt.Sprintf("last backup size %s > %s minimum", catalogue.PrettySize(size), catalogue.PrettySize(minimum)))
	default:
		c.bad("backup minimum size", fmt.Sprintf("last backup size %s < %s minimum", catalogue.PrettySize(size), catalogue.PrettySize(minimum)))
	}
}

// backups tells of what the catalogue holds and of what it should hold.
func (c *checker) backups(l catalogued) {
	if err := errors.Join(l.errs...); err != nil {
		c.bad("catalogue", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	c.add("failed backups", l.failed == 0, fmt.Sprintf("there are %d failed backups", l.failed))
	least := c.server.Config.Retention.MinimumRedundancy
	c.add("minimum redundancy requirements", len(l.done) >= least,
		fmt.Sprintf("have %d non-incremental backups, expected at least %d", len(l.done), least))
}

// receiver tells whether somebody streams WAL, where it is to be streamed.
func (c *checker) receiver() {
	if c.server.Config.WAL.Source == nil {
		return
	}
	_, running, err := c.server.Catalogue.Holder(catalogue.LockReceiveWAL)
	switch {
	case err != nil:
		c.bad("receive-wal running", err.Error())
	case !running:
		c.bad("receive-wal running", fmt.Sprintf("barman cron starts it, or 'barman receive-wal %s'", c.server.Name()))
	default:
		c.good("receive-wal running", "")
	}
}

// refused counts the WAL files that could not be archived.
func (c *checker) refused() {
	files, err := visible(c.server.Config.Directories.Errors)
	if err != nil {
		c.bad("archiver errors", err.Error())
		return
	}
	suffixes := []struct{ suffix, name string }{{".error", "not relevant"}, {".duplicate", "duplicates"}, {".unknown", "unknown"}, {"", "unknown failure"}}
	counts := map[string]int{}
	for _, file := range files {
		for _, s := range suffixes {
			if strings.HasSuffix(file, s.suffix) {
				counts[s.name]++
				break
			}
		}
	}
	var parts []string
	for _, s := range suffixes {
		if n := counts[s.name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", s.name, n))
		}
	}
	c.add("archiver errors", len(files) == 0, strings.Join(parts, ", "))
}
