package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/lane"
)

// Output is where one sink of a pipeline is reached.
type Output struct {
	// Lanes are the addresses, one a lane; every output has as many.
	Lanes []string
	// Required tells that the pipeline fails with this output.
	Required bool
}

// OutletOptions are an outlet's choices.
type OutletOptions struct {
	NoRing bool
	// Meter counts the bytes that are emitted.
	Meter *Meter
	// Receipts is called for every object that is durable in all outputs.
	Receipts func([]sdk.Receipt)
	// Lost is called once for an output that is not required and failed.
	Lost func(output int, err error)
}

// Outlet is the emitting end of a hop: several lanes, each leading to every
// output.
type Outlet struct {
	outputs []Output
	options OutletOptions
	lanes   []*outLane
	idle    chan *outLane

	mu    sync.Mutex
	lost  map[int]error
	ended bool

	fail    sync.Once
	failed  chan struct{} // closed when the pipeline can't succeed any more
	failure error         // why, readable after failed
}

// Dial connects to all outputs.
func Dial(ctx context.Context, outputs []Output, options OutletOptions) (*Outlet, error) {
	o := &Outlet{outputs: outputs, options: options, lost: map[int]error{}, failed: make(chan struct{})}
	if o.options.Meter == nil {
		o.options.Meter = new(Meter)
	}
	if len(outputs) == 0 {
		return nil, sdk.Errorf(sdk.Invalid, "a pipeline without an output")
	}
	for i := range outputs[0].Lanes {
		l := &outLane{outlet: o, pending: map[uint64]*pendingObject{}, senders: make([]*lane.Sender, len(outputs))}
		o.lanes = append(o.lanes, l)
		for k, output := range outputs {
			sender, err := lane.Dial(ctx, output.Lanes[i], lane.Options{NoRing: options.NoRing}, func(sequence uint64, receipt []byte) {
				l.acknowledged(k, sequence, receipt)
			})
			if err == nil {
				l.senders[k] = sender
				go o.watch(k, sender)
				continue
			}
			if err := o.lose(k, laneError(err)); err != nil {
				return nil, errors.Join(err, o.Abort(err))
			}
		}
	}
	o.idle = make(chan *outLane, len(o.lanes))
	for _, l := range o.lanes {
		o.idle <- l
	}
	return o, nil
}

// doom notes the first reason why the pipeline can't succeed any more; nothing
// is emitted after it.
func (o *Outlet) doom(err error) error {
	o.fail.Do(func() {
		o.failure = err
		close(o.failed)
	})
	return err
}

// doomed is the reason, nil while there is none.
func (o *Outlet) doomed() error {
	select {
	case <-o.failed:
		return o.failure
	default:
		return nil
	}
}

// Context returns a context that also ends when the pipeline can't succeed any
// more, so that a stage that waits for something else learns of it. cancel must
// be called.
func (o *Outlet) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-o.failed:
			cancel(o.failure)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Cause returns the reason why the pipeline can't succeed instead of an error
// that is only its echo.
func (o *Outlet) Cause(err error) error {
	doom := o.doomed()
	if doom == nil || err == nil {
		return err
	}
	if kind := sdk.KindOf(err); kind != sdk.Cancelled && kind != sdk.Disconnected {
		return err
	}
	return doom
}

// lose takes an output out of service; for a required one, and for the last
// one, it returns the error.
func (o *Outlet) lose(output int, err error) error {
	if o.outputs[output].Required {
		return o.doom(err)
	}
	o.mu.Lock()
	_, known := o.lost[output]
	o.lost[output] = err
	left := len(o.outputs) - len(o.lost)
	o.mu.Unlock()
	if !known && o.options.Lost != nil {
		o.options.Lost(output, err)
	}
	if left == 0 {
		return o.doom(fmt.Errorf("no output is left: %w", err))
	}
	for _, l := range o.lanes {
		l.settle(output)
	}
	return nil
}

func (o *Outlet) isLost(output int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, lost := o.lost[output]
	return lost
}

