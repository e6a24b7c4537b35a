package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk/wal"
)

// Replication is a streaming connection, which speaks the replication protocol
// (PostgreSQL manual, section 55.4) and takes one of the server's WAL senders.
// Use it from one goroutine at a time.
type Replication struct {
	pg       *pgconn.PgConn
	endpoint endpoint
}

// ConnectReplication opens a streaming connection; conninfo and applicationName
// are as for Connect, the database does not matter.
//
// Errors: Denied for a refused user or one without REPLICATION, Unavailable for
// an unreachable server or one without a free WAL sender (or with none at all,
// as wal_level=minimal entails), Invalid for a conninfo that cannot be read.
func ConnectReplication(ctx context.Context, conninfo, applicationName string) (*Replication, error) {
	cfg, err := parseReplicationConninfo(conninfo, applicationName)
	if err != nil {
		return nil, err
	}
	where := endpointOf(cfg, true)
	pg, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, connectFailure(ctx, where, err)
	}
	return &Replication{pg: pg, endpoint: where}, nil
}

// String names the connection, without secrets.
func (r *Replication) String() string { return r.endpoint.String() }

// Close ends the session. It may be called more than once.
func (r *Replication) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return r.endpoint.explained("close", r.pg.Close(ctx))
}

// System identifies a cluster and the place its WAL has reached.
type System struct {
	ID       string // system identifier, decimal digits
	Timeline wal.Timeline
	LSN      wal.LSN // flushed so far; on a standby, replayed so far
}

// IdentifySystem runs IDENTIFY_SYSTEM.
func (r *Replication) IdentifySystem(ctx context.Context) (System, error) {
	result, err := pglogrepl.IdentifySystem(ctx, r.pg)
	if err != nil {
		return System{}, r.endpoint.explained("IDENTIFY_SYSTEM", err)
	}
	if result.Timeline < 1 {
		return System{}, r.endpoint.explained("IDENTIFY_SYSTEM", fmt.Errorf("the server named timeline %d", result.Timeline))
	}
	return System{ID: result.SystemID, Timeline: wal.Timeline(result.Timeline), LSN: wal.LSN(result.XLogPos)}, nil
}
