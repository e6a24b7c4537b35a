package main

import (
	"context"
	"errors"

	"github.com/barman-go/barman/core/postgres"
)

// askPostgreSQL connects to a server, which must be of a supported version, and
// calls ask with the connection and what the server says of itself.
func askPostgreSQL(ctx context.Context, connect func(context.Context) (*postgres.Conn, error), ask func(*postgres.Conn, postgres.Facts) error) (err error) {
	conn, err := connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	facts, err := conn.Facts(ctx)
	if err != nil {
		return err
	}
	if err := facts.Supported(); err != nil {
		return err
	}
	return ask(conn, facts)
}
