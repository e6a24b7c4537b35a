package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
)

// Explain turns an error of the server or of the driver into an sdk error that
// says what to do. It leaves nil, errors that have a kind already, and ended
// contexts as they are; what it does not know comes back unchanged.
func Explain(err error) error { return explain(err, endpoint{}) }

// explained is Explain for one connection: the text begins with it and with what
// was being done.
func (e endpoint) explained(doing string, err error) error {
	if err == nil {
		return nil
	}
	classified := explain(err, e)
	if kind := sdk.KindOf(classified); kind != sdk.Unknown && kind != sdk.Cancelled {
		return sdk.Errorf(kind, "%s: %s: %w", e, doing, classified)
	}
	return fmt.Errorf("%s: %s: %w", e, doing, classified)
}

func explain(err error, e endpoint) error {
	var classified *sdk.Error
	if err == nil || errors.As(err, &classified) {
		return err
	}
	if server := serverError(err); server != nil {
		kind, advice := adviceFor(server, e)
		if kind == sdk.Unknown {
			return fmt.Errorf("%w%s", server, detailOf(server))
		}
		return sdk.Errorf(kind, "%w%s: %s", server, detailOf(server), advice)
	}
	var unknownAuthority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var verification *tls.CertificateVerificationError
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &unknownAuthority), errors.As(err, &hostname), errors.As(err, &verification):
		return sdk.Errorf(sdk.Denied, "%w: check sslmode and sslrootcert in the connection string against the server's certificate", err)
	case errors.Is(err, pgconn.ErrConnClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return sdk.Errorf(sdk.Unavailable, "%w: the server closed the connection; see its log", err)
	case errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &network):
		return sdk.Errorf(sdk.Unavailable, "%w: %s", err, adviceUnreachable)
	}
	return err
}

const adviceUnreachable = "check that PostgreSQL is running, that listen_addresses, port and firewall let this machine reach it, " +
	"and host and port in the connection string"

// connectFailure words why a connection did not come about. Whatever the server
// did not say itself counts as unreachable, except that the caller gave up.
func connectFailure(ctx context.Context, e endpoint, err error) error {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) { // it holds the configuration, password included: only its cause goes further
		err = oneLine{connect.Unwrap()}
	}
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s: connect: %w", e, cause)
	}
	classified := explain(err, e)
	var known *sdk.Error
	if !errors.As(classified, &known) && serverError(err) == nil {
		classified = sdk.Errorf(sdk.Unavailable, "%w: %s", err, adviceUnreachable)
		if strings.Contains(err.Error(), "server refused TLS") {
			classified = sdk.Errorf(sdk.Invalid, "%w: turn on ssl on the server, or choose another sslmode in the connection string", err)
		}
	}
	return e.explained("connect", classified)
}

// oneLine prints the attempts that pgx joins, one per address, in one line and
// each distinct one once.
type oneLine struct{ err error }

