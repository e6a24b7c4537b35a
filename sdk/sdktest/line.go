package sdktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/internal/wire"
)

// line is a pipeline around the plugin: this process is the emitter before its
// first step and the absorber behind its last, as far as there are such ends.
type line struct {
	lanes  int
	noRing bool
	steps  []*step
	// emit sends to the first step's lanes; nil when that one emits itself.
	emit func(ctx context.Context, lanes []string) error
	// take receives from the last step's lanes; nil when that one stores.
	take func(ctx context.Context, lanes []string) error
	// patience is how long all of it may take; 0 stands for a minute.
	patience time.Duration
}

// step is an operation of a plugin's process.
type step struct {
	session   *session
	operation host.Operation
	events    host.Events
	// ctx, when set, is the operation's own: its end cancels nothing else.
	ctx context.Context
	// ended, when set, is called when the operation has returned.
	ended func()

	err error
}

// outcome is how the participants ended.
type outcome struct {
	emit, take error
	// step is the error of the first step that failed on its own, not because a
	// neighbour did.
	step error
}

// err is the cause of the failure, nil when everybody ended well.
func (o outcome) err() error {
	var echo error
	for _, err := range []error{o.step, o.emit, o.take} {
		if err == nil {
			continue
		}
		if kind := sdk.KindOf(err); kind != sdk.Disconnected && kind != sdk.Cancelled {
			return err
		}
		echo = errors.Join(echo, err)
	}
	return echo
}

// settle is how long the others may go on after one participant failed.
func (s subject) settle() time.Duration { return s.deadline + time.Second }

// brief is the patience with a line that is broken off.
func (s subject) brief() time.Duration { return 4 * s.settle() }

