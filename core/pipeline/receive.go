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

// Notify tells a hook of an event.
func (e *Engine) Notify(ctx context.Context, server sdk.Server, hook Stage, event sdk.Event) error {
	nodes, err := e.launch(ctx, server, hook)
	if err != nil {
		return err
	}
	defer stop(nodes)
	if err := nodes[0].plugin.Notify(ctx, event); err != nil {
		return &Failure{Stage: hook.label(), Err: err}
	}
	return nil
}
