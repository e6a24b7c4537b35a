package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/sdk"
)

// memory is the simplest sink.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	flushes int
	fail    string
}

func (m *memory) Put(_ context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	if o.Name == m.fail {
		return sdk.Receipt{}, sdk.Errorf(sdk.Denied, "no access")
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return sdk.Receipt{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects == nil {
		m.objects = map[string][]byte{}
	}
	m.objects[o.Name] = b
	return sdk.Receipt{Name: o.Name, Size: int64(len(b)), CRC32C: crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))}, nil
}

func (m *memory) Flush(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flushes++
	return nil
}

// flip is a transform that inverts every bit.
type flip struct{}

func (flip) Encode(_ context.Context, _ sdk.Object, dst io.Writer, src io.Reader) error {
	b := make([]byte, 10_000)
	for {
		n, err := src.Read(b)
		for i := range b[:n] {
			b[i] = ^b[i]
		}
		if _, err := dst.Write(b[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (f flip) Decode(ctx context.Context, o sdk.Object, dst io.Writer, src io.Reader) error {
	return f.Encode(ctx, o, dst, src)
}
func (flip) Suffix() string { return ".flip" }

// line runs source → flip → sinks in one process, over real lanes.
func line(t *testing.T, lanes int, noRing bool, sinks []Absorber, required []bool, emit func(ctx context.Context, out *Outlet) error) (lost []int, receipts []sdk.Receipt, err error) {
	t.Helper()
	dir := t.TempDir()
	addresses := func(hop string) (a []string) {
		for i := range lanes {
			a = append(a, filepath.Join(dir, fmt.Sprintf("%s.%d", hop, i)))
		}
		return a
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(t.Context())
	// The cause may come after its echo at another stage.
	var cause error
	run := func(stage func() error) {
		group.Go(func() error {
			err := stage()
			mu.Lock()
			defer mu.Unlock()
			if kind := sdk.KindOf(cause); err != nil && (cause == nil || kind == sdk.Disconnected || kind == sdk.Cancelled) {
				cause = err
			}
			return err
		})
	}
	var outputs []Output
	for k, sink := range sinks {
		a := addresses(fmt.Sprintf("sink%d", k))
		outputs = append(outputs, Output{Lanes: a, Required: required[k]})
		in, err := Listen(a, noRing)
		if err != nil {
			t.Fatal(err)
		}
		run(func() error {
			if err := Absorb(ctx, in, sink, new(Meter)); err != nil && required[k] {
				return err
			}
			return nil
		})
	}
	middle := addresses("middle")
	in, err := Listen(middle, noRing)
	if err != nil {
		t.Fatal(err)
	}
	run(func() error {
		out, err := Dial(ctx, outputs, OutletOptions{NoRing: noRing, Lost: func(k int, _ error) {
			mu.Lock()
			defer mu.Unlock()
			lost = append(lost, k)
		}})
		if err != nil {
			return err
		}
		return Transform(ctx, in, out, Encoding(flip{}, false))
	})
	run(func() error {
		out, err := Dial(ctx, []Output{{Lanes: middle, Required: true}}, OutletOptions{NoRing: noRing, Receipts: func(r []sdk.Receipt) {
			mu.Lock()
			defer mu.Unlock()
			receipts = append(receipts, r...)
		}})
		if err != nil {
			return err
		}
		if err := emit(ctx, out); err != nil {
			return errors.Join(err, out.Abort(err))
		}
		return out.Close()
	})
	// Of all errors the cause is the one to return.
	if group.Wait() == nil {
		return lost, receipts, nil
	}
	return lost, receipts, cause
}

func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestObjectsOfEverySizeArriveEqualThroughEveryHop(t *testing.T) {
	sizes := []int{0, 1, 100, 32<<10 - 1, 32 << 10, 32<<10 + 1, 256 << 10, 256<<10 + 1, 3_000_000}
	for _, noRing := range []bool{false, true} {
		for _, lanes := range []int{1, 3} {
			t.Run(fmt.Sprintf("noRing=%v lanes=%d", noRing, lanes), func(t *testing.T) {
				sink := &memory{}
				_, receipts, err := line(t, lanes, noRing, []Absorber{sink}, []bool{true}, func(ctx context.Context, out *Outlet) error {
					group, ctx := errgroup.WithContext(ctx)
					for i, size := range sizes {
						group.Go(func() error {
							o := sdk.Object{Name: fmt.Sprintf("o/%d", i), Size: int64(size)}
							return out.Emit(ctx, o, bytes.NewReader(content(uint64(i), size)), false, nil)
						})
					}
					return group.Wait()
				})
				if err != nil {
					t.Fatal(err)
				}
				for i, size := range sizes {
					got := sink.objects[fmt.Sprintf("o/%d.flip", i)]
					for k := range got {
						got[k] = ^got[k]
					}
					if !bytes.Equal(got, content(uint64(i), size)) {
						t.Errorf("object of %d bytes differs", size)
					}
				}
				if len(receipts) != len(sizes) {
					t.Errorf("%d receipts for %d objects", len(receipts), len(sizes))
				}
				for _, r := range receipts {
					if !strings.HasSuffix(r.Name, ".flip") || r.SourceName+".flip" != r.Name || r.SourceSize != r.Size {
						t.Errorf("receipt %+v", r)
					}
				}
			})
		}
	}
}

func TestManyMoreObjectsThanTheWindowFlow(t *testing.T) {
	sink := &memory{}
	const n = 5000
	_, receipts, err := line(t, 2, false, []Absorber{sink}, []bool{true}, func(ctx context.Context, out *Outlet) error {
		for i := range n {
			if err := out.Emit(ctx, sdk.Object{Name: fmt.Sprint(i), Size: 3}, strings.NewReader("abc"), false, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(sink.objects) != n || len(receipts) != n {
		t.Fatalf("%d objects, %d receipts, %v", len(sink.objects), len(receipts), err)
	}
	if sink.flushes > n/flushEvery+4 {
		t.Errorf("%d flushes for %d objects", sink.flushes, n)
	}
}

func TestEmitDurableReturnsOnlyAfterAFlush(t *testing.T) {
	sink := &memory{}
	_, _, err := line(t, 1, false, []Absorber{sink}, []bool{true}, func(ctx context.Context, out *Outlet) error {
		for i := range 3 {
			receipts, err := out.EmitDurable(ctx, sdk.Object{Name: fmt.Sprint(i), Size: sdk.SizeUnknown}, strings.NewReader("abc"))
			if err != nil {
				return err
			}
			sink.mu.Lock()
			if sink.flushes != i+1 || len(receipts) != 1 || receipts[0].SourceSize != 3 {
				t.Errorf("%d flushes, receipts %+v", sink.flushes, receipts)
			}
			sink.mu.Unlock()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAFailingSinkIsTheCauseAndTheOthersAreItsEcho(t *testing.T) {
	_, _, err := line(t, 1, false, []Absorber{&memory{fail: "b.flip"}}, []bool{true}, func(ctx context.Context, out *Outlet) error {
		for _, name := range []string{"a", "b", "c"} {
			if _, err := out.EmitDurable(ctx, sdk.Object{Name: name, Size: 1}, strings.NewReader("x")); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "no access") {
		t.Fatalf("error %v", err)
	}
}

func TestAnOptionalSinkThatFailsIsLeftBehind(t *testing.T) {
	good := &memory{}
	lost, receipts, err := line(t, 2, false, []Absorber{&memory{fail: "5.flip"}, good}, []bool{false, true}, func(ctx context.Context, out *Outlet) error {
		for i := range 10 {
			if err := out.Emit(ctx, sdk.Object{Name: fmt.Sprint(i), Size: 100_000}, bytes.NewReader(content(1, 100_000)), false, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(lost) != 1 || lost[0] != 0 || len(good.objects) != 10 {
		t.Fatalf("lost %v, %d objects, %d receipts, %v", lost, len(good.objects), len(receipts), err)
	}
}

func TestAnObjectShorterThanAnnouncedFails(t *testing.T) {
	_, _, err := line(t, 1, false, []Absorber{&memory{}}, []bool{true}, func(ctx context.Context, out *Outlet) error {
		return out.Emit(ctx, sdk.Object{Name: "a", Size: 4}, strings.NewReader("abc"), false, nil)
	})
	if sdk.KindOf(err) != sdk.Corrupt {
		t.Fatalf("error %v", err)
	}
}

func TestAPipelineWithoutASinkThatIsLeftFails(t *testing.T) {
	for _, durable := range []bool{true, false} {
		_, _, err := line(t, 1, false, []Absorber{&memory{fail: "1.flip"}}, []bool{false}, func(ctx context.Context, out *Outlet) error {
			for i := range 300 {
				o := sdk.Object{Name: fmt.Sprint(i), Size: 1}
				var err error
				if durable {
					var receipts []sdk.Receipt
					receipts, err = out.EmitDurable(ctx, o, strings.NewReader("x"))
					if err == nil && len(receipts) == 0 {
						t.Error("an object without a receipt is called durable")
					}
				} else {
					err = out.Emit(ctx, o, strings.NewReader("x"), false, nil)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			t.Errorf("durable %v: the pipeline succeeded, though its only sink was lost", durable)
		}
	}
}

func TestAnEmitterThatSwallowsAnErrorHearsOfItAtTheEnd(t *testing.T) {
	broken := sdk.Errorf(sdk.Unavailable, "the server closed the connection")
	_, _, err := line(t, 1, false, []Absorber{&memory{}}, []bool{true}, func(ctx context.Context, out *Outlet) error {
		r := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
		if err := out.Emit(ctx, sdk.Object{Name: "a", Size: sdk.SizeUnknown}, r, false, nil); err == nil {
			t.Error("Emit has no error")
		}
		if err := out.Emit(ctx, sdk.Object{Name: "b", Size: 1}, strings.NewReader("x"), false, nil); !errors.Is(err, broken) {
			t.Errorf("the next Emit: %v", err)
		}
		return nil
	})
	if sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("the pipeline ends with %v", err)
	}
}

func TestDirectoriesHaveNoReader(t *testing.T) {
	var got []sdk.Object
	sink := putter(func(o sdk.Object, r io.Reader) (sdk.Receipt, error) {
		if r != nil {
			t.Errorf("%s comes with a reader", o.Name)
		}
		got = append(got, o)
		return sdk.Receipt{Name: o.Name}, nil
	})
	_, _, err := line(t, 1, false, []Absorber{sink}, []bool{true}, func(ctx context.Context, out *Outlet) error {
		return errors.Join(
			out.Emit(ctx, sdk.Object{Name: "d", Kind: sdk.KindDirectory}, nil, false, nil),
			out.Emit(ctx, sdk.Object{Name: "l", Kind: sdk.KindSymlink, LinkTarget: "/srv"}, nil, false, nil),
		)
	})
	if err != nil || len(got) != 2 || got[1].LinkTarget != "/srv" || got[0].Name != "d" {
		t.Errorf("%+v, %v", got, err)
	}
}

type putter func(o sdk.Object, r io.Reader) (sdk.Receipt, error)

func (p putter) Put(_ context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	return p(o, r)
}
func (putter) Flush(context.Context) error { return nil }

func TestObjectsArePutWhileOthersAreMadeDurable(t *testing.T) {
	sink := &slowFlush{memory: &memory{}, entered: make(chan struct{}, 2), release: make(chan struct{})}
	_, _, err := line(t, 1, false, []Absorber{sink}, []bool{true}, func(ctx context.Context, out *Outlet) error {
		first, err := out.Send(ctx, sdk.Object{Name: "first", Size: 1}, strings.NewReader("x"), true)
		if err != nil {
			return err
		}
		<-sink.entered
		second, err := out.Send(ctx, sdk.Object{Name: "second", Size: 1}, strings.NewReader("y"), true)
		if err != nil {
			return err
		}
		for !sink.has("second.flip") {
			time.Sleep(time.Millisecond)
		}
		close(sink.release)
		for _, sent := range []*Sent{first, second} {
			if _, err := sent.Wait(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// slowFlush is a sink whose flushes wait until they are released.
type slowFlush struct {
	*memory
	entered, release chan struct{}
}

func (s *slowFlush) Flush(ctx context.Context) error {
	s.entered <- struct{}{}
	<-s.release
	return s.memory.Flush(ctx)
}

func (s *slowFlush) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.objects[name]
	return found
}