// run carries the line out and waits until everybody has ended. A participant
// that does not end fails the check.
func (s subject) run(t T, l line) outcome {
	t.Helper()
	dir, err := os.MkdirTemp("", "lane")
	if err != nil {
		t.Fatalf("a directory for sockets: %v", err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the sockets: %v", err)
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	var wg sync.WaitGroup
	var mu sync.Mutex
	running := map[string]bool{}
	failed := make(chan struct{}, 1)
	participate := func(name string, f func() error) *error {
		result := new(error)
		running[name] = true
		wg.Go(func() {
			err := f()
			mu.Lock()
			*result = err
			delete(running, name)
			mu.Unlock()
			if err != nil {
				select {
				case failed <- struct{}{}:
				default:
				}
			}
		})
		return result
	}

	hop := func(i int) (addresses []string) {
		for k := range max(l.lanes, 1) {
			addresses = append(addresses, filepath.Join(dir, fmt.Sprintf("%d.%d", i, k)))
		}
		return addresses
	}
	mu.Lock()
	emitted, taken := new(error), new(error)
	if l.emit != nil {
		emitted = participate("the emitter before the plugin", func() error { return l.emit(ctx, hop(0)) })
	}
	for i, step := range l.steps {
		lanes := host.Lanes{NoRing: l.noRing}
		if i > 0 || l.emit != nil {
			lanes.Inputs = hop(i)
		}
		if i < len(l.steps)-1 || l.take != nil {
			lanes.Outputs = []host.Output{{Lanes: hop(i + 1), Required: true}}
		}
		stepCtx := ctx
		if step.ctx != nil {
			stepCtx = step.ctx
		}
		participate(fmt.Sprintf("the plugin's operation %d", i+1), func() error {
			step.err = step.session.Run(stepCtx, step.operation, lanes, step.events)
			if step.ended != nil {
				step.ended()
			}
			return step.err
		})
	}
	if l.take != nil {
		taken = participate("the absorber behind the plugin", func() error { return l.take(ctx, hop(len(l.steps))) })
	}
	mu.Unlock()

	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	patience := l.patience
	if patience == 0 {
		patience = time.Minute
	}
	overdue := time.After(patience)
	why := fmt.Sprintf("after %s", patience)
	select {
	case <-ended:
	case <-overdue:
	case <-failed:
		why = fmt.Sprintf("%s after another participant had failed", s.settle())
		select {
		case <-ended:
		case <-time.After(s.settle()):
		}
	}
	select {
	case <-ended:
	default:
		mu.Lock()
		for name := range running {
			t.Errorf("%s was still running %s", name, why)
		}
		mu.Unlock()
		cancel()
		for _, step := range l.steps {
			step.session.Stop()
		}
		<-ended
	}
	return outcome{emit: *emitted, take: *taken, step: firstCause(l.steps)}
}

func firstCause(steps []*step) error {
	var echo error
	for _, step := range steps {
		if step.err == nil {
			continue
		}
		if sdk.KindOf(step.err) != sdk.Disconnected {
			return step.err
		}
		echo = step.err
	}
	return echo
}

// emitting makes an emitter of a function that uses an outlet. receipts is
// called for every object that is durable; it may be nil.
func emitting(noRing bool, receipts func([]sdk.Receipt), f func(ctx context.Context, out *wire.Outlet) error) func(context.Context, []string) error {
	return func(ctx context.Context, lanes []string) error {
		out, err := wire.Dial(ctx, []wire.Output{{Lanes: lanes, Required: true}}, wire.OutletOptions{NoRing: noRing, Receipts: receipts})
		if err != nil {
			return err
		}
		if err := f(ctx, out); err != nil {
			return errors.Join(err, out.Abort(err))
		}
		return out.Close()
	}
}

// piece is an object to send.
type piece struct {
	object sdk.Object
	bytes  content
}

func file(name string, bytes content) piece {
	return piece{sdk.Object{Name: name, Size: bytes.size, Mode: 0o600}, bytes}
}

func (p piece) reader() io.Reader {
	if p.object.Kind == sdk.KindDirectory || p.object.Kind == sdk.KindSymlink {
		return nil
	}
	return p.bytes.reader()
}

// sending emits pieces, at most lanes at once.
func sending(lanes int, pieces []piece) func(context.Context, *wire.Outlet) error {
	return func(ctx context.Context, out *wire.Outlet) error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(max(lanes, 1))
		for _, p := range pieces {
			if ctx.Err() != nil {
				break
			}
			group.Go(func() error { return out.Emit(ctx, p.object, p.reader(), false, nil) })
		}
		return group.Wait()
	}
}

// taking makes an absorber of a function that reads each object.
func taking(noRing bool, f func(o sdk.Object, r io.Reader) error) func(context.Context, []string) error {
	return absorbing(noRing, taker(f))
}

func absorbing(noRing bool, sink wire.Absorber) func(context.Context, []string) error {
	return func(ctx context.Context, lanes []string) error {
		in, err := wire.Listen(lanes, noRing)
		if err != nil {
			return err
		}
		return errors.Join(wire.Absorb(ctx, in, sink, new(wire.Meter)), in.Close())
	}
}

type taker func(o sdk.Object, r io.Reader) error

func (f taker) Put(_ context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	if r == nil {
		return sdk.Receipt{Name: o.Name}, f(o, nil)
	}
	sum := wire.NewChecksum(r)
	if err := f(o, sum); err != nil {
		return sdk.Receipt{}, err
	}
	return sdk.Receipt{Name: o.Name, Size: sum.Size(), CRC32C: sum.CRC32C()}, nil
}

func (taker) Flush(context.Context) error { return nil }

// shelf keeps what arrives.
type shelf struct {
	mu      sync.Mutex
	order   []sdk.Object
	content map[string][]byte
}

func (s *shelf) take(o sdk.Object, r io.Reader) error {
	var b []byte
	if r != nil {
		var err error
		if b, err = io.ReadAll(r); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.content == nil {
		s.content = map[string][]byte{}
	}
	s.order = append(s.order, o)
	s.content[o.Name] = b
	return nil
}

// enough is where an endless source waits to be broken off: a plugin that keeps
// everything in memory would take all there is.
const enough = 64 << 20

// endless is a source that does not end by itself and tells when it has given
// some bytes.
type endless struct {
	ctx     context.Context
	after   int64
	reached func()
	given   int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.given >= enough {
		<-e.ctx.Done()
		return 0, e.ctx.Err()
	}
	// Something that neither compresses away nor costs much.
	for i := range p {
		p[i] = byte((e.given + int64(i)) * 2654435761 >> 13)
	}
	before := e.given
	e.given += int64(len(p))
	if before < e.after && e.given >= e.after && e.reached != nil {
		e.reached()
	}
	return len(p), nil
}
