package sdktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/internal/wire"
)

// Transform checks a transform.
func Transform(t *testing.T, p Plugin, c Config, list ...Option) {
	t.Helper()
	runAll(t, TransformChecks(p, c, list...))
}

// TransformChecks are the clauses of sdk.Transform.
func TransformChecks(p Plugin, c Config, list ...Option) []Check {
	s := subject{plugin: p, kind: "transform", config: c, options: collect(list)}
	checks := []Check{
		s.starts(),
		s.refusesUnknownSettings(),
		{"names", "Encode appends the suffix to the name of an object, or leaves it alone when told to; Decode takes it off again.", s.transformNames},
		{"exact bytes", "Decode(Encode(x)) equals x for every x, the empty one included.", s.transformBytes},
		{"exact bytes without a ring", "The same holds where memory cannot be shared and all bytes go through the socket.", s.transformSocket},
		{"order and attributes", "Objects of a lane leave in the order in which they came, with their attributes; those without bytes pass through.", s.transformOrder},
		{"large object", "An object of more than 4 GiB comes back equal.", s.transformLarge},
		{"small objects", "Many small objects come back equal.", s.transformSmall},
		{"lanes at once", "Several objects are converted at once, each by a call of its own.", s.transformLanes},
		{"memory", "A stream of 1 GiB passes within the memory limit.", s.transformMemory},
		{"acknowledgements", "An object is acknowledged to the emitter once the sink behind has made it durable, and not before.", s.transformAck},
		{"cancellation", "When an operation is cancelled, it ends within the deadline, with an error of kind cancelled, and no object looks complete.", s.transformCancel},
		{"emitter fails", "When the stage before gives up in the middle of an object, nothing looks complete behind.", s.transformAborted},
		{"emitter vanishes", "A lane that ends without CLOSE is a failed lane, between objects too.", s.transformVanished},
		{"sink fails", "When the stage behind refuses an object, the operation ends within the deadline.", s.transformRefused},
		{"sink vanishes", "When the stage behind goes away, the operation ends within the deadline.", s.transformSinkVanished},
		{"progress", "A running operation gives a sign of life several times a second, and its last one counts every byte.", s.transformProgress},
		{"leaks", "Operations, whether they succeed or not, leave no descriptors and no goroutines behind.", s.transformLeaks},
	}
	if !s.unframed {
		checks = append(checks, Check{"truncation", "Decoding less than Encode wrote is an error of kind corrupt, the empty object included.", s.transformTruncated})
	}
	return checks
}

// there and back: encode in one process, decode in another.
func (s subject) both(t T) (steps []*step, suffix string) {
	t.Helper()
	encoder, decoder := s.open(t), s.open(t)
	return []*step{{session: encoder, operation: host.Encode(false)}, {session: decoder, operation: host.Decode()}}, encoder.suffix
}

// encode returns what the plugin makes of some pieces.
func (s subject) encode(t T, session *session, pieces ...piece) *shelf {
	t.Helper()
	kept := &shelf{}
	o := s.run(t, line{emit: emitting(false, nil, sending(1, pieces)), steps: []*step{{session: session, operation: host.Encode(false)}}, take: taking(false, kept.take)})
	if err := o.err(); err != nil {
		t.Fatalf("encode: %v", err)
	}
	return kept
}

func (s subject) transformNames(t T) {
	session := s.open(t)
	sent := file("base/20260102T030405/data/16384.tar", content{size: 1000, fill: text})
	for _, keep := range []bool{false, true} {
		encoded, decoded := &shelf{}, &shelf{}
		o := s.run(t, line{
			emit: emitting(false, nil, sending(1, []piece{sent})), steps: []*step{{session: session, operation: host.Encode(keep)}}, take: taking(false, encoded.take),
		})
		if err := o.err(); err != nil {
			t.Fatalf("encode: %v", err)
		}
		want := sent.object.Name
		if !keep {
			want += session.suffix
		}
		if got := encoded.order[0].Name; got != want {
			t.Errorf("encoded with keepNames %v, the object is named %q instead of %q", keep, got, want)
		}
		stored := encoded.order[0]
		bytes := encoded.content[stored.Name]
		o = s.run(t, line{
			emit: emitting(false, nil, func(ctx context.Context, out *wire.Outlet) error {
				return out.Emit(ctx, stored, strings.NewReader(string(bytes)), false, nil)
			}),
			steps: []*step{{session: session, operation: host.Decode()}}, take: taking(false, decoded.take),
		})
		if err := o.err(); err != nil {
			t.Fatalf("decode: %v", err)
		}
		if got := decoded.order[0].Name; got != sent.object.Name {
			t.Errorf("decoded, the object is named %q instead of %q", got, sent.object.Name)
		}
	}
}

