package wire

import (
	"context"
	"errors"
	"fmt"
	"io"

	pb "google.golang.org/protobuf/proto"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/lane"
	"github.com/barman-go/barman/sdk/proto"
)

// flushEvery is how many objects a sink gathers before they are made durable
// together. It stays below what a lane lets travel unacknowledged.
const flushEvery = 256

// Absorber is the part of a sink that takes objects.
type Absorber interface {
	Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error)
	Flush(ctx context.Context) error
}

// Absorb puts everything that arrives into a sink and acknowledges each object
// once it is durable. While some objects are made durable the next ones are put.
func Absorb(ctx context.Context, in *Inlet, sink Absorber, meter *Meter) error {
	return in.serve(ctx, func(ctx context.Context, _ int, r *lane.Receiver) error {
		a := &absorption{receiver: r, sink: sink, meter: meter}
		err := a.all(ctx)
		if flushing := a.flushed(); flushing != nil {
			return flushing // it ended the lane
		}
		if err != nil || len(a.waiting) == 0 {
			return err
		}
		return a.commit(ctx, a.waiting)
	})
}

// absorption is one lane's way into a sink.
type absorption struct {
	receiver *lane.Receiver
	sink     Absorber
	meter    *Meter
	waiting  []stored
	// flushing yields the error of the flush that is under way; nil without one.
	flushing chan error
}

// stored is an object that the sink took and that is not yet durable.
type stored struct {
	sequence uint64
	receipt  sdk.Receipt
}

func (a *absorption) all(ctx context.Context) error {
	for {
		object, reader, err := next(a.receiver)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = a.put(ctx, object, reader)
		}
		if err != nil {
			return err
		}
	}
}

func (a *absorption) put(ctx context.Context, object sdk.Object, in *incoming) error {
	in.meter = a.meter
	var r io.Reader = in
	if object.Kind == sdk.KindDirectory || object.Kind == sdk.KindSymlink {
		r = nil
	}
	receipt, err := a.sink.Put(ctx, object, r)
	if in.failure != nil {
		return in.failure
	}
	if err != nil {
		return fmt.Errorf("%s: %w", object.Name, err)
	}
	if err := in.ended("the sink's Put"); err != nil {
		return fmt.Errorf("%s: %w", object.Name, err)
	}
	if got := in.Summary(); receipt.Size != got.Size || receipt.CRC32C != got.CRC32C {
		return sdk.Errorf(sdk.Corrupt, "%s: the sink took %d bytes with CRC-32C %08x, %d with %08x arrived",
			object.Name, receipt.Size, receipt.CRC32C, got.Size, got.CRC32C)
	}
	a.meter.Objects.Add(1)
	a.waiting = append(a.waiting, stored{sequence: in.Sequence, receipt: receipt})
	if in.Sync() || len(a.waiting) >= flushEvery {
		return a.flush(ctx)
	}
	return nil
}

// flush begins to make durable what waits, once the flush before has ended.
func (a *absorption) flush(ctx context.Context) error {
	if err := a.flushed(); err != nil {
		return err
	}
	batch, ended := a.waiting, make(chan error, 1)
	a.waiting, a.flushing = nil, ended
	go func() {
		err := a.commit(ctx, batch)
		if err != nil {
			// Nobody may send anything more, and this end must not wait for it.
			_ = a.receiver.Abort(encodeFault(err)) // both ends know why, whether or not it arrives
		}
		ended <- err
	}()
	return nil
}

// flushed waits for the flush under way.
func (a *absorption) flushed() error {
	if a.flushing == nil {
		return nil
	}
	err := <-a.flushing
	a.flushing = nil
	return err
}

func (a *absorption) commit(ctx context.Context, batch []stored) error {
	if err := a.sink.Flush(ctx); err != nil {
		return err
	}
	for _, s := range batch {
		payload, err := pb.Marshal(&proto.Ack{Receipts: []*proto.Receipt{ReceiptToProto(s.receipt)}})
		if err != nil {
			return fmt.Errorf("receipt of %s: %w", s.receipt.Name, err)
		}
		if err := a.receiver.Ack(s.sequence, payload); err != nil {
			return laneError(err)
		}
	}
	return nil
}
