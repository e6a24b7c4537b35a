package wal

import (
	"context"
	"errors"

	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// CreateSlot makes the replication slot that the WAL source is configured with,
// which keeps WAL on the server from then on. It returns the slot's name.
// Errors: Exists, unless ifNotExists.
func CreateSlot(ctx context.Context, s *server.Server, ifNotExists bool) (string, error) {
	return withSlot(ctx, s, func(conn *postgres.Replication, slot string) error {
		return conn.CreatePhysicalSlot(ctx, slot, postgres.SlotOptions{IfNotExists: ifNotExists, ReserveWAL: true})
	})
}

// DropSlot removes the slot: the server keeps WAL for it no longer. It returns
// the slot's name. Errors: NotFound, Busy while somebody streams from it.
func DropSlot(ctx context.Context, s *server.Server) (string, error) {
	return withSlot(ctx, s, func(conn *postgres.Replication, slot string) error {
		return conn.DropSlot(ctx, slot)
	})
}

func withSlot(ctx context.Context, s *server.Server, do func(*postgres.Replication, string) error) (string, error) {
	source, err := s.WALSource(ctx)
	if err != nil {
		return "", err
	}
	if source.Slot == "" {
		return "", sdk.Errorf(sdk.Invalid, "server %q: the WAL source %q has no slot: set slot in its block", s.Name(), s.Config.WAL.Source.Name)
	}
	conn, err := s.ConnectReplication(ctx, source)
	if err != nil {
		return source.Slot, err
	}
	return source.Slot, errors.Join(do(conn, source.Slot), conn.Close())
}
