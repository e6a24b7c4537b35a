package pipeline

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/core/stage"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/schema"
)

// Launcher starts a plugin.
type Launcher interface {
	Launch(kind, name string) (*host.Stage, error)
}

// Engine runs pipelines. It may run several at once.
type Engine struct {
	launcher     Launcher
	runDirectory string
	logger       hclog.Logger
	noRing       bool
	sockets      atomic.Int64
}

// New makes an engine whose sockets live in a run directory.
func New(launcher Launcher, runDirectory string, logger hclog.Logger) *Engine {
	return &Engine{launcher: launcher, runDirectory: runDirectory, logger: logger}
}

// NoRing keeps all bytes on sockets, for comparison and for places without
// shared memory.
func (e *Engine) NoRing() { e.noRing = true }

// node is a stage that takes part in one run of a pipeline.
type node struct {
	Stage
	plugin    *host.Stage
	suffix    string
	bucket    bool
	landing   bool
	operation host.Operation
	lanes     host.Lanes
	events    host.Events
	absent    error // why an optional stage takes no part

	ended   chan struct{} // closed when the operation has ended
	failure error         // how, readable after ended
}

// launch starts and configures all stages, side by side. An optional one that
// does not start is absent; what is wrong with the others comes back at once.
// The caller must stop them.
func (e *Engine) launch(ctx context.Context, server sdk.Server, stages ...Stage) ([]*node, error) {
	nodes, failures := make([]*node, len(stages)), make([]error, len(stages))
	var group sync.WaitGroup
	for i, s := range stages {
		group.Go(func() {
			n := &node{Stage: s, ended: make(chan struct{})}
			nodes[i] = n
			switch err := e.start(ctx, server, n); {
			case err != nil && s.Optional:
				n.absent = err
			case err != nil:
				failures[i] = &Failure{Stage: s.label(), Err: err}
			}
		})
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		stop(nodes)
		return nil, err
	}
	return nodes, nil
}

func (e *Engine) start(ctx context.Context, server sdk.Server, n *node) error {
	plugin, err := e.launcher.Launch(n.Kind, n.Name)
	if sdk.KindOf(err) == sdk.NotFound {
		return n.Settings.Diagnose(schema.Diagnostics{{Summary: "Unknown plugin", Detail: err.Error()}})
	}
	if err != nil {
		return err
	}
	n.plugin = plugin
	described, err := plugin.Describe(ctx)
	if err != nil {
		return err
	}
	if described.Kind != n.Kind {
		return sdk.Errorf(sdk.Invalid, "the plugin is a %s, not a %s", described.Kind, n.Kind)
	}
	settings, err := n.Settings.Decode(described.Schema)
	if err != nil {
		return err
	}
	suffix, diagnostics, err := plugin.Configure(ctx, settings, server)
	if err != nil {
		return err
	}
	if len(diagnostics) > 0 {
		return n.Settings.Diagnose(diagnostics)
	}
	n.suffix, n.bucket, n.landing = suffix, described.Bucket, described.Landing
	return nil
}

func stop(nodes []*node) {
	var group errgroup.Group
	for _, n := range nodes {
		if n != nil && n.plugin != nil {
			group.Go(func() error { n.plugin.Stop(); return nil })
		}
	}
	_ = group.Wait()
}

// addresses makes new socket names, one for each lane of a hop.
func (e *Engine) addresses(lanes int) []string {
	hop := e.sockets.Add(1)
	a := make([]string, lanes)
	for i := range a {
		a[i] = filepath.Join(e.runDirectory, fmt.Sprintf("%d.%d", hop, i))
	}
	return a
}

// chain wires nodes one behind the other, the outputs of the last leading to
// ends, and returns where the first one listens.
func (e *Engine) chain(lanes int, nodes []*node, ends []host.Output) []host.Output {
	for i := len(nodes) - 1; i >= 0; i-- {
		nodes[i].lanes = host.Lanes{Inputs: e.addresses(lanes), Outputs: ends, NoRing: e.noRing}
		ends = []host.Output{{Lanes: nodes[i].lanes.Inputs, Required: true}}
	}
	return ends
}

// echoPatience is how long the stage that caused an echo may take to say so.
const echoPatience = time.Second

// run carries out the operations of all nodes, and of the core's own end if
// there is one, and returns when all have ended.
type run struct {
	cancel context.CancelCauseFunc
	group  sync.WaitGroup

	mu       sync.Mutex
	failures []*Failure
}

func (e *Engine) begin(ctx context.Context, nodes []*node) (*run, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &run{cancel: cancel}
	for _, n := range nodes {
		if n.absent != nil {
			continue
		}
		r.goes(n.label(), n.Optional, func() error {
			defer close(n.ended)
			n.failure = n.plugin.Run(ctx, n.operation, n.lanes, n.events)
			return n.failure
		})
	}
	return r, ctx
}

// goes runs one part of a pipeline beside the others.
func (r *run) goes(label string, optional bool, part func() error) {
	r.group.Go(func() {
		err := part()
		if err == nil || optional {
			return
		}
		r.mu.Lock()
		r.failures = append(r.failures, &Failure{Stage: label, Err: err})
		r.mu.Unlock()
		if isEcho(err) {
			// The cause is about to be heard from another stage.
			time.AfterFunc(echoPatience, func() { r.cancel(errStopped) })
			return
		}
		r.cancel(errStopped)
	})
}

// wait waits for all parts and returns the cause of the failure, if any.
func (r *run) wait() error {
	r.group.Wait()
	r.cancel(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	return cause(r.failures)
}

// interrupted prefers the reason for which the caller stopped the pipeline.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || !isEcho(err) {
		return err
	}
	return &sdk.Error{Kind: sdk.Cancelled, Err: context.Cause(ctx)}
}

// Describe starts a plugin to ask it who it is.
func (e *Engine) Describe(ctx context.Context, kind, name string) (host.Description, error) {
	plugin, err := e.launcher.Launch(kind, name)
	if err != nil {
		return host.Description{}, err
	}
	defer plugin.Stop()
	return plugin.Describe(ctx)
}

// Check starts and configures every stage of a line, and stops them again. All
// that is wrong comes back at once.
func (e *Engine) Check(ctx context.Context, server sdk.Server, stages ...Stage) error {
	nodes, err := e.launch(ctx, server, stages...)
	stop(nodes)
	return err
}

var _ Launcher = stage.Launcher{}
