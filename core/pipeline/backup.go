package pipeline

import (
	"context"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// Observer is told of a pipeline's course; nil functions are left out.
type Observer struct {
	// Progress comes several times a second, and at the end.
	Progress func(Progress)
	// Receipts are for objects that are durable in every sink in service. An error
	// ends the pipeline and is what it returns. Never called after an error, nor
	// twice at once.
	Receipts func([]sdk.Receipt) error
	// Lost is called once for each optional sink that did not start, or that
	// failed while the others go on.
	Lost func(Lost)
}

func (o Observer) progress(objects, bytes, expected int64) {
	if o.Progress != nil {
		o.Progress(Progress{Objects: objects, Bytes: bytes, Expected: expected})
	}
}

// Backup is a pipeline source → transforms → sinks whose plugins run and have
// taken their settings.
type Backup struct {
	engine *Engine
	line   Line
	nodes  []*node
}

// OpenBackup starts the plugins of a line, which learn of nothing to do yet. The
// caller must Close it.
func (e *Engine) OpenBackup(ctx context.Context, line Line) (*Backup, error) {
	nodes, err := e.launch(ctx, line.Server, append(append([]Stage{line.Source}, line.Transforms...), line.Sinks...)...)
	if err != nil {
		return nil, err
	}
	return &Backup{e, line, nodes}, nil
}

// Close stops the plugins.
func (b *Backup) Close() { stop(b.nodes) }

// Buckets tells whether any, and whether all, of the sinks that take part store in
// buckets: backups go there as archives.
func (b *Backup) Buckets() (anyone, all bool) {
	all = true
	for _, n := range b.nodes[1+len(b.line.Transforms):] {
		if n.absent == nil {
			anyone, all = anyone || n.bucket, all && n.bucket
		}
	}
	return anyone, anyone && all
}

// Run copies the server, once. When it returns nil, every object is durable in
// every sink that was not lost, and every receipt was handed to observe. The
// error names the stage that was the cause (see Failure); it is of kind
// Cancelled when ctx ended.
func (b *Backup) Run(ctx context.Context, request sdk.BackupRequest, observe Observer) (sdk.BackupResult, error) {
	e, line, nodes := b.engine, b.line, b.nodes
	source, transforms, sinks := nodes[0], nodes[1:1+len(line.Transforms)], nodes[1+len(line.Transforms):]
	store := e.toStore(line, transforms, sinks, false)
	source.lanes = host.Lanes{Outputs: store.entrance, NoRing: e.noRing}
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
			if failed = observe.Receipts(store.number(receipts)); failed != nil {
				cancel(failed)
			}
		},
	}
	store.observe(nodes[len(transforms)], observe)
	r, _ := e.begin(runCtx, nodes)
	err := interrupted(runCtx, r.wait())
	if failed != nil {
		return result, failed
	}
	return result, err
}

// store is the way into a line's sinks.
type store struct {
	entrance []host.Output // where an emitter connects
	sinks    []*node
	present  []int // the number of the sink behind each output
}

// toStore wires transforms and sinks on the way to the store.
func (e *Engine) toStore(line Line, transforms, sinks []*node, keepNames bool) store {
	s := store{sinks: sinks}
	var ends []host.Output
	for i, sink := range sinks {
		if sink.absent != nil {
			continue
		}
		sink.operation = host.Put()
		sink.lanes = host.Lanes{Inputs: e.addresses(line.lanes()), NoRing: e.noRing}
		ends = append(ends, host.Output{Lanes: sink.lanes.Inputs, Required: !sink.Optional})
		s.present = append(s.present, i)
	}
	for _, t := range transforms {
		t.operation = host.Encode(keepNames)
	}
	s.entrance = e.chain(line.lanes(), transforms, ends)
	return s
}

// observe tells of the sinks that are absent, and has the stage that feeds the
// others tell of those that it loses.
func (s store) observe(feeder *node, observe Observer) {
	s.lost(observe)
	feeder.events.LostOutput = func(output int, message string) { s.lose(observe, output, message) }
}

func (s store) lost(observe Observer) {
	for i, sink := range s.sinks {
		if sink.absent != nil && observe.Lost != nil {
			observe.Lost(Lost{Sink: i, Reason: sink.absent.Error()})
		}
	}
}

func (s store) lose(observe Observer, output int, message string) {
	if observe.Lost != nil && output < len(s.present) {
		sink := s.present[output]
		observe.Lost(Lost{Sink: sink, Reason: s.sinks[sink].reason(message)})
	}
}

// reason is why a sink was lost: its own error, which is about to come, rather
// than what the stage that feeds it saw of it.
func (n *node) reason(seen string) string {
	select {
	case <-n.ended:
		if n.failure != nil && !isEcho(n.failure) {
			return n.failure.Error()
		}
	case <-time.After(echoPatience):
	}
	return seen
}

// number replaces the numbers of outputs by those of the line's sinks.
func (s store) number(receipts []sdk.Receipt) []sdk.Receipt {
	for i := range receipts {
		if receipts[i].Output < len(s.present) {
			receipts[i].Output = s.present[receipts[i].Output]
		}
	}
	return receipts
}
