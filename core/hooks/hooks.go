// Package hooks tells a server's hook plugins of events.
package hooks

import (
	"context"
	"fmt"
	"maps"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/version"
	"github.com/barman-go/barman/sdk"
)

// Operations that hooks are told of.
const (
	Backup    = "backup"
	Delete    = "delete"
	Archive   = "archive"
	WALDelete = "wal_delete"
	Recovery  = "recovery"
)

// Hooks are what a server tells of the events of one operation, one event at a
// time. A plugin starts with its first event and runs until Close, so that a
// thousand events cost one start.
type Hooks struct {
	server    *server.Server
	operation string
	pre, post []*hook
}

// hook is a hook block of the configuration.
type hook struct {
	block   config.Hook
	running *pipeline.Hook // nil before the first event, and after one that it failed at
}

// Of returns the hooks that the server has for an operation. It starts nothing.
func Of(s *server.Server, operation string) *Hooks {
	h := &Hooks{server: s, operation: operation}
	for _, block := range s.Config.Hooks {
		switch block.Event {
		case string(sdk.PhasePre) + "_" + operation:
			h.pre = append(h.pre, &hook{block: block})
		case string(sdk.PhasePost) + "_" + operation:
			h.post = append(h.post, &hook{block: block})
		}
	}
	return h
}

// Configured tells whether there is any hook.
func (h *Hooks) Configured() bool { return len(h.pre)+len(h.post) > 0 }

// Before tells the hooks, in the order of the configuration, that the operation
// is about to begin. The first one that objects vetoes it: its error is
// returned, and the others are not told. Every event has the values VERSION and
// CONFIGURATION beside its own.
func (h *Hooks) Before(ctx context.Context, values map[string]string) error {
	for _, hook := range h.pre {
		if err := h.notify(ctx, hook, sdk.PhasePre, values, ""); err != nil {
			return fmt.Errorf("%s: %w", hook.block.Event, err)
		}
	}
	return nil
}

// After tells the hooks that the operation has ended, with what error if that is
// not nil. Errors of the hooks are logged. They are told also when ctx ended
// before.
func (h *Hooks) After(ctx context.Context, values map[string]string, cause error) {
	if ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	text := ""
	if cause != nil {
		text = cause.Error()
	}
	for _, hook := range h.post {
		if err := h.notify(ctx, hook, sdk.PhasePost, values, text); err != nil {
			h.server.Logger.Warn("a hook failed", "hook", hook.block.Event, "error", err)
		}
	}
}

func (h *Hooks) notify(ctx context.Context, hook *hook, phase sdk.HookPhase, own map[string]string, failure string) error {
	values := map[string]string{"VERSION": version.Version, "CONFIGURATION": h.server.ConfigurationPath()}
	maps.Copy(values, own)
	if hook.running == nil {
		running, err := h.server.Engine.OpenHook(ctx, h.server.ForStages(), h.server.Stage(hook.block.Stage))
		if err != nil {
			return err
		}
		hook.running = running
	}
	err := hook.running.Notify(ctx, sdk.Event{Operation: h.operation, Phase: phase, Server: h.server.Name(), Error: failure, Values: values})
	if err != nil {
		// It may have died of it, and the next event finds a new one.
		hook.close()
	}
	return err
}

func (h *hook) close() {
	if h.running != nil {
		h.running.Close()
		h.running = nil
	}
}

// Close stops the plugins. Events that come later start them again.
func (h *Hooks) Close() {
	for _, hook := range append(h.pre[:len(h.pre):len(h.pre)], h.post...) {
		hook.close()
	}
}
