package pipeline

import (
	"context"
	"io"
	"slices"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// Restore runs sink → transforms reversed → target: what the selections name
// in the line's first sink is decoded and put into another sink. Receipts tell,
// as their source, what was read of the store.
func (e *Engine) Restore(ctx context.Context, line Line, selections []host.Selection, target Stage, observe Observer) error {
	nodes, err := e.launch(ctx, line.Server, fromStore(line, target)...)
	if err != nil {
		return err
	}
	defer stop(nodes)
	absorber := nodes[len(nodes)-1]
	absorber.operation = host.Put()
	absorber.lanes = host.Lanes{Inputs: e.addresses(line.lanes()), NoRing: e.noRing}
	e.wireFromStore(line, nodes[:len(nodes)-1], selections, absorber.lanes.Inputs)
	absorber.events.Progress = observe.progress
	runCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	failed := observe.check(nodes[0], cancel)
	r, _ := e.begin(runCtx, nodes)
	err = interrupted(runCtx, r.wait())
	if *failed != nil {
		return *failed
	}
	return err
}

// check has receipts of what a store gave looked at; the error that comes of it
// ends the pipeline and is in failed by its end.
func (o Observer) check(store *node, cancel context.CancelCauseFunc) (failed *error) {
	failed = new(error)
	store.events.Receipts = func(receipts []sdk.Receipt) {
		if o.Receipts == nil || *failed != nil {
			return
		}
		if *failed = o.Receipts(receipts); *failed != nil {
			cancel(*failed)
		}
	}
	return failed
}

// Read runs sink → transforms reversed → the core: take is called for every
// object and must read it to its end, for several at once when the line has
// several lanes. The first error of take ends it.
func (e *Engine) Read(ctx context.Context, line Line, selections []host.Selection, take func(ctx context.Context, o sdk.Object, r io.Reader) error) error {
	return e.ReadObserved(ctx, line, selections, Observer{}, take)
}

// ReadObserved is Read with an observer's Receipts, which tell as their source
// what was read of the store.
func (e *Engine) ReadObserved(ctx context.Context, line Line, selections []host.Selection, observe Observer, take func(ctx context.Context, o sdk.Object, r io.Reader) error) error {
	nodes, err := e.launch(ctx, line.Server, fromStore(line)...)
	if err != nil {
		return err
	}
	defer stop(nodes)
	inputs := e.addresses(line.lanes())
	absorber, err := host.ListenAbsorber(host.Lanes{Inputs: inputs, NoRing: e.noRing})
	if err != nil {
		return err
	}
	e.wireFromStore(line, nodes, selections, inputs)
	readCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	failed := observe.check(nodes[0], cancel)
	r, runCtx := e.begin(readCtx, nodes)
	r.goes("barman", false, func() error { return absorber.Absorb(runCtx, take) })
	err = interrupted(readCtx, r.wait())
	if *failed != nil {
		return *failed
	}
	return err
}

// fromStore lists the stages on the way back, and what comes after them.
func fromStore(line Line, more ...Stage) []Stage {
	// A sink that is optional on the way in is needed on the way back.
	from := line.Sinks[0]
	from.Optional = false
	stages := []Stage{from}
	reversed := slices.Clone(line.Transforms)
	slices.Reverse(reversed)
	return append(append(stages, reversed...), more...)
}

func (e *Engine) wireFromStore(line Line, nodes []*node, selections []host.Selection, end []string) {
	store, transforms := nodes[0], nodes[1:]
	for _, t := range transforms {
		t.operation = host.Decode()
	}
	store.operation = host.Read(selections)
	store.lanes = host.Lanes{
		Outputs: e.chain(line.lanes(), transforms, []host.Output{{Lanes: end, Required: true}}), NoRing: e.noRing,
	}
}

// Find lists what a sink stores under any of the prefixes, one prefix after the
// other.
func (e *Engine) Find(ctx context.Context, server sdk.Server, sink Stage, prefixes ...string) ([]sdk.Object, error) {
	nodes, err := e.launch(ctx, server, sink)
	if err != nil {
		return nil, err
	}
	defer stop(nodes)
	var found []sdk.Object
	for _, prefix := range prefixes {
		for object, err := range nodes[0].plugin.List(ctx, prefix) {
			if err != nil {
				return nil, &Failure{Stage: sink.label(), Err: err}
			}
			found = append(found, object)
		}
	}
	return found, nil
}
