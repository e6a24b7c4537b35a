package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/barman-go/barman/sdk/wal"
)

// Client is a streaming client of the server, a row of pg_stat_replication
// (PostgreSQL manual, section 28.2.4). What the user may not read is empty: it
// needs pg_read_all_stats.
type Client struct {
	PID             int32
	User            string
	ApplicationName string
	// Address is empty for a client on a unix socket; Host is its name, if the
	// server looks up names.
	Address, Host string
	Port          int32
	Slot          string // empty without one
	// BackendXmin is the standby's oldest transaction, if it reports one.
	BackendXmin string
	StartedAt   time.Time
	State       string // "streaming", "catchup", "backup", …
	// SyncState is "async", "potential", "sync" or "quorum"; SyncPriority is 0 for
	// an asynchronous client.
	SyncState    string
	SyncPriority int
	// Sent, Written, Flushed and Replayed are zero while the client has not
	// reported them. A receiver of WAL replays none.
	Sent, Written, Flushed, Replayed wal.LSN
}

// Standby tells whether the client replays what it receives.
func (c Client) Standby() bool { return c.Replayed != 0 }

const clientsSQL = `SELECT r.pid, coalesce(r.usename, ''), coalesce(r.application_name, ''), coalesce(host(r.client_addr), ''),
	coalesce(r.client_hostname, ''), coalesce(r.client_port, -1), coalesce(s.slot_name, ''), coalesce(r.backend_xmin::text, ''),
	coalesce(r.backend_start, 'epoch'), coalesce(r.state, ''), coalesce(r.sync_state, ''), coalesce(r.sync_priority, 0),
	coalesce(r.sent_lsn, '0/0')::text, coalesce(r.write_lsn, '0/0')::text, coalesce(r.flush_lsn, '0/0')::text,
	coalesce(r.replay_lsn, '0/0')::text
	FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
	ORDER BY r.sync_state = 'sync' DESC, r.sync_state = 'quorum' DESC, r.sync_state = 'potential' DESC,
		r.sync_priority, r.backend_start, r.pid`

// Clients lists the streaming clients, those first that commits wait for.
func (c *Conn) Clients(ctx context.Context) ([]Client, error) {
	const doing = "read pg_stat_replication"
	rows, err := c.pg.Query(ctx, clientsSQL)
	if err != nil {
		return nil, c.endpoint.explained(doing, err)
	}
	clients, err := pgx.CollectRows(rows, scanClient)
	return clients, c.endpoint.explained(doing, err)
}

func scanClient(row pgx.CollectableRow) (c Client, err error) {
	var sent, written, flushed, replayed string
	err = row.Scan(&c.PID, &c.User, &c.ApplicationName, &c.Address, &c.Host, &c.Port, &c.Slot, &c.BackendXmin, &c.StartedAt,
		&c.State, &c.SyncState, &c.SyncPriority, &sent, &written, &flushed, &replayed)
	for _, position := range []struct {
		text string
		lsn  *wal.LSN
	}{{sent, &c.Sent}, {written, &c.Written}, {flushed, &c.Flushed}, {replayed, &c.Replayed}} {
		if err == nil {
			*position.lsn, err = wal.ParseLSN(position.text)
		}
	}
	return c, err
}
