package pipeline

import (
	"context"
	"errors"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// Writer is a running pipeline whose emitter is the core: one WAL segment after
// the other goes through it without a new start of the plugins.
type Writer struct {
	nodes   []*node
	store   store
	run     *run
	ctx     context.Context
	emitter *host.Emitter
	suffix  string
	failed  error
}

// Suffix is what the transforms would append to names: it tells how objects are
// encoded.
func (w *Writer) Suffix() string { return w.suffix }

// OpenWriter starts transforms → sinks. Objects keep their names whatever the
// transforms' suffixes. The caller must Close the writer. When ctx ends so does
// the pipeline.
func (e *Engine) OpenWriter(ctx context.Context, line Line, observe Observer) (*Writer, error) {
	nodes, err := e.launch(ctx, line.Server, append(append([]Stage{}, line.Transforms...), line.Sinks...)...)
	if err != nil {
		return nil, err
	}
	transforms, sinks := nodes[:len(line.Transforms)], nodes[len(line.Transforms):]
	store := e.toStore(line, transforms, sinks, true)
	if len(transforms) > 0 {
		store.observe(transforms[len(transforms)-1], observe)
	} else {
		store.lost(observe)
	}
	r, runCtx := e.begin(ctx, nodes)
	w := &Writer{nodes: nodes, store: store, run: r, ctx: ctx}
	for _, t := range transforms {
		w.suffix += t.suffix
	}
	w.emitter, err = host.DialEmitter(runCtx, host.Lanes{Outputs: store.entrance, NoRing: e.noRing}, func(output int, err error) {
		if len(transforms) == 0 {
			store.lose(observe, output, err.Error())
		}
	})
	if err != nil {
		r.cancel(errStopped)
		return nil, errors.Join(w.explain(err), w.end())
	}
	return w, nil
}

// Put sends an object and returns when every required sink holds it durably,
// with a receipt from each sink that does. Only one Put runs at a time. After an
// error, the end of ctx included, the writer is of no more use: it says the same
// again and must be closed.
func (w *Writer) Put(ctx context.Context, o sdk.Object, r io.Reader) ([]sdk.Receipt, error) {
	if w.failed != nil {
		return nil, w.failed
	}
	receipts, err := w.emitter.Emit(ctx, o, r)
	if err == nil {
		return w.store.number(receipts), nil
	}
	w.failed = interrupted(ctx, w.explain(errors.Join(err, w.emitter.Abort(err))))
	return nil, w.failed
}

// explain waits for the stages to end and prefers their own error to the echo
// that the core's end of the lane got.
func (w *Writer) explain(err error) error {
	if !isEcho(err) && w.ctx.Err() == nil {
		// The core's own fault: the object could not be read, for instance.
		w.run.cancel(errStopped)
		w.run.group.Wait()
		return err
	}
	if reason := w.run.wait(); reason != nil {
		err = reason
	}
	return interrupted(w.ctx, err)
}

// Close ends the pipeline and stops its plugins. After a Put that failed, whose
// error says it all, it returns nil. It is called once.
func (w *Writer) Close() error {
	if w.failed != nil {
		return w.end()
	}
	if err := w.emitter.Close(); err != nil {
		return errors.Join(w.explain(err), w.end())
	}
	return errors.Join(interrupted(w.ctx, w.run.wait()), w.end())
}

func (w *Writer) end() error {
	w.run.cancel(nil)
	stop(w.nodes)
	return nil
}