// passes sends pieces there and back and compares them.
func (s subject) passes(t T, lanes int, noRing bool, pieces []piece, patience time.Duration) {
	t.Helper()
	steps, _ := s.both(t)
	s.passesThrough(t, steps, lanes, noRing, pieces, patience)
}

func (s subject) passesThrough(t T, steps []*step, lanes int, noRing bool, pieces []piece, patience time.Duration) {
	t.Helper()
	contents := map[string]content{}
	for _, p := range pieces {
		contents[p.object.Name] = p.bytes
	}
	var arrived atomic.Int64
	receipts := newReceiptBook()
	o := s.run(t, line{
		lanes: lanes, noRing: noRing, steps: steps, patience: patience,
		emit: emitting(noRing, receipts.add, sending(lanes, pieces)),
		take: taking(noRing, func(o sdk.Object, r io.Reader) error {
			arrived.Add(1)
			want, known := contents[o.Name]
			if !known {
				return fmt.Errorf("an object %q that was never sent", o.Name)
			}
			difference, err := want.verify(r)
			if err != nil {
				return err
			}
			if difference != "" {
				t.Errorf("object %q of %d bytes comes back with %s", o.Name, want.size, difference)
			}
			_, err = io.Copy(io.Discard, r)
			return err
		}),
	})
	if err := o.err(); err != nil {
		t.Fatalf("%v", err)
	}
	if n := int(arrived.Load()); n != len(pieces) {
		t.Errorf("%d objects arrived, %d were sent", n, len(pieces))
	}
	receipts.compare(t, pieces)
}

func (s subject) transformBytes(t T) {
	var pieces []piece
	for i, size := range edgeSizes() {
		for _, fill := range []filling{stamped, random, text} {
			pieces = append(pieces, file(fmt.Sprintf("edge/%d.%d", size, fill), content{seed: uint64(i), size: size, fill: fill}))
		}
	}
	s.passes(t, 1, false, pieces, 0)
}

func (s subject) transformSocket(t T) {
	var pieces []piece
	for i, size := range edgeSizes() {
		pieces = append(pieces, file(fmt.Sprintf("edge/%d", size), content{seed: uint64(i), size: size, fill: random}))
	}
	s.passes(t, 2, true, pieces, 0)
}

func (s subject) transformOrder(t T) {
	modified := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	var sent []sdk.Object
	var pieces []piece
	for i := range 200 {
		o := sdk.Object{Name: fmt.Sprintf("dir/%03d", i*7%200), Mode: fs.FileMode(0o400 + i%64), ModTime: modified.Add(time.Duration(i) * time.Second), Size: int64(i * 37 % 5000)}
		switch i % 5 {
		case 1:
			o.Kind = sdk.KindTar
		case 2:
			o.Kind, o.Size = sdk.KindDirectory, 0
		case 3:
			o.Kind, o.Size, o.LinkTarget = sdk.KindSymlink, 0, "../elsewhere"
		case 4:
			o.Replace = true
		}
		sent = append(sent, o)
		pieces = append(pieces, piece{o, content{seed: uint64(i), size: o.Size, fill: random}})
	}
	steps, _ := s.both(t)
	kept := &shelf{}
	o := s.run(t, line{emit: emitting(false, nil, sending(1, pieces)), steps: steps, take: taking(false, kept.take)})
	if err := o.err(); err != nil {
		t.Fatalf("%v", err)
	}
	if len(kept.order) != len(sent) {
		t.Fatalf("%d objects came back, %d were sent", len(kept.order), len(sent))
	}
	for i, want := range sent {
		if got := kept.order[i]; !same(got, want) {
			t.Fatalf("object %d came back as %+v, sent was %+v", i, got, want)
		}
	}
}

// same compares two objects, their sizes aside.
func same(a, b sdk.Object) bool {
	if !a.ModTime.Equal(b.ModTime) {
		return false
	}
	a.ModTime, a.Size, b.ModTime, b.Size = time.Time{}, 0, time.Time{}, 0
	return a == b
}

func (s subject) transformLarge(t T) {
	s.passes(t, 1, false, []piece{file("large", content{seed: 1, size: s.largest})}, 10*time.Minute)
}

func (s subject) transformSmall(t T) {
	var pieces []piece
	for i := range s.small {
		pieces = append(pieces, file(fmt.Sprintf("small/%d", i), content{seed: uint64(i), size: int64(i % 300)}))
	}
	s.passes(t, 2, false, pieces, 5*time.Minute)
}

