package sdktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	pb "google.golang.org/protobuf/proto"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/internal/wire"
	"github.com/barman-go/barman/sdk/lane"
)

// errSource is what a faulty emitter gives as its reason.
var errSource = errors.New("the test's source broke")

// cutAfter is how many bytes of an object flow before a fault.
const cutAfter = 3 << 20

// streamEndlessly emits an object that does not end by itself.
func streamEndlessly(name string, reached func()) func(context.Context, []string) error {
	return emitting(false, nil, func(ctx context.Context, out *wire.Outlet) error {
		return out.Emit(ctx, sdk.Object{Name: name, Size: sdk.SizeUnknown}, &endless{ctx: ctx, after: cutAfter, reached: reached}, false, nil)
	})
}

// breakOff emits an object whose source fails in the middle.
func breakOff(name string) func(context.Context, []string) error {
	return emitting(false, nil, func(ctx context.Context, out *wire.Outlet) error {
		r := io.MultiReader(io.LimitReader(&endless{}, cutAfter), brokenReader{})
		return out.Emit(ctx, sdk.Object{Name: name, Size: sdk.SizeUnknown}, r, false, nil)
	})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errSource }

// vanish sends an object and then goes away without a word: in the middle of a
// second object, or between two.
func vanish(whole, half string) func(context.Context, []string) error {
	return func(ctx context.Context, lanes []string) error {
		ctx, goAway := context.WithCancel(ctx)
		defer goAway()
		acknowledged := make(chan struct{}, 1)
		sender, err := lane.Dial(ctx, lanes[0], lane.Options{}, func(uint64, []byte) { acknowledged <- struct{}{} })
		if err != nil {
			return err
		}
		if err := sendRaw(sender, sdk.Object{Name: whole, Size: 5}, []byte("whole"), true); err != nil {
			return err
		}
		select {
		case <-acknowledged:
		case <-sender.Done():
			return sender.Err()
		}
		if half != "" {
			w, err := beginRaw(sender, sdk.Object{Name: half, Size: sdk.SizeUnknown})
			if err != nil {
				return err
			}
			if _, err := io.CopyN(w, &endless{}, cutAfter); err != nil {
				return err
			}
		}
		goAway()
		<-sender.Done()
		return sdk.Errorf(sdk.Disconnected, "the test's emitter vanished")
	}
}

func beginRaw(sender *lane.Sender, o sdk.Object) (*lane.ObjectWriter, error) {
	header, err := pb.Marshal(wire.ObjectToProto(o))
	if err != nil {
		return nil, err
	}
	return sender.Begin(header)
}

func sendRaw(sender *lane.Sender, o sdk.Object, b []byte, sync bool) error {
	w, err := beginRaw(sender, o)
	if err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	if _, err := w.Seal(); err != nil {
		return err
	}
	return w.Finish(sync)
}

// vanishBehind takes some of the first object and goes away without a word.
func vanishBehind(ctx context.Context, lanes []string) error {
	ctx, goAway := context.WithCancel(ctx)
	defer goAway()
	listener, err := lane.Listen(lanes[0], lane.Options{})
	if err != nil {
		return err
	}
	receiver, err := listener.Accept(ctx)
	if err != nil {
		return err
	}
	in, err := receiver.Next()
	if err == nil {
		_, err = io.ReadFull(in, make([]byte, 1000))
	}
	goAway()
	if err != nil {
		return err
	}
	return sdk.Errorf(sdk.Disconnected, "the test's absorber vanished")
}

// errRefused is what a faulty absorber gives as its reason.
var errRefused = sdk.Errorf(sdk.Denied, "the test's sink refuses")

// refuse is an absorber that denies the object of that name.
func refuse(name func(string) bool, kept *shelf) func(context.Context, []string) error {
	return taking(false, func(o sdk.Object, r io.Reader) error {
		if name(o.Name) {
			return errRefused
		}
		return kept.take(o, r)
	})
}

// cancel cancels an operation in the middle of an object.
func (s subject) cancel(t T, session *session, operation host.Operation, name string, take func(context.Context, []string) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	operated := &step{session: session, operation: operation, ctx: ctx}
	s.run(t, line{emit: streamEndlessly(name, cancel), steps: []*step{operated}, take: take})
	wantKind(t, "the cancelled operation", operated.err, sdk.Cancelled)
}

// wantKind makes sure of an error's kind.
func wantKind(t T, what string, err error, kind sdk.ErrorKind) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%s ended without an error, not with one of kind %s", what, kind)
	case sdk.KindOf(err) != kind:
		t.Errorf("%s ended with an error of kind %s instead of %s: %v", what, sdk.KindOf(err), kind, err)
	}
}

// progresses makes sure of signs of life: the reader of the second half waits
// for them.
func (s subject) progresses(t T, session *session, operation host.Operation, take func(context.Context, []string) error, name string) {
	t.Helper()
	const size, signs = 8 << 20, 3
	seen := make(chan struct{}, 1000)
	var objects, bytes int64
	operated := &step{session: session, operation: operation, events: host.Events{Progress: func(o, b, _ int64) {
		objects, bytes = o, b
		select {
		case seen <- struct{}{}:
		default:
		}
	}}}
	wait := func(ctx context.Context) error {
		timeout := time.After(s.deadline)
		for n := range signs {
			select {
			case <-seen:
			case <-timeout:
				return fmt.Errorf("%d signs of life within %s", n, s.deadline)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	c := content{seed: 9, size: size, fill: random}
	o := s.run(t, line{steps: []*step{operated}, take: take, emit: emitting(false, nil, func(ctx context.Context, out *wire.Outlet) error {
		r := io.MultiReader(io.LimitReader(c.reader(), size/2), &pause{until: wait, ctx: ctx}, skip(c, size/2))
		return out.Emit(ctx, sdk.Object{Name: name, Size: size}, r, false, nil)
	})})
	if err := o.err(); err != nil {
		t.Fatalf("%v", err)
	}
	if objects != 1 || bytes != size {
		t.Errorf("the last progress says %d objects and %d bytes, 1 and %d passed", objects, bytes, size)
	}
}

// pause is an empty reader that waits for something.
type pause struct {
	until func(context.Context) error
	ctx   context.Context
}

func (p *pause) Read([]byte) (int, error) {
	if err := p.until(p.ctx); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// leakless performs rounds of operations in one process and looks at what
// stays. open makes a process, round uses it once.
func (s subject) leakless(t T, open func() *session, round func(session *session, i int)) {
	t.Helper()
	const few, many, slack = 3, 20, 8
	perform := func(rounds int) (session *session, before, after int) {
		session = open()
		for i := range rounds {
			round(session, i)
			if i == few-1 {
				before = s.settledDescriptors(t, session, 0)
			}
		}
		return session, before, s.settledDescriptors(t, session, before)
	}
	short, _, _ := perform(few)
	long, before, after := perform(many)
	if after > before {
		t.Errorf("%d descriptors after %d rounds of operations, %d after %d", before, few, after, many)
	}
	if a, b := short.goroutines(t), long.goroutines(t); b > a+slack {
		t.Errorf("%d goroutines after %d rounds of operations, %d after %d", a, few, b, many)
	}
}

// settledDescriptors counts descriptors; a connection that was just closed may
// take a moment to go.
func (s subject) settledDescriptors(t T, session *session, expected int) int {
	t.Helper()
	least := descriptors(t, session.PID())
	for range 25 {
		if expected > 0 && least <= expected {
			break
		}
		time.Sleep(10 * time.Millisecond)
		least = min(least, descriptors(t, session.PID()))
	}
	return least
}
