package lane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) {
	if address := os.Getenv("LANE_RECEIVER"); address != "" {
		swallow(address)
		return
	}
	os.Exit(m.Run())
}

// address is a socket's path, which has to be short.
func address(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lane")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "l")
}

// received is what a receiver made of a lane.
type received struct {
	headers []string
	objects []string // complete ones
	partial int
	err     error // io.EOF after CLOSE
}

// drain reads a lane to its end and acknowledges everything.
func drain(r *Receiver) received {
	var got received
	for {
		in, err := r.Next()
		if err != nil {
			got.err = err
			return got
		}
		got.headers = append(got.headers, string(in.Header))
		var b bytes.Buffer
		if _, err := in.WriteTo(&b); err != nil {
			got.partial++
			got.err = err
			return got
		}
		got.objects = append(got.objects, b.String())
		if err := r.Ack(in.Sequence, []byte("stored "+string(in.Header))); err != nil {
			got.err = err
			return got
		}
	}
}

// finish ends a receiver as what it has received asks for.
func finish(r *Receiver, got received) error {
	if errors.Is(got.err, io.EOF) {
		return r.Close()
	}
	return errors.Join(got.err, r.Abort([]byte("why")))
}

// pairUp makes both ends of a lane in this process.
func pairUp(t testing.TB, ctx context.Context, options Options, onAck func(uint64, []byte)) (*Sender, *Receiver) {
	t.Helper()
	a := address(t)
	l, err := Listen(a, options)
	if err != nil {
		t.Fatal(err)
	}
	type accepted struct {
		r   *Receiver
		err error
	}
	done := make(chan accepted, 1)
	go func() {
		r, err := l.Accept(ctx)
		done <- accepted{r, err}
	}()
	if onAck == nil {
		onAck = func(uint64, []byte) {}
	}
	s, err := Dial(ctx, a, options, onAck)
	if err != nil {
		t.Fatal(err)
	}
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	return s, got.r
}

// object sends one.
func object(s *Sender, header string, content []byte) error {
	w, err := s.Begin([]byte(header))
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if _, err := w.Seal(); err != nil {
		return err
	}
	return w.Finish(false)
}

// rawReceiver is a receiver that is fed with bytes instead of a socket.
func rawReceiver(forwards io.Reader, ring *ring) *Receiver {
	r := &Receiver{in: bufio.NewReaderSize(forwards, socketBuffer), out: bufio.NewWriter(io.Discard), ring: ring}
	if ring != nil {
		r.filled = make([]bool, ring.slots)
	}
	return r
}

// rawPeer connects to a listener without speaking.
func rawPeer(t testing.TB, address string) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

func describe(got received) string {
	return fmt.Sprintf("%d objects, %d partial, %v", len(got.objects), got.partial, got.err)
}
