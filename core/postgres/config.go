package postgres

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
)

// Names that servers see in pg_stat_activity and pg_stat_replication.
const defaultApplicationName = "barman"

// parseConninfo reads a libpq connection string, key=value or URI. PG*
// variables, service files and ~/.pgpass apply as with libpq. The error never
// holds the connection string: it may contain a password.
func parseConninfo(conninfo, applicationName string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(conninfo)
	if err != nil {
		return nil, replication.ParseFailure(err)
	}
	params := cfg.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = cmp.Or(params["fallback_application_name"], applicationName, defaultApplicationName)
	}
	params["client_encoding"] = "UTF8"
	if err := replication.Adopt(&cfg.Config); err != nil {
		return nil, err
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // one round trip per statement, and no prepared statements left behind a pooler
	return cfg, nil
}

// parseReplicationConninfo is parseConninfo for the replication protocol.
func parseReplicationConninfo(conninfo, applicationName string) (*pgconn.Config, error) {
	cfg, err := parseConninfo(replication.ForStreaming(sdk.Secret(conninfo)).Reveal(), applicationName)
	if err != nil {
		return nil, err
	}
	return &cfg.Config, replication.Streaming(&cfg.Config)
}

// endpoint describes a connection in messages. It holds nothing secret.
type endpoint struct {
	addresses   []string
	user        string
	database    string
	replication bool
}

func endpointOf(cfg *pgconn.Config, replication bool) endpoint {
	e := endpoint{user: cfg.User, database: cfg.Database, replication: replication}
	if e.database == "" { // the server's default
		e.database = e.user
	}
	e.addAddress(cfg.Host, cfg.Port)
	for _, fallback := range cfg.Fallbacks {
		e.addAddress(fallback.Host, fallback.Port)
	}
	return e
}

// peer is what advice about errors of the connection depends on.
func (e endpoint) peer() replication.Peer {
	return replication.Peer{User: e.user, Streaming: e.replication}
}

// addAddress keeps each address once: with sslmode=prefer pgx lists it twice.
func (e *endpoint) addAddress(host string, port uint16) {
	address := fmt.Sprintf("host=%s port=%d", host, port)
	for _, known := range e.addresses {
		if known == address {
			return
		}
	}
	e.addresses = append(e.addresses, address)
}

// String gives host, port, user and database, as one would write them in a
// connection string.
func (e endpoint) String() string {
	where := strings.Join(e.addresses, " or ")
	if e.replication {
		return fmt.Sprintf("PostgreSQL streaming connection (%s user=%s)", where, e.user)
	}
	return fmt.Sprintf("PostgreSQL connection (%s user=%s dbname=%s)", where, e.user, e.database)
}
