package pipeline

import (
	"context"
	"errors"
	"io"
	"sync"

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

	mu     sync.Mutex
	failed error
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
// with a receipt from each sink that does. Only one Put or Send runs at a time.
// After an error, the end of ctx included, the writer is of no more use: it says
// the same again and must be closed.
func (w *Writer) Put(ctx context.Context, o sdk.Object, r io.Reader) ([]sdk.Receipt, error) {
	sent, err := w.Send(ctx, o, r, true)
	if err != nil {
		return nil, err
	}
	return sent.Wait(ctx)
}

// Sent is an object on its way through a pipeline.
type Sent struct {
	writer *Writer
	sent   *host.Sent
}

// Send is Put that does not wait: it returns when the object is on its way. sync
// asks the sinks not to put off making it durable, and all that was sent before
// it; without it they do so in their own time, at the latest when the writer is
// closed. Objects arrive in the order in which they are sent.
func (w *Writer) Send(ctx context.Context, o sdk.Object, r io.Reader, sync bool) (*Sent, error) {
	if err := w.failure(); err != nil {
		return nil, err
	}
	sent, err := w.emitter.Send(ctx, o, r, sync)
	if err != nil {
		return nil, w.fail(ctx, err)
	}
	return &Sent{writer: w, sent: sent}, nil
}

// Wait returns when every required sink holds the object durably, with a receipt
// from each sink that does. It is called once, from any goroutine. Its error is
// the writer's, after which that is of no more use.
func (s *Sent) Wait(ctx context.Context) ([]sdk.Receipt, error) {
	receipts, err := s.sent.Wait(ctx)
	if err != nil {
		return nil, s.writer.fail(ctx, err)
	}
	return s.writer.store.number(receipts), nil
}

// fail ends the pipeline and returns why it failed, the same for all who ask.
func (w *Writer) fail(ctx context.Context, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = interrupted(ctx, w.explain(errors.Join(err, w.emitter.Abort(err))))
	}
	return w.failed
}

func (w *Writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
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
	if w.failure() != nil {
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
