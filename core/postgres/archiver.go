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
	// PerSecond is how many files were archived in a second since the statistics
	// were reset.
	PerSecond float64
}

// Healthy tells whether the last attempt did not fail.
func (a Archiver) Healthy() bool {
	return a.FailedAt == nil || a.ArchivedAt != nil && !a.ArchivedAt.Before(*a.FailedAt)
}

// Archiver reads the state of the server's archiver.
func (c *Conn) Archiver(ctx context.Context) (Archiver, error) {
	var a Archiver
	err := c.one(ctx, "read pg_stat_archiver", `SELECT archived_count, coalesce(last_archived_wal, ''), last_archived_time,
		failed_count, coalesce(last_failed_wal, ''), last_failed_time,
		coalesce(archived_count / nullif(extract(epoch FROM clock_timestamp() - stats_reset), 0), 0)::float8 FROM pg_stat_archiver`,
		&a.Archived, &a.LastArchived, &a.ArchivedAt, &a.Failed, &a.LastFailed, &a.FailedAt, &a.PerSecond)
	return a, err
}
