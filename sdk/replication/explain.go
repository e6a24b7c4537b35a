package replication

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

const adviceUnreachable = "check that PostgreSQL runs, that listen_addresses, port and firewall let this machine reach it, and host and port in the connection string"

// Advice replaces what Explain says about an error of the server: the caller
// knows better what an SQLSTATE means for its command. ok is false to leave it.
type Advice func(e *pgconn.PgError) (kind sdk.ErrorKind, advice string, ok bool)

// connectFailure words why a connection did not come about. Whatever the
// server did not say itself counts as unreachable.
func connectFailure(ctx context.Context, where, user string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("connect to %s: %w", where, cause)
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) { // it holds the configuration, password included: only its cause goes further
		err = oneLine{connect.Unwrap()}
	}
	kind, advice := classify(err, user, nil)
	if server := new(pgconn.PgError); kind == sdk.Unknown || kind == sdk.Unavailable && !errors.As(err, &server) {
		kind, advice = sdk.Unavailable, adviceUnreachable
	}
	return sdk.Errorf(kind, "connect to %s: %w: %s", where, withDetail(err), advice)
}

func (c *Conn) explain(ctx context.Context, doing string, err error) error {
	return explain(ctx, c.where+": "+doing, c.user, err, nil)
}

// explain gives an error its kind and its advice. An ended context is the
// cause of whatever else failed at that moment.
func explain(ctx context.Context, doing, user string, err error, advise Advice) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s: %w", doing, cause)
	}
	var classified *sdk.Error
	if errors.As(err, &classified) {
		return err
	}
	kind, advice := classify(err, user, advise)
	if advice != "" {
		return sdk.Errorf(kind, "%s: %w: %s", doing, withDetail(err), advice)
	}
	return sdk.Errorf(kind, "%s: %w", doing, withDetail(err))
}

func classify(err error, user string, advise Advice) (sdk.ErrorKind, string) {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		if advise != nil {
			if kind, advice, ok := advise(server); ok {
				return kind, advice
			}
		}
		return classifyServer(server, user)
	}
	var (
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		verification *tls.CertificateVerificationError
		network      net.Error
	)
	switch {
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &verification):
		return sdk.Denied, "check sslmode and sslrootcert in the connection string against the server's certificate"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, pgconn.ErrConnClosed):
		return sdk.Unavailable, "the server closed the connection; see its log"
	case errors.As(err, &network):
		return sdk.Unavailable, "the connection broke"
	}
	return sdk.Unknown, ""
}

// classifyServer maps an SQLSTATE (PostgreSQL manual, appendix A). Names of
// settings are never translated in the server's messages, so that looking for
// them works in every language.
func classifyServer(e *pgconn.PgError, user string) (sdk.ErrorKind, string) {
	switch e.Code {
	case "28P01":
		return sdk.Denied, "put the right password into ~/.pgpass (mode 0600, database \"replication\") or into the connection string"
	case "28000":
		return sdk.Denied, "allow this user from this machine for the database \"replication\" in the server's pg_hba.conf, reload it with " +
			"SELECT pg_reload_conf(), and check that the role exists and may log in"
	case "42501":
		return sdk.Denied, "the user needs the REPLICATION attribute: ALTER ROLE " + QuoteIdentifier(user) + " REPLICATION"
	case "53300":
		return tooManyConnections(e)
	case "53400":
		return sdk.Unavailable, "raise max_replication_slots and restart the server, or drop a slot that nobody uses (see pg_replication_slots)"
	case "57P01", "57P02", "57P03", "57P04", "57P05":
		return sdk.Unavailable, "the server is starting or stopping, or ended the connection; try again when it is back"
	case "57014":
		return sdk.Unavailable, "somebody cancelled the command on the server"
	case "55006":
		return sdk.Busy, "another process uses it; pg_replication_slots.active_pid tells which"
	case "42601", "22023", "0A000":
		return sdk.Invalid, "this server does not accept the command with these settings"
	case "55000":
		if strings.Contains(e.Message, "wal_level") || strings.Contains(e.Hint, "wal_level") {
			return sdk.Invalid, "set wal_level = replica and restart the server"
		}
		return sdk.Invalid, "the server is not in a state that allows it"
	case "XX001", "XX002":
		return sdk.Corrupt, "the server reports damaged data; see its log before anything else, and keep all existing backups"
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08":
		return sdk.Unavailable, "the connection broke; see the server's log"
	case "53", "58":
		return sdk.Unavailable, "the server lacks disk space or memory, or has trouble with its files; see its log"
	}
	return sdk.Unknown, ""
}

func tooManyConnections(e *pgconn.PgError) (sdk.ErrorKind, string) {
	switch {
	case !strings.Contains(e.Message, "max_wal_senders"):
		return sdk.Unavailable, "no connection is free: see max_wal_senders, max_connections and the role's connection limit"
	case strings.Contains(e.Message, " 0)"): // with wal_level = minimal there cannot be any
		return sdk.Invalid, "the server allows no WAL senders: set wal_level = replica and max_wal_senders = 10 and restart it"
	}
	return sdk.Unavailable, "no WAL sender is free: raise max_wal_senders and restart the server, or stop a client that needs none (see pg_stat_replication)"
}

// withDetail adds what the server said beside its message.
func withDetail(err error) error {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return err
	}
	text := ""
	for _, part := range []string{server.Detail, server.Hint} {
		if part != "" {
			text += ": " + part
		}
	}
	return fmt.Errorf("%w%s", server, text)
}

// oneLine prints the attempts that pgconn joins, one per address, in one line
// and each distinct one once.
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
