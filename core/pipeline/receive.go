package pipeline

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// Receive runs a WAL source until ctx ends or it fails.
func (e *Engine) Receive(ctx context.Context, server sdk.Server, source Stage, request sdk.ReceiveRequest, report func(sdk.WALProgress)) error {
	nodes, err := e.launch(ctx, server, source)
	if err != nil {
		return err
	}
	defer stop(nodes)
	nodes[0].operation = host.Receive(request)
	nodes[0].events.WAL = report
	r, _ := e.begin(ctx, nodes)
	return r.wait()
}
