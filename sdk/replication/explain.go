package replication

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
)

// Advice replaces what Peer.Classify says about an error of the server: the
// caller knows better what an SQLSTATE means for its command. ok is false to
// leave it.
type Advice func(e *pgconn.PgError) (kind sdk.ErrorKind, advice string, ok bool)

// connectFailure words why a connection did not come about. Whatever the
// server did not say itself counts as unreachable.
func connectFailure(ctx context.Context, where string, peer Peer, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("connect to %s: %w", where, cause)
	}
	err = Attempts(err)
	kind, advice := peer.Classify(err)
	if server := new(pgconn.PgError); kind == sdk.Unknown || kind == sdk.Unavailable && !errors.As(err, &server) {
		kind, advice = sdk.Unavailable, AdviceUnreachable
	}
	return sdk.Errorf(kind, "connect to %s: %w: %s", where, WithDetail(err), advice)
}

func (c *Conn) explain(ctx context.Context, doing string, err error) error {
	return explain(ctx, c.where+": "+doing, c.peer, err, nil)
}

// explain gives an error its kind and its advice. An ended context is the
// cause of whatever else failed at that moment.
func explain(ctx context.Context, doing string, peer Peer, err error, advise Advice) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s: %w", doing, cause)
	}
	var classified *sdk.Error
	if errors.As(err, &classified) {
		return err
	}
	kind, advice := peer.Classify(err)
	if server := new(pgconn.PgError); advise != nil && errors.As(err, &server) {
		if better, text, ok := advise(server); ok {
			kind, advice = better, text
		}
	}
	if advice != "" {
		return sdk.Errorf(kind, "%s: %w: %s", doing, WithDetail(err), advice)
	}
	return sdk.Errorf(kind, "%s: %w", doing, WithDetail(err))
}
