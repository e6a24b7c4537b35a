package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
)

func TestExplainGivesEveryKnownStateAKindAndAdvice(t *testing.T) {
	tests := []struct {
		code, message string
		kind          sdk.ErrorKind
		advice        string
	}{
		{"28P01", "password authentication failed", sdk.Denied, ".pgpass"},
		{"28000", "no pg_hba.conf entry", sdk.Denied, "pg_reload_conf"},
		{"42501", "permission denied for function", sdk.Denied, "grant"},
		{"53300", "sorry, too many clients already", sdk.Unavailable, "max_connections"},
		{"53300", "number of requested standby connections exceeds max_wal_senders (currently 10)", sdk.Unavailable, "raise max_wal_senders"},
		{"53300", "number of requested standby connections exceeds max_wal_senders (currently 0)", sdk.Invalid, "wal_level = replica"},
		{"53400", "all replication slots are in use", sdk.Unavailable, "raise max_replication_slots"},
		{"53100", "could not write: No space left on device", sdk.Unavailable, "disk space"},
		{"55006", "replication slot is active for PID 1", sdk.Busy, "active_pid"},
		{"42704", "replication slot does not exist", sdk.NotFound, "--create-slot"},
		{"42710", "replication slot already exists", sdk.Exists, "as it is"},
		{"42602", "replication slot name contains invalid character", sdk.Invalid, "a-z"},
		{"55000", "replication slots can only be used if wal_level >= replica", sdk.Invalid, "wal_level = replica"},
		{"55000", "replication slots can only be used if max_replication_slots > 0", sdk.Invalid, "max_replication_slots"},
		{"55000", "recovery is in progress", sdk.Invalid, "primary"},
		{"57P03", "the database system is starting up", sdk.Unavailable, "try again"},
		{"57P01", "terminating connection due to administrator command", sdk.Unavailable, "try again"},
		{"3D000", "database does not exist", sdk.Invalid, "dbname"},
		{"58P01", "requested WAL segment has already been removed", sdk.NotFound, "gone"},
		{"58030", "could not read file", sdk.Unavailable, "log"},
		{"08006", "connection failure", sdk.Unavailable, "log"},
		{"XX001", "invalid page in block 1", sdk.Corrupt, "keep all existing backups"},
	}
	for _, test := range tests {
		server := &pgconn.PgError{Severity: "FATAL", Code: test.code, Message: test.message, Detail: "the detail"}
		err := Explain(fmt.Errorf("wrapped: %w", server))
		if kind := sdk.KindOf(err); kind != test.kind {
			t.Errorf("%s %s: kind %v, want %v", test.code, test.message, kind, test.kind)
		}
		for _, part := range []string{test.message, test.advice, "the detail", test.code} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q lacks %q", test.code, err, part)
			}
		}
		if !errors.Is(err, server) {
			t.Errorf("%s: the server's own error is not in the chain", test.code)
		}
	}
}

func TestExplainLeavesAloneWhatItCannotImprove(t *testing.T) {
	for name, err := range map[string]error{
		"nothing":    nil,
		"classified": sdk.Errorf(sdk.Busy, "taken"),
		"cancelled":  fmt.Errorf("query: %w", context.Canceled),
		"unknown":    errors.New("something else"),
	} {
		if got := Explain(err); got != err {
			t.Errorf("%s: %v became %v", name, err, got)
		}
	}
	if kind := sdk.KindOf(Explain(&pgconn.PgError{Code: "42601", Message: "syntax error"})); kind != sdk.Unknown {
		t.Errorf("a syntax error is %v: it is a bug, and none of the kinds", kind)
	}
}

func TestExplainTreatsNetworkFailuresAsUnavailable(t *testing.T) {
	for _, err := range []error{
		&net.OpError{Op: "read", Err: errors.New("connection reset by peer")},
		&net.DNSError{Name: "pg", Err: "no such host"},
		pgconn.ErrConnClosed,
	} {
		if kind := sdk.KindOf(Explain(err)); kind != sdk.Unavailable {
			t.Errorf("%v is %v, want unavailable", err, kind)
		}
	}
}

func TestErrorOfAConnectionNamesIt(t *testing.T) {
	where := endpoint{addresses: []string{"host=pg port=5432"}, user: "barman", replication: true}
	err := where.explained("create replication slot x", &pgconn.PgError{Severity: "ERROR", Code: "42501", Message: "permission denied"})
	want := `PostgreSQL streaming connection (host=pg port=5432 user=barman): create replication slot x: ERROR: permission denied (SQLSTATE 42501): ` +
		`the user needs the REPLICATION attribute: ALTER ROLE "barman" REPLICATION`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}
