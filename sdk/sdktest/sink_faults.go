package sdktest

import (
	"context"
	"errors"
	"io"
	"syscall"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/internal/wire"
)

func (s subject) sinkCancel(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	s.cancel(t, session, host.Put(), prefix+"half", nil)
	s.absent(t, s.open(t), prefix+"half", "after its storing was cancelled")
	s.clean(t)
	if !t.Failed() {
		// The process can go on.
		s.stored(t, session, file(prefix+"half", content{seed: 1, size: 1000}))
	}
}

func (s subject) sinkCancelRead(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	s.stored(t, session, file(prefix+"a", content{seed: 1, size: 32 << 20}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reading := &step{session: session, operation: host.Read([]host.Selection{{Name: prefix + "a", Rename: "got"}}), ctx: ctx}
	s.run(t, line{steps: []*step{reading}, take: taking(false, func(o sdk.Object, r io.Reader) error {
		if _, err := io.CopyN(io.Discard, r, 1<<20); err != nil {
			return err
		}
		cancel()
		return discard(o, r)
	})})
	wantKind(t, "the cancelled operation", reading.err, sdk.Cancelled)
}

func (s subject) sinkAborted(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	book := newReceiptBook()
	whole := file(prefix+"whole", content{seed: 1, size: 100_000, fill: random})
	storing := &step{session: session, operation: host.Put()}
	s.run(t, line{steps: []*step{storing}, emit: emitting(false, book.add, func(ctx context.Context, out *wire.Outlet) error {
		if _, err := out.EmitDurable(ctx, whole.object, whole.reader()); err != nil {
			return err
		}
		r := io.MultiReader(io.LimitReader(&endless{}, cutAfter), brokenReader{})
		return out.Emit(ctx, sdk.Object{Name: prefix + "half", Size: sdk.SizeUnknown}, r, false, nil)
	})})
	wantKind(t, "the operation", storing.err, sdk.Disconnected)
	if len(book.of(prefix+"half")) > 0 {
		t.Errorf("the object that broke off was acknowledged")
	}
	other := s.open(t)
	s.absent(t, other, prefix+"half", "after its emitter gave up")
	s.holds(t, other, whole)
	s.clean(t)
}

func (s subject) sinkVanished(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	for i, half := range []string{prefix + "half", ""} {
		whole := prefix + "whole" + string(rune('0'+i))
		storing := &step{session: session, operation: host.Put()}
		s.run(t, line{emit: vanish(whole, half), steps: []*step{storing}})
		wantKind(t, "the operation", storing.err, sdk.Disconnected)
		other := s.open(t)
		if half != "" {
			s.absent(t, other, half, "after its emitter vanished")
		}
		if _, b, err := s.get(t, other, whole); err != nil || string(b) != "whole" {
			t.Errorf("the acknowledged object comes back as %q, %v", b, err)
		}
	}
	s.clean(t)
}

func (s subject) sinkAbsorberVanished(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	s.stored(t, session, file(prefix+"a", content{seed: 1, size: 32 << 20}))
	refusing := refuse(func(string) bool { return true }, &shelf{})
	for _, take := range []func(context.Context, []string) error{vanishBehind, refusing} {
		reading := &step{session: session, operation: host.Read([]host.Selection{{Name: prefix + "a", Rename: "got"}})}
		s.run(t, line{steps: []*step{reading}, take: take})
		wantKind(t, "the reading operation", reading.err, sdk.Disconnected)
	}
}

func (s subject) sinkKilled(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	whole := file(prefix+"whole", content{seed: 1, size: 100_000, fill: random})
	storing := &step{session: session, operation: host.Put()}
	s.run(t, line{steps: []*step{storing}, emit: emitting(false, nil, func(ctx context.Context, out *wire.Outlet) error {
		if _, err := out.EmitDurable(ctx, whole.object, whole.reader()); err != nil {
			return err
		}
		return out.Emit(ctx, sdk.Object{Name: prefix + "half", Size: sdk.SizeUnknown}, &endless{ctx: ctx, after: cutAfter, reached: func() {
			if err := syscall.Kill(session.PID(), syscall.SIGKILL); err != nil {
				t.Errorf("kill the plugin: %v", err)
			}
		}}, false, nil)
	})})
	var crash *host.Crash
	if !errors.As(storing.err, &crash) {
		t.Errorf("the operation of the killed plugin ended with %v", storing.err)
	}
	next := s.open(t)
	s.absent(t, next, prefix+"half", "after the plugin was killed while storing it")
	s.holds(t, next, whole)
	again := file(prefix+"half", content{seed: 2, size: 4 << 20, fill: random})
	s.stored(t, next, again)
	s.holds(t, next, again)
}

func (s subject) sinkProgress(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	s.progresses(t, session, host.Put(), nil, prefix+"a")
}

func (s subject) sinkLeaks(t T) {
	prefix := s.below(t, s.open(t))
	n := 0
	s.leakless(t, func() *session { return s.open(t) }, func(session *session, i int) {
		n++
		p := file(prefix+string(rune('a'+n%26))+string(rune('a'+n/26)), content{seed: uint64(n), size: 1 << 20})
		switch i % 3 {
		case 0:
			s.stored(t, session, p)
			s.holds(t, session, p)
		case 1:
			s.cancel(t, session, host.Put(), p.object.Name, nil)
		case 2:
			s.run(t, line{emit: breakOff(p.object.Name), steps: []*step{{session: session, operation: host.Put()}}})
		}
	})
}
