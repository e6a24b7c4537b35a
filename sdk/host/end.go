package host

import (
	"context"
	"io"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/internal/wire"
)

// Emitter is the core's own emitting end of a pipeline.
type Emitter struct{ outlet *wire.Outlet }

// DialEmitter connects to the first stages of a pipeline. lost is called for an
// output that is not required and fails.
func DialEmitter(ctx context.Context, lanes Lanes, lost func(output int, err error)) (*Emitter, error) {
	var outputs []wire.Output
	for _, o := range lanes.Outputs {
		outputs = append(outputs, wire.Output{Lanes: o.Lanes, Required: o.Required})
	}
	outlet, err := wire.Dial(ctx, outputs, wire.OutletOptions{NoRing: lanes.NoRing, Lost: lost})
	if err != nil {
		return nil, err
	}
	return &Emitter{outlet: outlet}, nil
}

// Emit sends an object and returns when every required sink holds it durably.
func (e *Emitter) Emit(ctx context.Context, o sdk.Object, r io.Reader) ([]sdk.Receipt, error) {
	return e.outlet.EmitDurable(ctx, o, r)
}

// Sent is an object on its way to the sinks.
type Sent struct{ sent *wire.Sent }

// Send sends an object and returns when it is on its way. sync asks the sinks not
// to put off making it durable, and all that was sent before it.
func (e *Emitter) Send(ctx context.Context, o sdk.Object, r io.Reader, sync bool) (*Sent, error) {
	sent, err := e.outlet.Send(ctx, o, r, sync)
	if err != nil {
		return nil, err
	}
	return &Sent{sent}, nil
}

// Wait returns when every required sink holds the object durably. It is called
// once, from any goroutine.
func (s *Sent) Wait(ctx context.Context) ([]sdk.Receipt, error) { return s.sent.Wait(ctx) }

// Close ends the pipeline normally.
func (e *Emitter) Close() error { return e.outlet.Close() }

// Abort ends the pipeline with a reason.
func (e *Emitter) Abort(reason error) error { return e.outlet.Abort(reason) }

// Absorber is the core's own absorbing end of a pipeline.
type Absorber struct{ inlet *wire.Inlet }

// ListenAbsorber creates the lanes' sockets; emitters can connect from then on.
func ListenAbsorber(lanes Lanes) (*Absorber, error) {
	inlet, err := wire.Listen(lanes.Inputs, lanes.NoRing)
	if err != nil {
		return nil, err
	}
	return &Absorber{inlet: inlet}, nil
}

// Absorb hands every object that arrives to take, which must read it to its
// end, until the emitter has closed all lanes.
func (a *Absorber) Absorb(ctx context.Context, take func(ctx context.Context, o sdk.Object, r io.Reader) error) error {
	return wire.Absorb(ctx, a.inlet, taker(take), new(wire.Meter))
}

// Close gives up listening.
func (a *Absorber) Close() error { return a.inlet.Close() }

// taker makes a sink of a function.
type taker func(ctx context.Context, o sdk.Object, r io.Reader) error

func (t taker) Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	if r == nil {
		r = strings.NewReader("")
	}
	meter := wire.NewChecksum(r)
	if err := t(ctx, o, meter); err != nil {
		return sdk.Receipt{}, err
	}
	return sdk.Receipt{Name: o.Name, Size: meter.Size(), CRC32C: meter.CRC32C()}, nil
}

func (taker) Flush(context.Context) error { return nil }
