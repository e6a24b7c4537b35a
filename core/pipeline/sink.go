package pipeline

import (
	"context"
	"io"
	"iter"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// Sink is a running sink whose objects are listed, read as they are stored, and
// deleted, without a pipeline.
type Sink struct {
	engine *Engine
	node   *node
}

// OpenSink starts a sink. The caller must Close it.
func (e *Engine) OpenSink(ctx context.Context, server sdk.Server, sink Stage) (*Sink, error) {
	sink.Optional = false
	nodes, err := e.launch(ctx, server, sink)
	if err != nil {
		return nil, err
	}
	return &Sink{e, nodes[0]}, nil
}

// Bucket tells whether the sink's store is a bucket.
func (s *Sink) Bucket() bool { return s.node.bucket }

// List yields the objects whose names begin with prefix in ascending order of
// their names. An error ends the list.
func (s *Sink) List(ctx context.Context, prefix string) iter.Seq2[sdk.Object, error] {
	return func(yield func(sdk.Object, error) bool) {
		for object, err := range s.node.plugin.List(ctx, prefix) {
			if err != nil {
				yield(sdk.Object{}, &Failure{Stage: s.node.label(), Err: err})
				return
			}
			if !yield(object, nil) {
				return
			}
		}
	}
}

// Delete removes objects durably; missing ones are no error. After an error any
// of them may be gone.
func (s *Sink) Delete(ctx context.Context, names []string) error {
	if err := s.node.plugin.Delete(ctx, names); err != nil {
		return &Failure{Stage: s.node.label(), Err: err}
	}
	return nil
}

// Read hands over what the selections name, as many objects side by side as there
// are lanes: take must read each to its end. The first error, that of take
// included, ends it. Only one Read runs at a time.
func (s *Sink) Read(ctx context.Context, selections []host.Selection, lanes int, take func(ctx context.Context, o sdk.Object, r io.Reader) error) error {
	inputs := s.engine.addresses(lanes)
	absorber, err := host.ListenAbsorber(host.Lanes{Inputs: inputs, NoRing: s.engine.noRing})
	if err != nil {
		return err
	}
	reading := &node{Stage: s.node.Stage, plugin: s.node.plugin, operation: host.Read(selections), ended: make(chan struct{})}
	reading.lanes = host.Lanes{Outputs: []host.Output{{Lanes: inputs, Required: true}}, NoRing: s.engine.noRing}
	r, runCtx := s.engine.begin(ctx, []*node{reading})
	r.goes("barman", false, func() error { return absorber.Absorb(runCtx, take) })
	return interrupted(ctx, r.wait())
}

// Close stops the sink.
func (s *Sink) Close() { stop([]*node{s.node}) }
