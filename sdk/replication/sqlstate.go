package replication

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
)

// Peer is what the advice about a server's error depends on.
type Peer struct {
	// User is the role that is connected.
	User string
	// Streaming: the connection speaks the replication protocol.
	Streaming bool
}

// AdviceUnreachable is what to do about a server that does not answer.
const AdviceUnreachable = "check that PostgreSQL is running, that listen_addresses, port and firewall let this machine reach it, " +
	"and host and port in the connection string"

// AdviceSlotName is what names of replication slots look like (PostgreSQL
// manual, section 27.2.6.1).
const AdviceSlotName = "a slot name has 1 to 63 of the characters a-z, 0-9 and _"

// Classify gives an error of a connection its kind and says what to do about
// it. What it does not know is Unknown, without advice.
func (p Peer) Classify(err error) (sdk.ErrorKind, string) {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return p.classifyServer(server)
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
		return sdk.Unavailable, AdviceUnreachable
	}
	return sdk.Unknown, ""
}

// classifyServer maps an SQLSTATE (PostgreSQL manual, appendix A). Names of
// settings are never translated in the server's messages, so that looking for
// them works in every language.
func (p Peer) classifyServer(e *pgconn.PgError) (sdk.ErrorKind, string) {
	switch e.Code {
	case "28P01":
		return sdk.Denied, "put the right password into ~/.pgpass (mode 0600; database \"replication\" for a streaming connection) or into the connection string"
	case "28000":
		database := ""
		if p.Streaming {
			database = ", for database \"replication\","
		}
		return sdk.Denied, "allow this user from this machine" + database + " in the server's pg_hba.conf, reload it with SELECT pg_reload_conf(), and " +
			"check that the role exists and may log in"
	case "42501":
		if p.Streaming {
			return sdk.Denied, "the user needs the REPLICATION attribute: ALTER ROLE " + QuoteIdentifier(p.User) + " REPLICATION"
		}
		return sdk.Denied, "grant the user pg_read_all_settings, pg_read_all_stats and EXECUTE on the backup functions, as the " +
			"documentation of the PostgreSQL connection shows"
	case "53300":
		return p.tooManyConnections(e)
	case "53400":
		return sdk.Unavailable, "raise max_replication_slots and restart the server, or drop a slot that nobody uses (see pg_replication_slots)"
	case "57P03":
		return sdk.Unavailable, "the server is starting, stopping or recovering without hot_standby; try again when it accepts connections"
	case "57P01", "57P02", "57P04", "57P05":
		return sdk.Unavailable, "the server ended the connection; try again when it is back"
	case "57014":
		return sdk.Unavailable, "the server cancelled it: somebody asked it to, or statement_timeout or lock_timeout of this user is too short"
	case "3D000":
		return sdk.Invalid, "name an existing database in the connection string, for instance dbname=postgres"
	case "55006":
		return sdk.Busy, "another process uses the slot; stop that one first (pg_replication_slots.active_pid tells which)"
	case "42704":
		if e.SeverityUnlocalized == "FATAL" { // while connecting
			return sdk.Invalid, "the server does not know this parameter; remove it from the connection string"
		}
		return sdk.NotFound, "check its name; a missing replication slot is created with 'barman receive-wal --create-slot SERVER'"
	case "42710":
		return sdk.Exists, "use it as it is, or choose another name"
	case "42602", "42622":
		return sdk.Invalid, AdviceSlotName
	case "55000":
		return sdk.Invalid, prerequisite(e)
	case "25006":
		return sdk.Invalid, "the server is a standby or read only; connect to the primary"
	case "42883":
		return sdk.Invalid, "this server lacks the function: PostgreSQL 10 or newer is needed"
	case "XX001", "XX002":
		return sdk.Corrupt, "the server reports damaged data; see its log before anything else, and keep all existing backups"
	}
	if p.Streaming {
		switch e.Code {
		case "42601", "22023", "0A000": // commands have options that not every version knows
			return sdk.Invalid, "this server does not accept the command with these settings"
		}
	} else if e.Code == "58P01" {
		return sdk.NotFound, "the file is gone from the server; see its log"
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08":
		return sdk.Unavailable, "the connection broke; see the server's log"
	case "53":
		return sdk.Unavailable, "the server lacks disk space, memory or connections; see its log"
	case "58":
		return sdk.Unavailable, "the server has trouble with its files or operating system; see its log"
	}
	return sdk.Unknown, ""
}

func (p Peer) tooManyConnections(e *pgconn.PgError) (sdk.ErrorKind, string) {
	switch {
	case strings.Contains(e.Message, "max_wal_senders") && strings.Contains(e.Message, " 0)"): // with wal_level = minimal there cannot be any
		return sdk.Invalid, "the server allows no WAL senders: set wal_level = replica and max_wal_senders = 10 and restart it"
	case strings.Contains(e.Message, "max_wal_senders"):
		return sdk.Unavailable, "no WAL sender is free: raise max_wal_senders and restart the server, or stop a client that needs none (see pg_stat_replication)"
	case p.Streaming:
		return sdk.Unavailable, "no connection is free: see max_wal_senders, max_connections and the role's connection limit"
	}
	return sdk.Unavailable, "no connection is free: raise max_connections or the role's connection limit, or close idle sessions"
}

func prerequisite(e *pgconn.PgError) string {
	switch {
	case strings.Contains(e.Message, "wal_level"), strings.Contains(e.Hint, "wal_level"):
		return "set wal_level = replica and restart the server"
	case strings.Contains(e.Message, "max_replication_slots"):
		return "set max_replication_slots to 10 or so and restart the server"
	}
	return "the server is not in a state that allows it; if it is a standby, ask the primary"
}

// WithDetail adds, to an error of the server, what it said beside its message;
// others are returned as they are.
func WithDetail(err error) error {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return err
	}
	return detailed{server}
}

type detailed struct{ *pgconn.PgError }

func (d detailed) Error() string {
	text := d.PgError.Error()
	for _, part := range []string{d.Detail, d.Hint} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

func (d detailed) Unwrap() error { return d.PgError }

// Attempts returns the cause of a connection that did not come about: one line
// with each distinct thing that went wrong, for an address each. The
// configuration, with its password, stays behind.
func Attempts(err error) error {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return oneLine{connect.Unwrap()}
	}
	return err
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
