package postgres

import (
	"context"
	"time"
)

// Archiver is what the server says of its own archiver, the process that runs
// archive_command (pg_stat_archiver). Times are nil while nothing happened.
type Archiver struct {
	Archived     int64
	LastArchived string // file name
	ArchivedAt   *time.Time
	Failed       int64
	LastFailed   string // file name
	FailedAt     *time.Time
}

// Healthy tells whether the last attempt did not fail.
func (a Archiver) Healthy() bool {
	return a.FailedAt == nil || a.ArchivedAt != nil && !a.ArchivedAt.Before(*a.FailedAt)
}

// Archiver reads the state of the server's archiver.
func (c *Conn) Archiver(ctx context.Context) (Archiver, error) {
	var a Archiver
	err := c.one(ctx, "read pg_stat_archiver", `SELECT archived_count, coalesce(last_archived_wal, ''), last_archived_time,
		failed_count, coalesce(last_failed_wal, ''), last_failed_time FROM pg_stat_archiver`,
		&a.Archived, &a.LastArchived, &a.ArchivedAt, &a.Failed, &a.LastFailed, &a.FailedAt)
	return a, err
}
