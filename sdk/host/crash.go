package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/barman-go/barman/sdk"
)

const (
	// hungAfter is how long a plugin may give no sign of life unless the caller
	// says otherwise. A machine that swaps makes a healthy one silent for many
	// seconds, and giving it up costs a backup.
	hungAfter = 30 * time.Second
	// pingEvery is how often a plugin at work is asked for a sign of life, and
	// pingPatience after how long without one its silence is logged.
	pingEvery    = 500 * time.Millisecond
	pingPatience = 500 * time.Millisecond
	// crashGrace is how long the end of a process may take to be known after its
	// connection broke.
	crashGrace = 2 * time.Second
)

// watched returns a context that also ends when the plugin gives no sign of
// life for too long. cancel must be called.
func (s *Stage) watched(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go s.watch(ctx, cancel)
	return ctx, cancel
}

func (s *Stage) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	alive, silent := time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.process.exited:
			return // the call itself ends with the connection
		case <-time.After(pingEvery):
		}
		err := s.ping(ctx)
		switch {
		case err == nil:
			if silent {
				s.log.logger.Info("answers again", "silent", time.Since(alive).Round(time.Millisecond))
			}
			alive, silent = time.Now(), false
		case ctx.Err() != nil:
			return
		case time.Since(alive) > s.hungAfter:
			cancel(sdk.Errorf(sdk.Unavailable, "hangs: no sign of life for %s", s.hungAfter))
			return
		case !silent:
			silent = true
			s.log.logger.Warn("gives no sign of life", "pid", s.PID(), "given_up_after", s.hungAfter)
		}
	}
}

func (s *Stage) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	return s.control.Ping(ctx)
}

// explain turns an error of the control connection into one with a kind; when
// the process is gone it says how it ended.
func (s *Stage) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	err = sdk.FromStatus(err)
	if sdk.KindOf(err) == sdk.Unavailable || sdk.KindOf(err) == sdk.Cancelled && ctx.Err() == nil {
		if crash := s.crash(ctx); crash != nil {
			return crash
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		var classified *sdk.Error
		if errors.As(cause, &classified) {
			return cause
		}
		return &sdk.Error{Kind: sdk.Cancelled, Err: cause}
	}
	return err
}

// Crash is the error of a plugin whose process ended on its own.
type Crash struct{ Ending, LastLines string }

// Error tells how the process ended and what it said last.
func (c *Crash) Error() string {
	if c.LastLines == "" {
		return "stopped unexpectedly: " + c.Ending
	}
	return fmt.Sprintf("stopped unexpectedly: %s; its last words: %s", c.Ending, c.LastLines)
}

// crash returns how the process ended, nil when it lives. A plugin that answers
// returned its error itself.
func (s *Stage) crash(ctx context.Context) error {
	if s.ping(context.WithoutCancel(ctx)) == nil {
		return nil
	}
	select {
	case <-s.process.exited:
	case <-time.After(crashGrace):
		return nil
	}
	ending := "its process ended"
	select {
	case <-s.process.ended:
		ending, _ = s.process.ending()
	case <-time.After(crashGrace):
		// A stranger holds its standard error open, so it is not reaped yet.
	}
	return &Crash{Ending: ending, LastLines: s.log.lastLines()}
}
