package lane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// proxy stands between both ends of a lane and passes on what they send,
// descriptors included, until one direction has reached its limit; then it cuts
// the lane. A limit below 0 stands for none.
type proxy struct {
	forwards, backwards int
	passed              [2]int
}

func (p *proxy) run(sender, receiver *net.UnixConn) {
	done := make(chan struct{}, 2)
	pass := func(from, to *net.UnixConn, limit int, passed *int) {
		defer func() { done <- struct{}{} }()
		b, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
		for {
			want := len(b)
			if limit >= 0 {
				want = min(want, limit-*passed)
			}
			if want == 0 {
				return
			}
			n, m, _, _, err := from.ReadMsgUnix(b[:want], rights)
			if n > 0 {
				if _, _, err := to.WriteMsgUnix(b[:n], rights[:m], nil); err != nil {
					return
				}
				*passed += n
			}
			if m > 0 {
				closeRights(rights[:m])
			}
			if err != nil || n == 0 {
				return
			}
		}
	}
	go pass(sender, receiver, p.forwards, &p.passed[0])
	go pass(receiver, sender, p.backwards, &p.passed[1])
	<-done
	// What was passed on arrives before the end does.
	_ = sender.Close()
	_ = receiver.Close()
	<-done
}

func closeRights(rights []byte) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return
	}
	for _, m := range messages {
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		}
	}
}

// cutContents are what is sent through the proxy; the second object goes
// through the ring where there is one.
func cutContents() [][]byte {
	return [][]byte{[]byte("one object"), pattern(inlineLimit + 10), {}}
}

// through runs a whole lane through a proxy and returns how each end fared.
func through(t *testing.T, p *proxy, options Options) (acks int, got received, sending error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	behind, front := address(t), address(t)
	l, err := Listen(behind, options)
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan received, 1)
	go func() {
		r, err := l.Accept(ctx)
		if err != nil {
			result <- received{err: err}
			return
		}
		got := drain(r)
		if err := finish(r, got); err != nil && errors.Is(got.err, io.EOF) {
			got.err = err
		}
		result <- got
	}()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: front, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	proxied := make(chan struct{})
	go func() {
		defer close(proxied)
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		to, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: behind, Net: "unix"})
		if err != nil {
			return
		}
		p.run(conn, to)
	}()
	sending = func() error {
		s, err := Dial(ctx, front, options, func(uint64, []byte) { acks++ })
		if err != nil {
			return err
		}
		for i, content := range cutContents() {
			if err := object(s, fmt.Sprint(i), content); err != nil {
				return errors.Join(err, s.Abort([]byte("cut")))
			}
		}
		return s.Close()
	}()
	got = <-result
	<-proxied
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	return acks, got, sending
}

func TestALaneThatIsCutAtAnyByteIsAnErrorAtBothEndsAndNoObjectLooksComplete(t *testing.T) {
	for _, options := range []Options{{}, {NoRing: true}} {
		whole := &proxy{forwards: -1, backwards: -1}
		acks, got, sending := through(t, whole, options)
		if sending != nil || acks != 3 || !errors.Is(got.err, io.EOF) {
			t.Fatalf("uncut: %v, %d acknowledgements, %s", sending, acks, describe(got))
		}
		limits := cuts(whole.passed[0])
		for _, limit := range limits {
			acks, got, sending := through(t, &proxy{forwards: limit, backwards: -1}, options)
			if sending == nil {
				t.Errorf("%+v, cut after %d of %d bytes: the sender ended well", options, limit, whole.passed[0])
			}
			if got.err == nil || errors.Is(got.err, io.EOF) {
				t.Errorf("%+v, cut after %d of %d bytes: the receiver ended well", options, limit, whole.passed[0])
			}
			if acks > len(got.objects) {
				t.Errorf("%+v, cut after %d of %d bytes: %d acknowledgements for %d objects", options, limit, whole.passed[0], acks, len(got.objects))
			}
			compareComplete(t, got)
		}
		for limit := range whole.passed[1] {
			acks, got, sending := through(t, &proxy{forwards: -1, backwards: limit}, options)
			if sending == nil {
				t.Errorf("%+v, cut after %d of %d bytes backwards: the sender ended well", options, limit, whole.passed[1])
			}
			if acks > len(got.objects) {
				t.Errorf("%+v, cut after %d of %d bytes backwards: %d acknowledgements for %d objects", options, limit, whole.passed[1], acks, len(got.objects))
			}
			compareComplete(t, got)
		}
	}
}

// cuts are all positions, but of the middle of bulk data only some.
func cuts(total int) []int {
	var all []int
	for i := range total {
		if i < 400 || i > total-400 || i%1009 == 0 {
			all = append(all, i)
		}
	}
	return all
}

func compareComplete(t *testing.T, got received) {
	t.Helper()
	for i, o := range got.objects {
		if !slices.Equal([]byte(o), cutContents()[i]) {
			t.Errorf("object %d arrived as %d other bytes", i, len(o))
		}
	}
}
