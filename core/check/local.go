package check

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/postgres"
)

func (c *checker) directories() {
	if err := c.server.Catalogue.CreateDirectories(); err != nil {
		c.bad("directories", err.Error())
		return
	}
	c.good("directories", "")
}

// retention fails for a policy of a barman.conf that cannot be read, for then every
// backup is kept, until the disk is full. In HCL such a policy is an error.
func (c *checker) retention() {
	refused := c.server.Config.Retention.Refused
	c.add("retention policy settings", refused == "", refused)
}

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

// configuration tells what is wrong with the server's part of a barman.conf, which
// keeps it from being worked with.
func (c *checker) configuration() {
	if len(c.server.Config.Problems) == 0 {
		return
	}
	var details []string
	for _, m := range config.Messages(c.server.Config.Problems) {
		details = append(details, strings.TrimSuffix(m.Summary+": "+m.Detail, ": "))
	}
	c.rows = append(c.rows, postgres.Check{Name: "configuration", Details: details})
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
