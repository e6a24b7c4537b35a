package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
)

// grace is how long a script that is told to end may take for it, and how long
// processes that outlive their script may go on writing to the log. Barman kills
// a plugin that does not end within two seconds.
const grace = time.Second

// exitError is the exit code of a script that did not succeed.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// run runs the script once. It has a process group of its own, which is ended
// as a whole when ctx or the time for the run ends. What it leaves running when
// it ends by itself stays.
func (s *Script) run(ctx context.Context, log hclog.Logger, env []string) error {
	late := fmt.Errorf("timed out after %s and was ended", s.timeout)
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.timeout, late)
		defer cancel()
	}
	out := &output{log: log}
	defer out.close()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", s.command)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return signalGroup(cmd, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	err := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		if killed := signalGroup(cmd, syscall.SIGKILL); killed != nil && !errors.Is(killed, os.ErrProcessDone) {
			err = errors.Join(err, killed)
		}
	}
	return explain(ctx, err)
}

// signalGroup signals the script and all that it started.
func signalGroup(cmd *exec.Cmd, signal syscall.Signal) error {
	err := syscall.Kill(-cmd.Process.Pid, signal)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

func explain(ctx context.Context, err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &exit) && exit.Exited():
		return &exitError{code: exit.ExitCode()}
	}
	return err
}
