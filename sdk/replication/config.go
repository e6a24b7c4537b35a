package replication

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
)

// connectTimeout holds for each address when the connection string and
// PGCONNECT_TIMEOUT give none: long enough for a server under load, short enough
// for a check run by monitoring.
const connectTimeout = 10 * time.Second

// parse reads a libpq connection string, key=value or URI; PG* variables,
// service files and ~/.pgpass apply as with libpq. The errors never quote the
// connection string: it may contain a password.
func parse(conninfo sdk.Secret, applicationName string) (*pgconn.Config, error) {
	cfg, err := pgconn.ParseConfig(conninfo.Reveal())
	if err != nil {
		return nil, ParseFailure(err)
	}
	if err := Adopt(cfg); err != nil {
		return nil, err
	}
	if applicationName != "" {
		cfg.RuntimeParams["application_name"] = applicationName
	}
	return cfg, nil
}

// ForStreaming names the database of a connection string "replication", which
// is what a line of ~/.pgpass for streaming connections says (PostgreSQL manual,
// section 32.16); physical replication has no database.
func ForStreaming(conninfo sdk.Secret) sdk.Secret {
	text := conninfo.Reveal()
	const database = "dbname=replication" // in both notations the last one wins
	_, address, uri := strings.Cut(text, "://")
	switch {
	case !uri || !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://"):
		text += " " + database
	case strings.Contains(address, "?"):
		text += "&" + database
	case strings.Contains(address, "/"):
		text += "?" + database
	default:
		text += "/?" + database
	}
	return sdk.Secret(text)
}

// ParseFailure words why a connection string could not be read. Only fixed
// texts go out: whatever else the parser says may quote its input.
func ParseFailure(err error) error {
	text := err.Error()
	var failure *pgconn.ParseConfigError
	if errors.As(err, &failure) { // what follows the quoted connection string, which could itself contain any phrase
		text = text[strings.LastIndex(text, "`")+1:]
	}
	reason := "it cannot be read; write it as \"host=... user=... dbname=...\" or as a postgresql:// URI"
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
		if strings.Contains(text, known.phrase) {
			reason = known.advice
			break
		}
	}
	return sdk.Errorf(sdk.Invalid, "connection string: %s (it is not shown, because it may hold a password)", reason)
}

// Adopt makes a configuration that pgconn has parsed one that libpq would
// understand alike: it deals with the parameters of libpq (section 32.1.2) that
// pgconn does not know and would send to the server, which refuses them, bounds
// the time for connecting, and lets a dead server be noticed.
//
// Parameters that tune are dropped; those that protect are refused, because
// leaving them out silently would make the connection weaker than asked for.
func Adopt(cfg *pgconn.Config) error {
	params := cfg.RuntimeParams
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
		"gssencmode", "hostaddr", "requirepeer", "requiressl", "sslcrl", "sslcrldir", "ssl_min_protocol_version", "ssl_max_protocol_version",
	} {
		if _, given := params[name]; given {
			return sdk.Errorf(sdk.Invalid, "connection string: parameter %q is not supported; remove it (sslmode, sslrootcert, sslcert and sslkey are supported)", name)
		}
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	dialer := &net.Dialer{
		Timeout: cfg.ConnectTimeout,
		// A peer that vanished is noticed within about a minute; Go's default takes many.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3},
	}
	cfg.DialFunc = dialer.DialContext
	return nil
}

// Streaming makes a configuration one for physical replication, for which it
// must have been parsed from what ForStreaming returns.
func Streaming(cfg *pgconn.Config) error {
	cfg.RuntimeParams["replication"] = "true"
	if cfg.ValidateConnect == nil {
		return nil
	}
	switch reflect.ValueOf(cfg.ValidateConnect).Pointer() {
	case reflect.ValueOf(pgconn.ValidateConnectTargetSessionAttrsPrimary).Pointer(),
		reflect.ValueOf(pgconn.ValidateConnectTargetSessionAttrsReadWrite).Pointer():
		cfg.ValidateConnect = wantRecovery(false)
	case reflect.ValueOf(pgconn.ValidateConnectTargetSessionAttrsStandby).Pointer(),
		reflect.ValueOf(pgconn.ValidateConnectTargetSessionAttrsReadOnly).Pointer():
		cfg.ValidateConnect = wantRecovery(true)
	default:
		return sdk.Errorf(sdk.Invalid, "connection string: target_session_attrs=prefer-standby does not go with streaming; write standby, primary or any")
	}
	return nil
}

// wantRecovery is target_session_attrs over the replication protocol, which
// knows no queries: it takes a standby or a primary.
func wantRecovery(wanted bool) pgconn.ValidateConnectFunc {
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		is, err := inRecovery(ctx, conn)
		switch {
		case err != nil:
			return err
		case is && !wanted:
			return pgconn.ErrStandbyConnection
		case !is && wanted:
			return pgconn.ErrPrimaryConnection
		}
		return nil
	}
}

func inRecovery(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
	if standby := conn.ParameterStatus("in_hot_standby"); standby != "" { // from PostgreSQL 14 on
		return standby == "on", nil
	}
	results, err := conn.Exec(ctx, "SHOW transaction_read_only").ReadAll()
	if err != nil {
		return false, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return false, errors.New("SHOW transaction_read_only: the answer has an unknown form")
	}
	return string(results[0].Rows[0][0]) == "on", nil
}

// describe names a connection in messages; it holds nothing secret.
func describe(cfg *pgconn.Config) string {
	address := func(host string, port uint16) string {
		if strings.HasPrefix(host, "/") {
			return fmt.Sprintf("%s/.s.PGSQL.%d", host, port)
		}
		return net.JoinHostPort(host, fmt.Sprint(port))
	}
	where := []string{address(cfg.Host, cfg.Port)}
	for _, fallback := range cfg.Fallbacks {
		// With sslmode=prefer every address is listed twice.
		if next := address(fallback.Host, fallback.Port); next != where[len(where)-1] {
			where = append(where, next)
		}
	}
	return fmt.Sprintf("PostgreSQL at %s as user %s", strings.Join(where, " or "), cfg.User)
}
