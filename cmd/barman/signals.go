package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// interruption is why a context ends when a signal came.
type interruption struct{ signal syscall.Signal }

func (i interruption) Error() string { return "interrupted by " + unix.SignalName(i.signal) }

// sameSignal is how long after the first signal others are taken for the same
// one: timeout(1), for instance, signals its child and then the group it is in.
const sameSignal = 500 * time.Millisecond

// interruptible returns a context that the first SIGINT, SIGTERM or SIGHUP ends,
// so that commands end cleanly: a backup is marked as FAILED. The second one
// kills at once. A SIGHUP that was ignored at the start, as nohup does, stays so.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	wanted := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		wanted = append(wanted, syscall.SIGHUP)
	}
	came := make(chan os.Signal, 1)
	signal.Notify(came, wanted...)
	go func() {
		select {
		case s := <-came:
			cancel(interruption{signal: s.(syscall.Signal)})
			time.Sleep(sameSignal)
			signal.Reset(wanted...)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(came)
		cancel(nil)
	}
}
