package pipeline

import (
	"context"
	"iter"

	"github.com/barman-go/barman/sdk"
)

// Sink is a running sink whose objects are listed and deleted, without a
// pipeline.
type Sink struct{ node *node }

// OpenSink starts a sink. The caller must Close it.
func (e *Engine) OpenSink(ctx context.Context, server sdk.Server, sink Stage) (*Sink, error) {
	sink.Optional = false
	nodes, err := e.launch(ctx, server, sink)
	if err != nil {
		return nil, err
	}
	return &Sink{nodes[0]}, nil
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

// Close stops the sink.
func (s *Sink) Close() { stop([]*node{s.node}) }
