package postgres

import (
	"context"
	"fmt"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
	"github.com/barman-go/barman/sdk/wal"
)

// maxRestorePointName is the server's MAXFNAMELEN less its terminator.
const maxRestorePointName = 63

// CurrentWAL is the name of the WAL segment being written, or on a standby
// being replayed. It is empty while the timeline is not known.
func (f Facts) CurrentWAL() string {
	if f.Timeline == 0 {
		return ""
	}
	return wal.SegmentAt(f.Timeline, f.LSN, f.SegmentSize).Name(f.SegmentSize)
}

// CurrentWAL asks the server for the name of the WAL segment being written, or
// on a standby being replayed.
func (c *Conn) CurrentWAL(ctx context.Context) (string, error) {
	facts, err := c.Facts(ctx)
	if err != nil {
		return "", err
	}
	if facts.CurrentWAL() == "" {
		return "", sdk.Errorf(sdk.Denied, "%s: the user may not read the timeline of this standby: GRANT EXECUTE ON FUNCTION "+
			"pg_control_checkpoint(), pg_control_recovery(), pg_control_system() TO %s", c.endpoint, replication.QuoteIdentifier(c.endpoint.user))
	}
	return facts.CurrentWAL(), nil
}

// Switch is the outcome of a WAL switch.
type Switch struct {
	// Closed is the segment that the switch completed, which the server archives
	// next. Empty when nothing was written since the last switch, so that there
	// was nothing to complete.
	Closed string
	LSN    wal.LSN // where the completed segment's records end
}

// The timeline is that of the position, which a primary never changes.
const switchSQL = `SELECT pg_switch_wal()::text, substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
	(SELECT setting::bigint * CASE unit WHEN 'B' THEN 1 ELSE current_setting('wal_block_size')::bigint END
		FROM pg_settings WHERE name = 'wal_segment_size')`

// SwitchWAL ends the current WAL segment. Errors: Denied without EXECUTE on
// pg_switch_wal, Invalid on a standby.
func (c *Conn) SwitchWAL(ctx context.Context) (Switch, error) {
	const doing = "switch WAL"
	var position, timeline string
	var size int64
	if err := c.one(ctx, doing, switchSQL, &position, &timeline, &size); err != nil {
		return Switch{}, err
	}
	tli, err := parseTimeline(timeline, 16)
	if err != nil {
		return Switch{}, c.endpoint.explained(doing, err)
	}
	lsn, err := wal.ParseLSN(position)
	if err != nil {
		return Switch{}, c.endpoint.explained(doing, err)
	}
	segmentSize := wal.SegmentSize(size)
	if !segmentSize.Valid() {
		return Switch{}, c.endpoint.explained(doing, fmt.Errorf("the server's WAL segment size is %d bytes", size))
	}
	if segmentSize.Offset(lsn) == 0 { // the start of an untouched segment
		return Switch{LSN: lsn}, nil
	}
	return Switch{LSN: lsn, Closed: wal.SegmentAt(tli, lsn, segmentSize).Name(segmentSize)}, nil
}

// ForceSwitch issues a CHECKPOINT first, so that there is something to switch.
// Errors: as SwitchWAL; Denied too for a user who is neither superuser nor, from
// PostgreSQL 15, a member of pg_checkpoint.
func (c *Conn) ForceSwitch(ctx context.Context) (Switch, error) {
	_, err := c.pg.Exec(ctx, "CHECKPOINT")
	if isDenied(err) {
		return Switch{}, sdk.Errorf(sdk.Denied, "%s: checkpoint: %w: only a superuser, or from PostgreSQL 15 a member of "+
			"pg_checkpoint, may; GRANT pg_checkpoint TO %s", c.endpoint, serverError(err), replication.QuoteIdentifier(c.endpoint.user))
	}
	if err != nil {
		return Switch{}, c.endpoint.explained("checkpoint", err)
	}
	return c.SwitchWAL(ctx)
}

// CreateRestorePoint writes a named point to recover to into the WAL, and
// returns its position. Errors: Denied without EXECUTE on
// pg_create_restore_point, Invalid on a standby or for a name that is empty or
// longer than 63 bytes.
func (c *Conn) CreateRestorePoint(ctx context.Context, name string) (wal.LSN, error) {
	if name == "" || len(name) > maxRestorePointName {
		return 0, sdk.Errorf(sdk.Invalid, "restore point %q: a name has 1 to %d bytes", name, maxRestorePointName)
	}
	doing := fmt.Sprintf("create restore point %q", name)
	var position string
	err := c.endpoint.explained(doing, c.pg.QueryRow(ctx, "SELECT pg_create_restore_point($1)::text", name).Scan(&position))
	if err != nil {
		return 0, err
	}
	lsn, err := wal.ParseLSN(position)
	return lsn, c.endpoint.explained(doing, err)
}
