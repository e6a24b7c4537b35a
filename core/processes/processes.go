package processes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
)

// Find returns the running process of a task, by the name that
// catalogue.Server.Processes gives it. That it does not run is an error of kind
// NotFound, which names those that do.
func Find(s *catalogue.Server, task string) (catalogue.Process, error) {
	running, err := s.Processes()
	i := slices.IndexFunc(running, func(p catalogue.Process) bool { return p.Task == task })
	if i >= 0 {
		return running[i], nil
	}
	if err != nil {
		return catalogue.Process{}, err
	}
	return catalogue.Process{}, sdk.Errorf(sdk.NotFound, "Termination of %s failed: no such process for server %s: %s", task, s.Layout().Name, others(running))
}

func others(running []catalogue.Process) string {
	if len(running) == 0 {
		return "nothing runs for it"
	}
	var tasks []string
	for _, p := range running {
		tasks = append(tasks, p.Task)
	}
	return "what runs for it is " + strings.Join(slices.Compact(tasks), ", ")
}

// look is how often Stop looks whether a process has ended.
const look = 50 * time.Millisecond

// Stop asks a process to end, with SIGINT, and waits until it has given its lock
// back. One that has not when ctx ends is an error of kind Busy; one that belongs
// to another user is Denied. A process that has ended meanwhile is no error.
func Stop(ctx context.Context, s *catalogue.Server, p catalogue.Process) error {
	what := fmt.Sprintf("%s of server %q, process %d", p.Task, s.Layout().Name, p.PID)
	if p.PID == os.Getpid() {
		return sdk.Errorf(sdk.Invalid, "%s, is this process: interrupt it", what)
	}
	// The number may be another process's by now: who holds the lock is looked up
	// again right before the signal.
	if holds, err := holds(s, p); err != nil || !holds {
		return err
	}
	if err := syscall.Kill(p.PID, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return sdk.Errorf(sdk.Denied, "stop %s: %w: stop it as the user it runs as", what, err)
	}
	for {
		if holds, err := holds(s, p); err != nil || !holds {
			return err
		}
		select {
		case <-ctx.Done():
			return sdk.Errorf(sdk.Busy, "%s, was told to stop and still runs: %w", what, ctx.Err())
		case <-time.After(look):
		}
	}
}

// holds tells whether a process has its lock still.
func holds(s *catalogue.Server, p catalogue.Process) (bool, error) {
	pid, held, err := s.Holder(p.Lock())
	return held && pid == p.PID, err
}
