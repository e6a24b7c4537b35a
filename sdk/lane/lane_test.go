package lane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestObjectsArriveInOrderAndAreAcknowledgedWithTheirReceipts(t *testing.T) {
	for _, options := range []Options{{}, {NoRing: true}} {
		receipts := map[uint64]string{}
		s, r := pairUp(t, t.Context(), options, func(sequence uint64, receipt []byte) { receipts[sequence] = string(receipt) })
		result := make(chan received, 1)
		go func() {
			got := drain(r)
			got.err = errors.Join(finish(r, got))
			result <- got
		}()
		sizes := []int{0, 1, inlineLimit - 1, inlineLimit, inlineLimit + 1, maxData, maxData + 1, 3_000_000, 5}
		for i, size := range sizes {
			if err := object(s, fmt.Sprint(i), pattern(size)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		got := <-result
		if got.err != nil || len(got.objects) != len(sizes) {
			t.Fatal(describe(got))
		}
		for i, size := range sizes {
			if got.headers[i] != fmt.Sprint(i) || got.objects[i] != string(pattern(size)) {
				t.Errorf("object %d of %d bytes arrived as %q with %d", i, size, got.headers[i], len(got.objects[i]))
			}
			if receipts[uint64(i+1)] != fmt.Sprintf("stored %d", i) {
				t.Errorf("the receipt of object %d is %q", i, receipts[uint64(i+1)])
			}
		}
	}
}

func TestALaneHasARingOnlyIfBothEndsWantIt(t *testing.T) {
	for _, sender := range []bool{true, false} {
		for _, receiver := range []bool{true, false} {
			a := address(t)
			l, err := Listen(a, Options{NoRing: !receiver})
			if err != nil {
				t.Fatal(err)
			}
			result := make(chan error, 1)
			go func() {
				r, err := l.Accept(t.Context())
				if err == nil {
					if (r.ring != nil) != (sender && receiver) {
						t.Errorf("sender %v, receiver %v: the receiver's ring is %v", sender, receiver, r.ring != nil)
					}
					err = finish(r, drain(r))
				}
				result <- err
			}()
			s, err := Dial(t.Context(), a, Options{NoRing: !sender}, func(uint64, []byte) {})
			if err != nil {
				t.Fatal(err)
			}
			if (s.ring != nil) != (sender && receiver) {
				t.Errorf("sender %v, receiver %v: the sender's ring is %v", sender, receiver, s.ring != nil)
			}
			if err := errors.Join(object(s, "a", pattern(1_000_000)), s.Close(), <-result); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestTheReasonOfAnAbortReachesTheOtherEnd(t *testing.T) {
	s, r := pairUp(t, t.Context(), Options{}, nil)
	if _, err := s.Begin([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := s.Abort([]byte("the disk broke")); err != nil {
		t.Fatal(err)
	}
	got := drain(r)
	var abort *AbortError
	if !errors.As(got.err, &abort) || string(abort.Reason) != "the disk broke" || len(got.objects) > 0 {
		t.Error(describe(got))
	}
	if err := r.Abort(nil); err != nil {
		t.Error(err)
	}

	s, r = pairUp(t, t.Context(), Options{}, nil)
	if err := r.Abort([]byte("the bucket is gone")); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil {
		err = object(s, "a", pattern(100_000))
	}
	if !errors.As(err, &abort) || string(abort.Reason) != "the bucket is gone" {
		t.Error(err)
	}
	if err := s.Abort(nil); err != nil {
		t.Error(err)
	}
}

func TestASenderWaitsWhenTooManyObjectsAreUnacknowledged(t *testing.T) {
	s, r := pairUp(t, t.Context(), Options{}, nil)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for {
			in, err := r.Next()
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, in); err != nil {
				return
			}
		}
	}()
	for i := range maxOutstanding {
		if err := object(s, "a", nil); err != nil {
			t.Fatalf("object %d: %v", i, err)
		}
	}
	begun := make(chan error, 1)
	go func() { begun <- object(s, "one more", nil) }()
	select {
	case err := <-begun:
		t.Fatalf("an object more than the window has begun: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	if err := r.Ack(2, nil); err != nil { // in any order
		t.Fatal(err)
	}
	if err := <-begun; err != nil {
		t.Fatal(err)
	}
	if err := s.Abort(nil); err != nil {
		t.Error(err)
	}
	<-read
	if err := r.Abort(nil); err != nil {
		t.Error(err)
	}
}

// faultyReceiver speaks backwards by hand.
func faultyReceiver(t *testing.T, frames ...frame) (*Sender, *net.UnixConn) {
	t.Helper()
	a := address(t)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: a, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	conns := make(chan *net.UnixConn, 1)
	go func() {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		if _, err := welcome(conn, Options{}); err != nil {
			t.Error(err)
		}
		conns <- conn
	}()
	s, err := Dial(t.Context(), a, Options{}, func(uint64, []byte) {})
	if err != nil {
		t.Fatal(err)
	}
	conn := <-conns
	t.Cleanup(func() { _ = conn.Close() })
	for _, f := range frames {
		if _, err := conn.Write(f.append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	return s, conn
}

func TestASenderRefusesWhatNoReceiverMaySay(t *testing.T) {
	for name, frames := range map[string][]frame{
		"a slot that was never filled":              {{kind: frameFree, argument: 3}},
		"a slot that does not exist":                {{kind: frameFree, argument: 8}},
		"an acknowledgement of nothing":             {{kind: frameAck, argument: 1}},
		"an acknowledgement of an object of before": {{kind: frameAck, argument: 0}},
		"data":      {{kind: frameData}},
		"an object": {{kind: frameObject, argument: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := faultyReceiver(t, frames...)
			<-s.Done()
			if !errors.Is(s.Err(), ErrProtocol) {
				t.Errorf("the sender ends with %v", s.Err())
			}
			if err := s.Abort(nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAnObjectIsAcknowledgedOnceAndOnlyAfterItsEnd(t *testing.T) {
	s, conn := faultyReceiver(t)
	if _, err := s.Begin([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(frame{kind: frameAck, argument: 1}.append(nil)); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if !errors.Is(s.Err(), ErrProtocol) {
		t.Errorf("acknowledged before its end: %v", s.Err())
	}
	if err := s.Abort(nil); err != nil {
		t.Error(err)
	}

	s, conn = faultyReceiver(t)
	if err := object(s, "a", nil); err != nil {
		t.Fatal(err)
	}
	if err := object(s, "b", nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := conn.Write(frame{kind: frameAck, argument: 1}.append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	<-s.Done()
	if !errors.Is(s.Err(), ErrProtocol) {
		t.Errorf("acknowledged twice: %v", s.Err())
	}
	if err := s.Abort(nil); err != nil {
		t.Error(err)
	}
}

func TestAReceiverThatClosesEarlyIsAnError(t *testing.T) {
	s, _ := faultyReceiver(t, frame{kind: frameClose})
	<-s.Done()
	if _, err := s.Begin([]byte("a")); err == nil {
		if err := s.Close(); err == nil {
			t.Error("the sender ended well")
		}
		return
	} else if !errors.Is(err, ErrBroken) {
		t.Errorf("the error is %v", err)
	}
	if err := s.Abort(nil); err != nil {
		t.Error(err)
	}
}

func TestALaneEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, r := pairUp(t, ctx, Options{}, nil)
	cancel()
	<-s.Done()
	if err := object(s, "a", pattern(100)); !errors.Is(err, ErrBroken) {
		t.Errorf("the sender's error is %v", err)
	}
	if _, err := r.Next(); !errors.Is(err, ErrBroken) {
		t.Errorf("the receiver's error is %v", err)
	}
	// Nobody to tell, but everything is let go.
	_ = s.Abort(nil)
	_ = r.Abort(nil)

	if _, err := Dial(ctx, address(t), Options{}, nil); !errors.Is(err, ErrBroken) {
		t.Errorf("connecting to nobody: %v", err)
	}
	l, err := Listen(address(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(ctx); !errors.Is(err, ErrBroken) {
		t.Errorf("waiting for nobody: %v", err)
	}
}

func TestASenderWaitsForItsReceiverToListen(t *testing.T) {
	a := address(t)
	dialled := make(chan error, 1)
	go func() {
		s, err := Dial(t.Context(), a, Options{}, nil)
		if err == nil {
			err = s.Close()
		}
		dialled <- err
	}()
	time.Sleep(5 * dialPause)
	l, err := Listen(a, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(finish(r, drain(r)), <-dialled); err != nil {
		t.Error(err)
	}
}

func TestTheSocketIsItsOwnersAlone(t *testing.T) {
	a := address(t)
	l, err := Listen(a, Options{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(a)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v (%v)", info.Mode(), err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(a); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestARingThatCouldShrinkIsRefused(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(ringSlots * ringSlotSize); err != nil {
		t.Fatal(err)
	}
	if _, err := mapRing(file, ringSlots, ringSlotSize); err == nil {
		t.Error("a plain file is accepted")
	}
	ring, sealed, err := newRing()
	if err != nil {
		t.Fatal(err)
	}
	defer sealed.Close()
	for _, size := range [][2]uint32{{0, 1}, {1, 0}, {ringSlots + 1, ringSlotSize}, {1 << 20, 1 << 20}, {1 << 31, 1 << 31}} {
		if _, err := mapRing(sealed, size[0], size[1]); !errors.Is(err, ErrProtocol) {
			t.Errorf("%d slots of %d bytes: %v", size[0], size[1], err)
		}
	}
	if err := ring.close(); err != nil {
		t.Error(err)
	}
}

func TestASourcesErrorThatWrapsTheEndIsNotTheEnd(t *testing.T) {
	for _, options := range []Options{{}, {NoRing: true}} {
		s, r := pairUp(t, t.Context(), options, nil)
		w, err := s.Begin([]byte("a"))
		if err != nil {
			t.Fatal(err)
		}
		lost := fmt.Errorf("the server closed the connection: %w", io.EOF)
		if n, err := w.ReadFrom(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(lost))); n != 4 || err != lost {
			t.Errorf("%d bytes, %v", n, err)
		}
		if err := errors.Join(s.Abort(nil), r.Abort(nil)); err != nil {
			t.Error(err)
		}
	}
}

// A stage may give up a lane while another of its goroutines still copies.
func TestMemoryIsNotTakenAwayUnderACopy(t *testing.T) {
	for range 50 {
		s, r := pairUp(t, t.Context(), Options{}, nil)
		sent, read := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(sent)
			w, err := s.Begin([]byte("a"))
			for err == nil {
				_, err = w.Write(make([]byte, 1<<20))
			}
		}()
		reading := make(chan struct{})
		go func() {
			defer close(read)
			in, err := r.Next()
			close(reading)
			b := make([]byte, 1000)
			for err == nil {
				_, err = in.Read(b)
			}
		}()
		<-reading
		if err := errors.Join(r.Abort([]byte("enough")), s.Abort(nil)); err != nil {
			t.Error(err)
		}
		<-sent
		<-read
	}
}

// zeros is a sparse object.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), z.left))
	clear(p[:n])
	z.left -= int64(n)
	return n, nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func TestObjectsBeyondFourGiBPassWithFlatMemory(t *testing.T) {
	for _, tc := range []struct {
		options Options
		size    int64
	}{{Options{}, 4<<30 + 1}, {Options{NoRing: true}, 1 << 30}} {
		s, r := pairUp(t, t.Context(), tc.options, nil)
		result := make(chan error, 1)
		var arrived counter
		go func() {
			in, err := r.Next()
			if err == nil {
				_, err = io.Copy(&arrived, in)
			}
			if err == nil {
				err = r.Ack(in.Sequence, nil)
			}
			if err == nil {
				_, err = r.Next()
			}
			if errors.Is(err, io.EOF) {
				err = r.Close()
			}
			result <- err
		}()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w, err := s.Begin([]byte("large"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, &zeros{tc.size}); err != nil {
			t.Fatal(err)
		}
		summary, err := w.Seal()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Finish(true), s.Close(), <-result); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if summary.Size != tc.size || arrived.n != tc.size {
			t.Errorf("of %d bytes %d were sent and %d arrived", tc.size, summary.Size, arrived.n)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
			t.Errorf("%d bytes took %d bytes of memory", tc.size, grown)
		}
	}
}

func TestTooLongHeadersAndReceiptsAreRefusedBeforeTheyAreSent(t *testing.T) {
	s, r := pairUp(t, t.Context(), Options{}, nil)
	if _, err := s.Begin(make([]byte, maxHeader+1)); !errors.Is(err, ErrProtocol) {
		t.Errorf("a header of %d bytes: %v", maxHeader+1, err)
	}
	if err := r.Ack(1, make([]byte, maxHeader+1)); !errors.Is(err, ErrProtocol) {
		t.Errorf("a receipt of %d bytes: %v", maxHeader+1, err)
	}
	if err := errors.Join(s.Abort(bytes.Repeat([]byte("x"), 2*maxHeader)), r.Abort(nil)); err != nil {
		t.Error(err)
	}
}

func TestNoEndOfALaneLeaksGoroutinesOrDescriptors(t *testing.T) {
	ends := map[string]func(ctx context.Context, cancel context.CancelFunc, s *Sender, r *Receiver){
		"closed": func(_ context.Context, _ context.CancelFunc, s *Sender, r *Receiver) {
			done := make(chan error, 1)
			go func() { done <- finish(r, drain(r)) }()
			if err := errors.Join(object(s, "a", pattern(1_000_000)), s.Close(), <-done); err != nil {
				t.Error(err)
			}
		},
		"aborted by the sender": func(_ context.Context, _ context.CancelFunc, s *Sender, r *Receiver) {
			_ = s.Abort([]byte("why"))
			_ = r.Abort(nil)
		},
		"aborted by the receiver": func(_ context.Context, _ context.CancelFunc, s *Sender, r *Receiver) {
			_ = r.Abort([]byte("why"))
			_ = s.Abort(nil)
		},
		"aborted inside an object": func(_ context.Context, _ context.CancelFunc, s *Sender, r *Receiver) {
			if w, err := s.Begin([]byte("a")); err != nil {
				t.Error(err)
			} else if _, err := w.Write(pattern(1_000_000)); err != nil {
				t.Error(err)
			}
			_ = s.Abort([]byte("why"))
			_ = finish(r, drain(r))
		},
		"cancelled": func(_ context.Context, cancel context.CancelFunc, s *Sender, r *Receiver) {
			cancel()
			_ = s.Abort(nil)
			_ = r.Abort(nil)
		},
		"the sender's end is gone": func(_ context.Context, _ context.CancelFunc, s *Sender, r *Receiver) {
			_ = s.conn.Close()
			_ = finish(r, drain(r))
			_ = s.Abort(nil)
		},
		"the receiver's end is gone": func(_ context.Context, _ context.CancelFunc, s *Sender, r *Receiver) {
			_ = r.conn.Close()
			_ = s.Close()
			_ = s.Abort(nil)
			_ = r.Abort(nil)
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			round := func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s, r := pairUp(t, ctx, Options{}, nil)
				end(ctx, cancel, s, r)
			}
			round()
			goroutines, files, maps := counts(t)
			for range 10 {
				round()
			}
			for range 200 {
				if g, f, m := counts(t); g <= goroutines && f <= files && m <= maps {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
			g, f, m := counts(t)
			t.Errorf("%d goroutines became %d, %d descriptors %d, %d rings %d", goroutines, g, files, f, maps, m)
		})
	}
}

func counts(t *testing.T) (goroutines, files, rings int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return runtime.NumGoroutine(), len(entries), strings.Count(string(maps), "memfd:barman-lane")
}
