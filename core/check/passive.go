package check

import (
	"context"
	"fmt"

	"github.com/barman-go/barman/core/passive"
	"github.com/barman-go/barman/core/postgres"
)

// ofPassive checks a server that is copied from another Barman: what is here, and
// whether that one can be reached. Its PostgreSQL is that one's.
func (c *checker) ofPassive(ctx context.Context) Report {
	reached := make(chan postgres.Check, 1)
	go func() { reached <- c.primary(ctx) }()
	whole := c.continuity(ctx)
	local := c.read()
	c.directories()
	c.retention()
	c.ages(local)
	c.rows = append(c.rows, whole)
	c.backups(local)
	c.rows = append(c.rows, <-reached)
	c.configuration()
	c.refused()
	c.late(ctx)
	return Report{Rows: c.rows, BackupSize: local.backupSize(), WALSize: local.walSize}
}

// primary tells whether the Barman that is copied from answers.
func (c *checker) primary(ctx context.Context) postgres.Check {
	row := postgres.Check{Name: "ssh", OK: true, Hint: "Barman primary node"}
	p, err := passive.Of(c.server)
	if err == nil {
		err = p.Reach(ctx)
	}
	if err != nil {
		row.OK, row.Hint = false, fmt.Sprintf("Barman primary node: %v", err)
	}
	return row
}
