package lane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// swallow is what the test binary does as the process at the other end.
func swallow(address string) {
	err := func() error {
		l, err := Listen(address, Options{NoRing: os.Getenv("LANE_NO_RING") != ""})
		if err != nil {
			return err
		}
		r, err := l.Accept(context.Background())
		if err != nil {
			return err
		}
		for {
			in, err := r.Next()
			if errors.Is(err, io.EOF) {
				return r.Close()
			}
			if err != nil {
				return err
			}
			if _, err := in.WriteTo(io.Discard); err != nil {
				return err
			}
			if err := r.Ack(in.Sequence, nil); err != nil {
				return err
			}
		}
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// filler is a source whose bytes cost nothing.
type filler struct{ left int64 }

func (f *filler) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), f.left))
	f.left -= int64(n)
	return n, nil
}

func used(who int) time.Duration {
	var u syscall.Rusage
	// It can only fail for a who that does not exist.
	_ = syscall.Getrusage(who, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHop sends objects of 256 MiB from this process to another one, both
// of which compute their checksums, and tells the processor time that both take.
func BenchmarkHop(b *testing.B) {
	for _, c := range []struct {
		name string
		ring bool
	}{{"ring", true}, {"socket", false}} {
		b.Run(c.name, func(b *testing.B) { hop(b, c.ring, 256<<20) })
		b.Run(c.name+"/small", func(b *testing.B) { hop(b, c.ring, 1000) })
	}
}

func hop(b *testing.B, ring bool, size int64) {
	a := address(b)
	peer := exec.Command(os.Args[0])
	peer.Env = append(os.Environ(), "LANE_RECEIVER="+a)
	if !ring {
		peer.Env = append(peer.Env, "LANE_NO_RING=1")
	}
	peer.Stderr = os.Stderr
	if err := peer.Start(); err != nil {
		b.Fatal(err)
	}
	s, err := Dial(b.Context(), a, Options{NoRing: !ring}, func(uint64, []byte) {})
	if err != nil {
		b.Fatal(err)
	}
	before := used(syscall.RUSAGE_SELF)
	b.SetBytes(size)
	for b.Loop() {
		w, err := s.Begin([]byte("header"))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := w.ReadFrom(&filler{size}); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Seal(); err != nil {
			b.Fatal(err)
		}
		if err := w.Finish(false); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	if err := peer.Wait(); err != nil {
		b.Fatal(err)
	}
	cpu := used(syscall.RUSAGE_SELF) - before + peer.ProcessState.UserTime() + peer.ProcessState.SystemTime()
	total := float64(size) * float64(b.N)
	b.ReportMetric(cpu.Seconds()/(total/1e9), "cpu-s/GB")
	if size < 1<<20 {
		b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-µs/object")
	}
}
