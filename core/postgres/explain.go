package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
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
	if err == nil || errors.As(err, &classified) || isOver(err) {
		return err
	}
	kind, advice := e.peer().Classify(err)
	if kind == sdk.Unknown {
		return replication.WithDetail(err)
	}
	return sdk.Errorf(kind, "%w: %s", replication.WithDetail(err), advice)
}

// isOver: the caller ended it, or its time did, which is no fault of the network
// though it looks like one. What the server said counts all the same.
func isOver(err error) bool {
	return serverError(err) == nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}

// connectFailure words why a connection did not come about. Whatever the server
// did not say itself counts as unreachable, except that the caller gave up.
func connectFailure(ctx context.Context, e endpoint, err error) error {
	err = replication.Attempts(err)
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s: connect: %w", e, cause)
	}
	classified := explain(err, e)
	var known *sdk.Error
	if !errors.As(classified, &known) && serverError(err) == nil {
		classified = sdk.Errorf(sdk.Unavailable, "%w: %s", err, replication.AdviceUnreachable)
		if strings.Contains(err.Error(), "server refused TLS") {
			classified = sdk.Errorf(sdk.Invalid, "%w: turn on ssl on the server, or choose another sslmode in the connection string", err)
		}
	}
	return e.explained("connect", classified)
}

func serverError(err error) *pgconn.PgError {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server
	}
	return nil
}
