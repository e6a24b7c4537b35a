package replication

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
)

// connectTimeout holds for each address when the connection string and
// PGCONNECT_TIMEOUT give none.
const connectTimeout = 10 * time.Second

// parse reads a libpq connection string, key=value or URI; PG* variables,
// service files and ~/.pgpass apply as with libpq. The errors never quote the
// connection string: it may contain a password.
func parse(conninfo sdk.Secret, applicationName string) (*pgconn.Config, error) {
	cfg, err := pgconn.ParseConfig(conninfo.Reveal())
	if err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "connection string: %s; write it as \"host=... user=...\" or as a postgresql:// URI "+
			"(it is not shown, because it may hold a password)", parseReason(err))
	}
	if err := adoptParameters(cfg.RuntimeParams); err != nil {
		return nil, err
	}
	if applicationName != "" {
		cfg.RuntimeParams["application_name"] = applicationName
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	dialer := &net.Dialer{
		Timeout: cfg.ConnectTimeout,
		// A peer that vanished is noticed within a minute; Go's default takes many.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3},
	}
	cfg.DialFunc = dialer.DialContext
	return cfg, nil
}

// withDatabase appends dbname: in both notations the last one wins.
func withDatabase(conninfo sdk.Secret, database string) sdk.Secret {
	text := conninfo.Reveal()
	_, address, uri := strings.Cut(text, "://")
	switch {
	case !uri || !strings.HasPrefix(text, "postgres"):
		text += " dbname=" + database
	case strings.Contains(address, "?"):
		text += "&dbname=" + database
	case strings.Contains(address, "/"):
		text += "?dbname=" + database
	default:
		text += "/?dbname=" + database
	}
	return sdk.Secret(text)
}

// parseReason names what is wrong. Only fixed texts go out: whatever else the
// parser says may quote its input.
func parseReason(err error) string {
	text := err.Error()
	var failure *pgconn.ParseConfigError
	if errors.As(err, &failure) { // what follows the quoted connection string
		text = text[strings.LastIndex(text, "`")+1:]
	}
	for _, reason := range []string{
		"failed to parse as keyword/value", "failed to parse as URL", "invalid connect_timeout", "invalid port",
		"failed to configure TLS", "failed to read service", "unknown target_session_attrs",
	} {
		if strings.Contains(text, reason) {
			return strings.TrimPrefix(reason, "failed to ")
		}
	}
	return "cannot be read"
}

// adoptParameters deals with parameters of libpq (section 32.1.2) that pgconn
// would send to the server, which refuses them. Those that tune are dropped;
// those that protect are refused, because leaving them out silently would make
// the connection weaker than asked for.
func adoptParameters(params map[string]string) error {
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
			return sdk.Errorf(sdk.Invalid, "connection string: parameter %q is not supported; remove it", name)
		}
	}
	return nil
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
