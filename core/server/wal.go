package server

import (
	"cmp"
	"context"
	"encoding/json"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/sdk"
)

// receiverName is how a WAL receiver is known to PostgreSQL unless its settings
// say otherwise; it is that of Barman in Python.
const receiverName = "barman_receive_wal"

// WALSource is what the core has to know of the settings of a server's WAL
// source. A source of another kind than pgreceivewal may have none of them.
type WALSource struct {
	// Slot is the replication slot; empty for none.
	Slot string `json:"slot"`
	// CreateSlot is "auto" when the source makes its slot itself.
	CreateSlot string `json:"create_slot"`
	// ApplicationName is the source's name in pg_stat_replication.
	ApplicationName string `json:"application_name"`
	// Conninfo leads to the server by the replication protocol.
	Conninfo sdk.Secret `json:"-"`
}

// WALSource reads the settings of the WAL source, for which its plugin is
// started. A server that does not stream WAL is an error of kind Invalid.
func (s *Server) WALSource(ctx context.Context) (WALSource, error) {
	block := s.Config.WAL.Source
	if block == nil {
		return WALSource{}, sdk.Errorf(sdk.Invalid, "server %q does not stream WAL: its wal block has no source, such as source \"pgreceivewal\" {}", s.Name())
	}
	described, err := s.Engine.Describe(ctx, block.Kind, block.Name)
	if err != nil {
		return WALSource{}, err
	}
	values, diags := block.Decode(described.Schema)
	if err := config.Check(diags, s.loaded.Files()); err != nil {
		return WALSource{}, err
	}
	var settings struct {
		WALSource
		Conninfo string `json:"conninfo"`
	}
	if err := json.Unmarshal(values, &settings); err != nil {
		return WALSource{}, sdk.Errorf(sdk.Invalid, "settings of %s: %w", block, err)
	}
	source := settings.WALSource
	source.ApplicationName = cmp.Or(source.ApplicationName, receiverName)
	source.Conninfo = cmp.Or(sdk.Secret(settings.Conninfo), s.Config.WALStreamingConninfo)
	return source, nil
}

// ConnectReplication opens a connection for the replication protocol to where
// the WAL source receives from.
func (s *Server) ConnectReplication(ctx context.Context, source WALSource) (*postgres.Replication, error) {
	return postgres.ConnectReplication(ctx, source.Conninfo.Reveal(), "barman")
}
