package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// closeTimeout bounds the goodbye on a connection whose server may be dead.
const closeTimeout = 2 * time.Second

// Conn is a management connection. Use it from one goroutine at a time.
type Conn struct {
	pg       *pgx.Conn
	endpoint endpoint
}

// Connect opens a management connection. conninfo is libpq's key=value list or
// URI; ~/.pgpass, service files and PG* variables apply. The session is seen by
// the server under applicationName ("barman" if empty) unless conninfo gives
// another, and has 10 seconds to come about unless conninfo gives another
// connect_timeout.
//
// Errors: Invalid for a conninfo that cannot be read or a database that is not
// there, Denied for a refused user, Unavailable for an unreachable or full
// server. It does not retry.
func Connect(ctx context.Context, conninfo, applicationName string) (*Conn, error) {
	cfg, err := parseConninfo(conninfo, applicationName)
	if err != nil {
		return nil, err
	}
	where := endpointOf(&cfg.Config, false)
	pg, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, connectFailure(ctx, where, err)
	}
	return &Conn{pg: pg, endpoint: where}, nil
}

// String names the connection, without secrets.
func (c *Conn) String() string { return c.endpoint.String() }

// Close ends the session. It may be called more than once.
func (c *Conn) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return c.endpoint.explained("close", c.pg.Close(ctx))
}

// Ping asks the server for an answer, to keep the session alive and to notice
// its loss.
func (c *Conn) Ping(ctx context.Context) error {
	return c.endpoint.explained("ping", c.pg.Ping(ctx))
}

// one runs a statement that gives one row and scans it.
func (c *Conn) one(ctx context.Context, doing, sql string, into ...any) error {
	return c.endpoint.explained(doing, c.pg.QueryRow(ctx, sql).Scan(into...))
}
