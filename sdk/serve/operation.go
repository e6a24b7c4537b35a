package serve

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/internal/wire"
	"github.com/barman-go/barman/sdk/proto"
	"github.com/barman-go/barman/sdk/wal"
)

// progressEvery is how often a running stage gives a sign of life.
const progressEvery = 200 * time.Millisecond

// operation is one Run: its lanes, its counters, its events.
type operation struct {
	request *proto.RunRequest
	meter   *wire.Meter

	mu       sync.Mutex
	stream   grpc.ServerStreamingServer[proto.Event]
	receipts []*proto.Receipt
}

func newOperation(request *proto.RunRequest, stream grpc.ServerStreamingServer[proto.Event]) *operation {
	return &operation{request: request, stream: stream, meter: new(wire.Meter)}
}

// send sends an event. A core that no longer listens has cancelled the context
// as well, and there the operation notices.
func (p *operation) send(event *proto.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.stream.Send(event)
}

func (p *operation) progress() {
	p.send(&proto.Event{Event: &proto.Event_Progress{Progress: &proto.Progress{
		Objects: p.meter.Objects.Load(), Bytes: p.meter.Bytes.Load(), Expected: p.meter.Expected.Load(),
	}}})
}

// keepReceipts gathers receipts for the core, so that many small objects do
// not mean many small messages.
func (p *operation) keepReceipts(receipts []sdk.Receipt) {
	const batch = 256
	p.mu.Lock()
	for _, r := range receipts {
		p.receipts = append(p.receipts, wire.ReceiptToProto(r))
	}
	full := len(p.receipts) >= batch
	p.mu.Unlock()
	if full {
		p.sendReceipts()
	}
}

func (p *operation) sendReceipts() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.receipts) == 0 {
		return
	}
	_ = p.stream.Send(&proto.Event{Event: &proto.Event_Receipts{Receipts: &proto.Receipts{Receipts: p.receipts}}})
	p.receipts = nil
}

// perform carries out the operation with a sign of life all along.
func (p *operation) perform(ctx context.Context, r role) error {
	inlet, err := wire.Listen(p.request.Inputs, p.request.NoRing)
	if err != nil {
		return err
	}
	// The first sign of life tells the core that the operation can be cancelled.
	p.progress()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				p.sendReceipts()
				p.progress()
			case <-stop:
				return
			}
		}
	}()
	err = p.dispatch(ctx, r, inlet)
	close(stop)
	<-stopped
	p.sendReceipts()
	p.progress()
	return errors.Join(err, inlet.Close())
}

func (p *operation) dispatch(ctx context.Context, r role, inlet *wire.Inlet) error {
	switch op := p.request.Operation.(type) {
	case *proto.RunRequest_Receive:
		if r.wal == nil {
			return sdk.Errorf(sdk.Invalid, "this stage does not receive WAL")
		}
		return r.wal.Receive(ctx, sdk.ReceiveRequest{
			Directory: op.Receive.Directory, SegmentSize: wal.SegmentSize(op.Receive.SegmentSize), Synchronous: op.Receive.Synchronous,
		}, p.walProgress)
	case *proto.RunRequest_Put:
		if r.sink == nil {
			return sdk.Errorf(sdk.Invalid, "this stage does not store objects")
		}
		return wire.Absorb(ctx, inlet, r.sink, p.meter)
	case *proto.RunRequest_Encode:
		return p.transform(ctx, r, inlet, func(t sdk.Transform) wire.Step { return wire.Encoding(t, op.Encode.KeepNames) })
	case *proto.RunRequest_Decode:
		return p.transform(ctx, r, inlet, wire.Decoding)
	case *proto.RunRequest_Read:
		if r.sink == nil {
			return sdk.Errorf(sdk.Invalid, "this stage does not store objects")
		}
		return p.emit(ctx, func(ctx context.Context, out *wire.Outlet) error {
			return wire.Read(ctx, r.sink, op.Read.Selections, out)
		})
	case *proto.RunRequest_Backup:
		if r.backup == nil {
			return sdk.Errorf(sdk.Invalid, "this stage does not take base backups")
		}
		if op.Backup.Landing != nil {
			return p.land(ctx, r.backup, op.Backup)
		}
		return p.emit(ctx, func(ctx context.Context, out *wire.Outlet) error { return p.backup(ctx, r.backup, op.Backup, out) })
	}
	return sdk.Errorf(sdk.Invalid, "an operation that this stage does not know; it may be older than the core")
}

func (p *operation) transform(ctx context.Context, r role, inlet *wire.Inlet, step func(sdk.Transform) wire.Step) error {
	if r.transform == nil {
		return sdk.Errorf(sdk.Invalid, "this stage does not transform objects")
	}
	out, err := p.dial(ctx)
	if err != nil {
		return err
	}
	return wire.Transform(ctx, inlet, out, step(r.transform))
}

// emit runs an emitter and closes the lanes: normally only if all went well.
func (p *operation) emit(ctx context.Context, run func(context.Context, *wire.Outlet) error) error {
	out, err := p.dial(ctx)
	if err != nil {
		return err
	}
	runCtx, cancel := out.Context(ctx)
	defer cancel()
	if err := run(runCtx, out); err != nil {
		err = out.Cause(err)
		return errors.Join(err, out.Abort(err))
	}
	return out.Close()
}

func (p *operation) backup(ctx context.Context, source sdk.BackupSource, request *proto.Backup, out *wire.Outlet) error {
	result, err := source.Backup(ctx, backupRequest(request, len(p.request.Outputs[0].Lanes)), emitter{out: out, meter: p.meter})
	if err != nil {
		return err
	}
	p.send(&proto.Event{Event: &proto.Event_Backup{Backup: resultToProto(result)}})
	return nil
}

func backupRequest(request *proto.Backup, jobs int) sdk.BackupRequest {
	return sdk.BackupRequest{
		Prefix: request.Prefix, Label: request.Label, Layout: sdk.BackupLayout(request.Layout), Jobs: jobs, ArchiveSize: request.ArchiveSize,
	}
}

func (p *operation) walProgress(w sdk.WALProgress) {
	p.send(&proto.Event{Event: &proto.Event_Wal{Wal: &proto.WalProgress{
		Timeline: uint32(w.Timeline), Flushed: uint64(w.Flushed), Finished: w.Finished,
	}}})
}

func (p *operation) dial(ctx context.Context) (*wire.Outlet, error) {
	var outputs []wire.Output
	for _, o := range p.request.Outputs {
		if len(o.Lanes) == 0 || len(o.Lanes) != len(p.request.Outputs[0].Lanes) {
			return nil, sdk.Errorf(sdk.Invalid, "outputs with different numbers of lanes")
		}
		outputs = append(outputs, wire.Output{Lanes: o.Lanes, Required: o.Required})
	}
	return wire.Dial(ctx, outputs, wire.OutletOptions{
		NoRing: p.request.NoRing, Meter: p.meter, Receipts: p.keepReceipts,
		Lost: func(output int, err error) {
			p.send(&proto.Event{Event: &proto.Event_LostOutput{LostOutput: &proto.LostOutput{Output: uint32(output), Message: err.Error()}}})
		},
	})
}
