package postgres

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
)

// defaultConnectTimeout holds for each address tried when neither the
// connection string nor PGCONNECT_TIMEOUT gives one: long enough for a server
// under load, short enough for a check run by monitoring.
const defaultConnectTimeout = 10 * time.Second

// Names that servers see in pg_stat_activity and pg_stat_replication.
const defaultApplicationName = "barman"

// parseConninfo reads a libpq connection string, key=value or URI. PG*
// variables, service files and ~/.pgpass apply as with libpq. The error never
// holds the connection string: it may contain a password.
func parseConninfo(conninfo, applicationName string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(conninfo)
	if err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "connection string: %s", parseReason(err))
	}
	if err := adoptLibpqParameters(cfg.RuntimeParams, applicationName); err != nil {
		return nil, err
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = defaultConnectTimeout
	}
	cfg.DialFunc = dialer(cfg.ConnectTimeout).DialContext
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // one round trip per statement, and no prepared statements left behind a pooler
	return cfg, nil
}

// parseReplicationConninfo is parseConninfo for the replication protocol. The
// database is named "replication", which is what a line of ~/.pgpass for
// streaming connections says (PostgreSQL manual, section 32.16); physical
// replication has no database.
func parseReplicationConninfo(conninfo, applicationName string) (*pgconn.Config, error) {
	cfg, err := parseConninfo(withDatabase(conninfo, "replication"), applicationName)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["replication"] = "true"
	return &cfg.Config, nil
}

// withDatabase appends dbname: in both notations the last one wins.
func withDatabase(conninfo, database string) string {
	if !strings.HasPrefix(conninfo, "postgres://") && !strings.HasPrefix(conninfo, "postgresql://") {
		return strings.TrimSpace(conninfo + " dbname=" + database)
	}
	if strings.Contains(conninfo, "?") {
		return conninfo + "&dbname=" + database
	}
	if strings.Contains(strings.SplitN(conninfo, "://", 2)[1], "/") {
		return conninfo + "?dbname=" + database
	}
	return conninfo + "/?dbname=" + database
}

// parseReason says what is wrong without quoting the connection string. Only
// fixed texts go out; whatever else the parser says may quote its input.
func parseReason(err error) string {
	message := messageOf(err)
	for _, known := range []struct{ phrase, advice string }{
		{"failed to parse as keyword/value", "it is not a list of key=value; quote values that hold spaces, as in password='two words'"},
		{"failed to parse as URL", "it is not a valid postgresql:// URI; percent-encode special characters in user and password"},
		{"invalid port", "port is not a number from 1 to 65535; in a URI, percent-encode special characters in user and password"},
		{"could not match", "there must be one port, or one for each host"},
		{"invalid connect_timeout", "connect_timeout is not a number of seconds"},
		{"failed to configure TLS", "check sslmode, and that the files of sslrootcert, sslcert and sslkey can be read"},
		{"failed to read service", "the service is not in the service file (PGSERVICEFILE, ~/.pg_service.conf)"},
		{"unknown target_session_attrs", "target_session_attrs is none of any, read-write, read-only, primary, standby, prefer-standby"},
	} {
		if strings.Contains(message, known.phrase) {
			return known.advice
		}
	}
	return "it cannot be read; write it as \"host=... user=... dbname=...\" or as a postgresql:// URI"
}

// messageOf is the part of a parse error that follows the quoted connection
// string, which could itself contain any of the parser's phrases.
func messageOf(err error) string {
	var parse *pgconn.ParseConfigError
	if !errors.As(err, &parse) {
		return err.Error()
	}
	text := err.Error()
	return text[strings.LastIndex(text, "`")+1:]
}

// dialer lets a dead server be noticed within about a minute on a connection
// that waits for an answer; Go's default of hours would hold up a backup.
func dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout:         timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3},
	}
}

// adoptLibpqParameters deals with the parameters of libpq (section 32.1.2) that
// pgx does not know and would send to the server, which refuses them. Those
// that only tune are dropped; those that protect are refused, because leaving
// them out silently would make the connection weaker than asked for.
func adoptLibpqParameters(params map[string]string, applicationName string) error {
	if applicationName == "" {
		applicationName = defaultApplicationName
	}
	if fallback := params["fallback_application_name"]; fallback != "" {
		applicationName = fallback
	}
	if params["application_name"] == "" {
		params["application_name"] = applicationName
	}
	params["client_encoding"] = "UTF8"
	for _, name := range []string{
		"fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
		"tcp_user_timeout", "sslcompression", "gsslib", "gssdelegation", "load_balance_hosts", "replication",
	} {
		delete(params, name)
	}
	if mode, given := params["gssencmode"]; given && mode != "require" {
		delete(params, "gssencmode")
	}
	for _, name := range []string{
		"gssencmode", "requirepeer", "requiressl", "sslcrl", "sslcrldir", "ssl_min_protocol_version", "ssl_max_protocol_version",
	} {
		if _, given := params[name]; given {
			return sdk.Errorf(sdk.Invalid, "connection string: parameter %q is not supported; remove it (sslmode, sslrootcert, "+
				"sslcert and sslkey are supported)", name)
		}
	}
	return nil
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
