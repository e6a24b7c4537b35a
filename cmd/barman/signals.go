package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// interruption is why a context ends when a signal came.
type interruption struct{ signal syscall.Signal }

func (i interruption) Error() string { return "interrupted by " + names[i.signal] }

var names = map[syscall.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM", syscall.SIGHUP: "SIGHUP"}

// interruptible returns a context that the first SIGINT, SIGTERM or SIGHUP ends,
// so that commands end cleanly: a backup is marked as FAILED. The second one
// kills at once. A signal that was ignored at the start, as nohup does, stays so.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	var wanted []os.Signal
	for s := range names {
		if !signal.Ignored(s) {
			wanted = append(wanted, s)
		}
	}
	came := make(chan os.Signal, 1)
	if len(wanted) > 0 {
		signal.Notify(came, wanted...)
	}
	go func() {
		select {
		case s := <-came:
			signal.Reset(wanted...)
			cancel(interruption{signal: s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(came)
		cancel(nil)
	}
}
