package wire

import (
	"context"
	"errors"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/barman-go/barman/sdk/proto"
)

// ProtocolVersion is the version of the control connection's protocol. It
// changes only with a break; docs/plugins.md keeps the table of versions.
const ProtocolVersion = 1

// PluginName is the one name under which a plugin serves its stage.
const PluginName = "stage"

// Handshake makes a plugin that is started by hand say so, and one of another
// protocol version be refused. It is no protection.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  ProtocolVersion,
	MagicCookieKey:   "BARMAN_PLUGIN",
	MagicCookieValue: "7e1f3c9a-barman-stage",
}

// Protocol ties the stage service to go-plugin, at both ends.
type Protocol struct {
	plugin.NetRPCUnsupportedPlugin
	// Stage is the plugin's implementation; nil at the core's end.
	Stage proto.StageServer
}

// GRPCServer registers the plugin's implementation.
func (p Protocol) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	if p.Stage == nil {
		return errors.New("no stage to serve")
	}
	proto.RegisterStageServer(s, p.Stage)
	return nil
}

// Connection is the core's end of the control connection.
type Connection struct {
	proto.StageClient
	health grpc_health_v1.HealthClient
}

// Ping asks the plugin for a sign of life: the standard health check, which
// every plugin answers.
func (c Connection) Ping(ctx context.Context) error {
	_, err := c.health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	return err
}

// GRPCClient returns the core's Connection.
func (p Protocol) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return Connection{StageClient: proto.NewStageClient(conn), health: grpc_health_v1.NewHealthClient(conn)}, nil
}
