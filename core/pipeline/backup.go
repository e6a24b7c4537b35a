package pipeline

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// Observer is told of a pipeline's course; nil functions are left out.
type Observer struct {
	Progress func(Progress)
	// Receipts are for objects that are durable in every sink in service.
	Receipts func([]sdk.Receipt) error
	// Lost: an optional sink failed, the others go on.
	Lost func(Lost)
}

func (o Observer) progress(objects, bytes, expected int64) {
	if o.Progress != nil {
		o.Progress(Progress{Objects: objects, Bytes: bytes, Expected: expected})
	}
}

// Backup runs source → transforms → sinks.
func (e *Engine) Backup(ctx context.Context, line Line, request sdk.BackupRequest, observe Observer) (sdk.BackupResult, error) {
	nodes, err := e.launch(ctx, line.Server, append(append([]Stage{line.Source}, line.Transforms...), line.Sinks...)...)
	if err != nil {
		return sdk.BackupResult{}, err
	}
	defer stop(nodes)
	source, transforms, sinks := nodes[0], nodes[1:1+len(line.Transforms)], nodes[1+len(line.Transforms):]
	source.lanes = host.Lanes{Outputs: e.toStore(line, transforms, sinks, false), NoRing: e.noRing}
	source.operation = host.Backup(request)

	var result sdk.BackupResult
	var failed error
	runCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	source.events = host.Events{
		Progress: observe.progress,
		Backup:   func(r sdk.BackupResult) { result = r },
		Receipts: func(receipts []sdk.Receipt) {
			if observe.Receipts == nil || failed != nil {
				return
			}
			if failed = observe.Receipts(receipts); failed != nil {
				cancel(failed)
			}
		},
	}
	fanOut(nodes[len(transforms)], observe)
	r, _ := e.begin(runCtx, nodes)
	err = interrupted(runCtx, r.wait())
	if failed != nil {
		return result, failed
	}
	return result, err
}

// toStore wires transforms and sinks on the way to the store and returns where
// an emitter connects.
func (e *Engine) toStore(line Line, transforms, sinks []*node, keepNames bool) []host.Output {
	var ends []host.Output
	for _, sink := range sinks {
		sink.operation = host.Put()
		sink.lanes = host.Lanes{Inputs: e.addresses(line.lanes()), NoRing: e.noRing}
		ends = append(ends, host.Output{Lanes: sink.lanes.Inputs, Required: !sink.Optional})
	}
	for _, t := range transforms {
		t.operation = host.Encode(keepNames)
	}
	return e.chain(line.lanes(), transforms, ends)
}

// fanOut listens for lost outputs at the stage that feeds the sinks.
func fanOut(last *node, observe Observer) {
	last.events.LostOutput = func(output int, message string) {
		if observe.Lost != nil {
			observe.Lost(Lost{Sink: output, Reason: message})
		}
	}
}
