package sdktest

import (
	"context"
	"io"
	"strings"
	"sync/atomic"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/internal/wire"
)

// durableLate is a sink whose objects are durable only once it was flushed.
type durableLate struct {
	taker
	flushed atomic.Int64
	taken   atomic.Int64
}

func (d *durableLate) Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	receipt, err := d.taker.Put(ctx, o, r)
	d.taken.Add(1)
	return receipt, err
}

func (d *durableLate) Flush(context.Context) error {
	d.flushed.Store(d.taken.Load())
	return nil
}

func discard(_ sdk.Object, r io.Reader) error {
	if r == nil {
		return nil
	}
	_, err := io.Copy(io.Discard, r)
	return err
}

func (s subject) transformAck(t T) {
	sink := &durableLate{taker: discard}
	steps, suffix := s.both(t)
	receipts := newReceiptBook()
	sent := file("a", content{seed: 1, size: 1 << 20, fill: text})
	o := s.run(t, line{
		steps: steps[:1], take: absorbing(false, sink),
		emit: emitting(false, receipts.add, func(ctx context.Context, out *wire.Outlet) error {
			got, err := out.EmitDurable(ctx, sent.object, sent.reader())
			if err != nil {
				return err
			}
			if sink.flushed.Load() != 1 {
				t.Errorf("the object was acknowledged before the sink was flushed")
			}
			if len(got) != 1 || got[0].Name != "a"+suffix || got[0].SourceName != "a" {
				t.Errorf("the receipts are %+v", got)
			}
			return nil
		}),
	})
	if err := o.err(); err != nil {
		t.Fatalf("%v", err)
	}
	receipts.compare(t, []piece{sent})
}

// Only what Encode made can be decoded, so the faults in the middle of an
// object are Encode's.
func (s subject) transformCancel(t T) {
	kept := &shelf{}
	s.cancel(t, s.open(t), host.Encode(false), "half", taking(false, kept.take))
	s.nothingComplete(t, kept)
}

func (s subject) nothingComplete(t T, kept *shelf) {
	t.Helper()
	for _, o := range kept.order {
		if strings.HasPrefix(o.Name, "half") {
			t.Errorf("the object %q looks complete behind the plugin", o.Name)
		}
	}
}

func (s subject) transformAborted(t T) {
	kept := &shelf{}
	encoding := &step{session: s.open(t), operation: host.Encode(false)}
	o := s.run(t, line{emit: breakOff("half"), steps: []*step{encoding}, take: taking(false, kept.take)})
	wantKind(t, "the operation", encoding.err, sdk.Disconnected)
	wantKind(t, "the absorber behind", o.take, sdk.Disconnected)
	s.nothingComplete(t, kept)
}

func (s subject) transformVanished(t T) {
	session := s.open(t)
	for _, half := range []string{"half", ""} {
		kept := &shelf{}
		encoding := &step{session: session, operation: host.Encode(false)}
		o := s.run(t, line{emit: vanish("whole", half), steps: []*step{encoding}, take: taking(false, kept.take)})
		wantKind(t, "the operation", encoding.err, sdk.Disconnected)
		wantKind(t, "the absorber behind", o.take, sdk.Disconnected)
		s.nothingComplete(t, kept)
	}
}

func (s subject) transformRefused(t T) {
	kept := &shelf{}
	encoding := &step{session: s.open(t), operation: host.Encode(false)}
	o := s.run(t, line{
		emit: streamEndlessly("half", nil), steps: []*step{encoding}, patience: s.brief(),
		take: refuse(func(string) bool { return true }, kept),
	})
	wantKind(t, "the operation", encoding.err, sdk.Disconnected)
	wantKind(t, "the emitter before", o.emit, sdk.Disconnected)
	wantKind(t, "the absorber behind", o.take, sdk.Denied)

	// Nobody sends anything any more: the emitter waits for the acknowledgement.
	waiting := &step{session: s.open(t), operation: host.Encode(false)}
	o = s.run(t, line{
		emit: emitting(false, nil, func(ctx context.Context, out *wire.Outlet) error {
			_, err := out.EmitDurable(ctx, sdk.Object{Name: "half", Size: 1}, strings.NewReader("x"))
			return err
		}),
		steps: []*step{waiting}, take: refuse(func(string) bool { return true }, kept), patience: s.brief(),
	})
	wantKind(t, "the waiting operation", waiting.err, sdk.Disconnected)
	wantKind(t, "the waiting emitter before", o.emit, sdk.Disconnected)
}

func (s subject) transformSinkVanished(t T) {
	encoding := &step{session: s.open(t), operation: host.Encode(false)}
	o := s.run(t, line{emit: streamEndlessly("half", nil), steps: []*step{encoding}, take: vanishBehind, patience: s.brief()})
	wantKind(t, "the operation", encoding.err, sdk.Disconnected)
	wantKind(t, "the emitter before", o.emit, sdk.Disconnected)
}

func (s subject) transformProgress(t T) {
	s.progresses(t, s.open(t), host.Encode(false), taking(false, discard), "a")
}

func (s subject) transformLeaks(t T) {
	s.leakless(t, func() *session { return s.open(t) }, func(session *session, i int) {
		kept := &shelf{}
		switch i % 3 {
		case 0:
			s.encode(t, session, file("x", content{size: 1 << 20, fill: text}))
		case 1:
			s.cancel(t, session, host.Encode(false), "half", taking(false, kept.take))
		case 2:
			s.run(t, line{emit: breakOff("half"), steps: []*step{{session: session, operation: host.Encode(false)}}, take: taking(false, kept.take)})
		}
	})
}
