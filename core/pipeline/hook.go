package pipeline

import (
	"context"

	"github.com/barman-go/barman/sdk"
)

// Hook is a running hook, which can be told of one event after the other.
type Hook struct{ node *node }

// OpenHook starts a hook. The caller must Close it.
func (e *Engine) OpenHook(ctx context.Context, server sdk.Server, hook Stage) (*Hook, error) {
	hook.Optional = false
	nodes, err := e.launch(ctx, server, hook)
	if err != nil {
		return nil, err
	}
	return &Hook{nodes[0]}, nil
}

// Notify tells the hook of an event and returns what it has against that.
func (h *Hook) Notify(ctx context.Context, event sdk.Event) error {
	if err := h.node.plugin.Notify(ctx, event); err != nil {
		return &Failure{Stage: h.node.label(), Err: err}
	}
	return nil
}

// Close stops the hook.
func (h *Hook) Close() { stop([]*node{h.node}) }