// Emit sends an object on a free lane. done is called when the object is
// durable in every output that is still in service; it may be nil.
func (o *Outlet) Emit(ctx context.Context, object sdk.Object, r io.Reader, sync bool, done func([]sdk.Receipt)) error {
	var l *outLane
	select {
	case l = <-o.idle:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { o.idle <- l }()
	if err := o.doomed(); err != nil {
		return err
	}
	w, err := l.begin(object, done)
	if err != nil {
		return err
	}
	// An object that was begun and does not end leaves its lane, and with it the
	// pipeline, unusable.
	if r != nil {
		source := &sourceReader{ctx: ctx, r: r, meter: o.options.Meter}
		if _, err := w.ReadFrom(source); err != nil {
			return o.doom(fmt.Errorf("%s: %w", object.Name, err))
		}
	}
	if err := w.finish(sync); err != nil {
		return o.doom(err)
	}
	return nil
}

// Sent is an object on its way to the outputs.
type Sent struct {
	outlet *Outlet
	name   string
	stored chan []sdk.Receipt
}

// Send sends an object on a free lane, for whoever Waits for it. sync asks the
// outputs not to put off making it durable, and all that was sent before it.
func (o *Outlet) Send(ctx context.Context, object sdk.Object, r io.Reader, sync bool) (*Sent, error) {
	s := &Sent{outlet: o, name: object.Name, stored: make(chan []sdk.Receipt, 1)}
	if err := o.Emit(ctx, object, r, sync, func(receipts []sdk.Receipt) { s.stored <- receipts }); err != nil {
		return nil, err
	}
	return s, nil
}

// Wait waits until every output stored the object. It is called once.
func (s *Sent) Wait(ctx context.Context) ([]sdk.Receipt, error) {
	select {
	case receipts := <-s.stored:
		return s.receipts(receipts)
	default:
	}
	select {
	case receipts := <-s.stored:
		return s.receipts(receipts)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.outlet.failed:
	}
	// What was stored before the pipeline failed is stored nevertheless.
	select {
	case receipts := <-s.stored:
		return s.receipts(receipts)
	default:
		return nil, s.outlet.failure
	}
}

func (s *Sent) receipts(receipts []sdk.Receipt) ([]sdk.Receipt, error) {
	if len(receipts) == 0 {
		return nil, sdk.Errorf(sdk.Unavailable, "%s: no sink is left that stored it", s.name)
	}
	return receipts, nil
}

// EmitDurable sends an object and waits until every output stored it.
func (o *Outlet) EmitDurable(ctx context.Context, object sdk.Object, r io.Reader) ([]sdk.Receipt, error) {
	sent, err := o.Send(ctx, object, r, true)
	if err != nil {
		return nil, err
	}
	return sent.Wait(ctx)
}

// watch takes outputs out of service as soon as their end of a lane is gone.
func (o *Outlet) watch(output int, s *lane.Sender) {
	<-s.Done()
	if s.Err() == nil {
		return
	}
	o.mu.Lock()
	ended := o.ended
	o.mu.Unlock()
	if ended {
		return
	}
	// A pipeline that is doomed by it says so at the next Emit, or in Close.
	_ = o.lose(output, laneError(s.Err()))
}

// Close ends all lanes normally and waits until everything is acknowledged.
func (o *Outlet) Close() error {
	if err := o.doomed(); err != nil {
		return errors.Join(err, o.Abort(err))
	}
	var group errgroup.Group
	for _, l := range o.lanes {
		group.Go(l.close)
	}
	err := group.Wait()
	if err == nil {
		err = o.doomed()
	}
	if err != nil {
		return errors.Join(err, o.Abort(err))
	}
	return nil
}

// Abort ends all lanes with a reason.
func (o *Outlet) Abort(reason error) error {
	o.mu.Lock()
	o.ended = true
	o.mu.Unlock()
	var errs []error
	for _, l := range o.lanes {
		for _, s := range l.senders {
			if s != nil {
				errs = append(errs, s.Abort(encodeFault(reason)))
			}
		}
	}
	return errors.Join(errs...)
}

// sourceReader counts, and stops when the context of its Emit ends.
type sourceReader struct {
	ctx   context.Context
	r     io.Reader
	meter *Meter
}

func (s *sourceReader) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.meter.Bytes.Add(int64(n))
	return n, err
}

// pendingObject is sent and waits for outputs to acknowledge it.
type pendingObject struct {
	waiting  []int
	receipts []sdk.Receipt
	finished bool
	done     func([]sdk.Receipt)
	object   sdk.Object
	summary  lane.Summary
}

func (p *pendingObject) strike(output int) {
	p.waiting = slices.DeleteFunc(p.waiting, func(k int) bool { return k == output })
}