func (s subject) transformLanes(t T) {
	// Every object waits until all of them have begun.
	const lanes = 4
	begun := make(chan struct{}, lanes)
	all := make(chan struct{})
	go func() {
		for range lanes {
			<-begun
		}
		close(all)
	}()
	steps, _ := s.both(t)
	o := s.run(t, line{lanes: lanes, steps: steps, emit: emitting(false, nil, func(ctx context.Context, out *wire.Outlet) error {
		errs := make(chan error, lanes)
		for i := range lanes {
			go func() {
				c := content{seed: uint64(i), size: 12 << 20, fill: random}
				r := io.MultiReader(io.LimitReader(c.reader(), 8<<20), &gate{begun: begun, all: all, ctx: ctx}, skip(c, 8<<20))
				errs <- out.Emit(ctx, sdk.Object{Name: fmt.Sprint(i), Size: c.size}, r, false, nil)
			}()
		}
		var err error
		for range lanes {
			err = errors.Join(err, <-errs)
		}
		return err
	}), take: taking(false, func(o sdk.Object, r io.Reader) error {
		seed := uint64(o.Name[0] - '0')
		difference, err := content{seed: seed, size: 12 << 20, fill: random}.verify(r)
		if difference != "" {
			t.Errorf("object %q comes back with %s", o.Name, difference)
		}
		return err
	})})
	if err := o.err(); err != nil {
		t.Fatalf("%v", err)
	}
}

// gate is an empty reader that waits for others.
type gate struct {
	begun chan<- struct{}
	all   <-chan struct{}
	ctx   context.Context
}

func (g *gate) Read([]byte) (int, error) {
	g.begun <- struct{}{}
	select {
	case <-g.all:
		return 0, io.EOF
	case <-g.ctx.Done():
		return 0, g.ctx.Err()
	}
}

// skip is the content from a position on.
func skip(c content, n int64) io.Reader {
	r := c.reader()
	if _, err := io.CopyN(io.Discard, r, n); err != nil {
		return strings.NewReader("") // the content is longer than that
	}
	return r
}

func (s subject) transformMemory(t T) {
	steps, _ := s.both(t)
	s.passesThrough(t, steps, 1, false, []piece{file("stream", content{seed: 3, size: min(1<<30, s.largest)})}, 5*time.Minute)
	for i, name := range []string{"encoding", "decoding"} {
		s.checkMemory(t, steps[i].session, name)
	}
}

func (s subject) checkMemory(t T, session *session, doing string) {
	t.Helper()
	if peak := statusBytes(t, session.PID(), "VmHWM"); peak > s.memory {
		t.Errorf("%s %d MiB took %d MiB of memory at its peak, the limit is %d MiB", doing, min(1<<30, s.largest)>>20, peak>>20, s.memory>>20)
	}
}

func (s subject) transformTruncated(t T) {
	session := s.open(t)
	for _, size := range []int64{0, 1, 200_000} {
		whole := content{seed: 5, size: size, fill: text}
		kept := s.encode(t, session, file("x", whole))
		encoded := kept.content[kept.order[0].Name]
		cuts := []int{0, 1, len(encoded) / 4, len(encoded) / 2, len(encoded) - 8, len(encoded) - 4, len(encoded) - 1}
		slices.Sort(cuts)
		for _, cut := range slices.Compact(cuts) {
			if cut < 0 || cut >= len(encoded) {
				continue
			}
			decoded := &shelf{}
			o := s.run(t, line{
				emit: emitting(false, nil, func(ctx context.Context, out *wire.Outlet) error {
					return out.Emit(ctx, sdk.Object{Name: "x" + session.suffix, Size: sdk.SizeUnknown}, bytes.NewReader(encoded[:cut]), false, nil)
				}),
				steps: []*step{{session: session, operation: host.Decode()}}, take: taking(false, decoded.take),
			})
			switch {
			case o.step == nil:
				t.Errorf("the first %d of the %d bytes that %d were encoded to are decoded without an error", cut, len(encoded), size)
			case sdk.KindOf(o.step) != sdk.Corrupt:
				t.Errorf("decoding the first %d of %d bytes gives an error of kind %s instead of corrupt: %v", cut, len(encoded), sdk.KindOf(o.step), o.step)
			}
			if len(decoded.order) > 0 {
				t.Errorf("decoding the first %d of %d bytes, an object looks complete", cut, len(encoded))
			}
		}
	}
}
