package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
)

// What a script with retry says by its exit code (Barman manual, "Hook
// scripts").
const (
	abortContinue = 62
	abortStop     = 63
)

// Pauses between the attempts of a script with retry: short ones, and a nap
// after every sixth failure.
const (
	shortPause = 3 * time.Second
	longPause  = 60 * time.Second
	napAfter   = 6
)

// Script is the hook.
type Script struct {
	command string
	retry   bool
	timeout time.Duration // of one run, 0 for none
	running *sync.WaitGroup
	pause   func(context.Context, time.Duration) error
}

// New makes the hook that config describes; running counts its calls.
func New(config *Config, running *sync.WaitGroup) (*Script, error) {
	if err := config.Validate().Err(); err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%w", err)
	}
	s := &Script{command: config.Script, retry: config.Retry, running: running, pause: pause}
	if config.Timeout != nil {
		s.timeout = *config.Timeout
	}
	return s, nil
}

// Notify runs the script. Without retry it returns nil however the script ends.
// With retry it runs the script again until that ends with a verdict; the
// verdict to stop is an error. When ctx ends, the script is ended first.
func (s *Script) Notify(ctx context.Context, e sdk.Event) error {
	s.running.Add(1)
	defer s.running.Done()
	log := hclog.FromContext(ctx).With("event", string(e.Phase)+"_"+e.Operation)
	env := environment(os.Environ(), e, s.retry)
	var err error
	if s.retry {
		err = s.insist(ctx, log, env)
	} else {
		err = s.once(ctx, log, env)
	}
	if err != nil && ctx.Err() != nil {
		return sdk.Errorf(sdk.Cancelled, "hook script %q: %w", s.command, context.Cause(ctx))
	}
	return err
}

// once runs the script and only logs how it ended.
func (s *Script) once(ctx context.Context, log hclog.Logger, env []string) error {
	err := s.run(ctx, log, env)
	if err == nil || ctx.Err() != nil {
		return err
	}
	log.Warn("the hook script failed; the operation goes on", "script", s.command, "error", err)
	return nil
}

// insist runs the script until it ends with a verdict.
func (s *Script) insist(ctx context.Context, log hclog.Logger, env []string) error {
	for failures := 1; ; failures++ {
		err := s.run(ctx, log, env)
		if err == nil || ctx.Err() != nil {
			return err
		}
		var exit *exitError
		if errors.As(err, &exit) {
			switch exit.code {
			case abortContinue:
				log.Warn("the hook script gives up; the operation goes on", "script", s.command, "exit_code", exit.code)
				return nil
			case abortStop:
				return fmt.Errorf("hook script %q exited with %d, its way to say that the operation must not go on; the log has its output", s.command, exit.code)
			}
		}
		wait := shortPause
		if failures%napAfter == 0 {
			wait = longPause
		}
		log.Warn("the hook script failed and will be run again", "script", s.command, "error", err, "failures", failures, "pause", wait)
		if err := s.pause(ctx, wait); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
