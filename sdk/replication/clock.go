package replication

import (
	"context"
	"fmt"
	"time"

	"github.com/barman-go/barman/sdk"
)

// SQL runs one query on an ordinary connection, opened for it and closed
// again: a few facts cannot be had through the replication protocol.
func SQL(ctx context.Context, conninfo sdk.Secret, applicationName, query string) ([]Row, error) {
	c, err := ConnectSQL(ctx, conninfo, applicationName)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Query(ctx, query)
}

// Clock tells the server's time without asking again. It advances with the
// monotonic clock of this machine, so that setting that one changes nothing.
type Clock struct{ server, local time.Time }

// LocalClock is a clock that follows this machine.
func LocalClock() Clock {
	now := time.Now()
	return Clock{server: now, local: now}
}

// ServerClock reads the server's clock once, through an ordinary connection.
// It may be late by the time that took, and is never early: a moment taken
// from it lies after what had happened on the server by then.
func ServerClock(ctx context.Context, conninfo sdk.Secret, applicationName string) (Clock, error) {
	asked := time.Now()
	rows, err := SQL(ctx, conninfo, applicationName, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
	if err != nil {
		return Clock{}, err
	}
	var micros int64
	if len(rows) != 1 || len(rows[0]) != 1 {
		return Clock{}, fmt.Errorf("server's clock: the answer has an unknown form")
	}
	if _, err := fmt.Sscan(rows[0][0], &micros); err != nil {
		return Clock{}, fmt.Errorf("server's clock: %w", err)
	}
	return Clock{server: time.UnixMicro(micros), local: asked}, nil
}

// Now returns the server's time.
func (c Clock) Now() time.Time { return c.server.Add(time.Since(c.local)) }