func (o oneLine) Error() string {
	var lines []string
	seen := map[string]bool{}
	for line := range strings.SplitSeq(o.err.Error(), "\n") {
		if line = strings.TrimSpace(line); line != "" && !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

func (o oneLine) Unwrap() error { return o.err }

func serverError(err error) *pgconn.PgError {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server
	}
	return nil
}

func detailOf(server *pgconn.PgError) string {
	text := ""
	if server.Detail != "" {
		text += ": " + server.Detail
	}
	if server.Hint != "" {
		text += ": " + server.Hint
	}
	return text
}

// adviceFor maps an SQLSTATE (PostgreSQL manual, appendix A) to a kind and to
// what a DBA should do. Names of settings are never translated in the server's
// messages, so that looking for them works in every language.
func adviceFor(server *pgconn.PgError, e endpoint) (sdk.ErrorKind, string) {
	switch server.Code {
	case "28P01":
		return sdk.Denied, "put the right password into ~/.pgpass (mode 0600; database \"replication\" for a streaming connection) or " +
			"into the connection string"
	case "28000":
		return sdk.Denied, "allow this user from this machine" + hbaDatabase(e) + " in the server's pg_hba.conf, reload it with SELECT pg_reload_conf(), and " +
			"check that the role exists and may log in"
	case "42501":
		if e.replication {
			return sdk.Denied, "the user needs the REPLICATION attribute: ALTER ROLE " + quoteIdentifier(e.user) + " REPLICATION"
		}
		return sdk.Denied, "grant the user pg_read_all_settings, pg_read_all_stats and EXECUTE on the backup functions, as the " +
			"documentation of the PostgreSQL connection shows"
	case "53300":
		return sdk.Unavailable, tooManyConnections(server, e)
	case "53400":
		return sdk.Unavailable, "raise max_replication_slots and restart the server, or drop a slot that nobody uses (see pg_replication_slots)"
	case "57P03":
		return sdk.Unavailable, "the server is starting, stopping or recovering without hot_standby; try again when it accepts connections"
	case "57P01", "57P02", "57P04", "57P05":
		return sdk.Unavailable, "the server ended the connection; try again when it is back"
	case "57014":
		return sdk.Unavailable, "the server cancelled the statement; see statement_timeout and lock_timeout of this user"
	case "3D000":
		return sdk.Invalid, "name an existing database in the connection string, for instance dbname=postgres"
	case "55006":
		return sdk.Busy, "another process uses the slot; stop that one first (pg_replication_slots.active_pid tells which)"
	case "42704":
		if server.SeverityUnlocalized == "FATAL" { // while connecting
			return sdk.Invalid, "the server does not know this parameter; remove it from the connection string"
		}
		return sdk.NotFound, "check its name; a missing replication slot is created with 'barman receive-wal --create-slot SERVER'"
	case "42710":
		return sdk.Exists, "use it as it is, or choose another name"
	case "42602", "42622":
		return sdk.Invalid, adviceSlotName
	case "55000":
		return sdk.Invalid, prerequisite(server)
	case "25006":
		return sdk.Invalid, "the server is a standby or read only; connect to the primary"
	case "58P01":
		return sdk.NotFound, "the file is gone from the server; see its log"
	case "42883":
		return sdk.Invalid, "this server lacks the function: PostgreSQL 10 or newer is needed"
	case "XX001", "XX002":
		return sdk.Corrupt, "the server reports damaged data; see its log before anything else, and keep all existing backups"
	}
	switch {
	case strings.HasPrefix(server.Code, "08"):
		return sdk.Unavailable, "the connection broke; see the server's log"
	case strings.HasPrefix(server.Code, "53"):
		return sdk.Unavailable, "the server lacks disk space, memory or connections; see its log"
	case strings.HasPrefix(server.Code, "58"):
		return sdk.Unavailable, "the server has trouble with its files or operating system; see its log"
	}
	return sdk.Unknown, ""
}

func hbaDatabase(e endpoint) string {
	if e.replication {
		return ", for database \"replication\","
	}
	return ""
}

func tooManyConnections(server *pgconn.PgError, e endpoint) string {
	if strings.Contains(server.Message, "max_wal_senders") {
		if strings.Contains(server.Message, " 0)") {
			return "the server allows no WAL senders: set wal_level = replica and max_wal_senders = 10 and restart it"
		}
		return "no WAL sender is free: raise max_wal_senders and restart the server, or stop a client that needs none (see pg_stat_replication)"
	}
	if e.replication {
		return "no connection is free: see max_wal_senders, max_connections and the role's connection limit"
	}
	return "no connection is free: raise max_connections or the role's connection limit, or close idle sessions"
}

func prerequisite(server *pgconn.PgError) string {
	switch {
	case strings.Contains(server.Message, "wal_level"):
		return "set wal_level = replica and restart the server"
	case strings.Contains(server.Message, "max_replication_slots"):
		return "set max_replication_slots to 10 or so and restart the server"
	}
	return "the server is not in a state that allows it; if it is a standby, ask the primary"
}

func quoteIdentifier(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
