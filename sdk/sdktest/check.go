package sdktest

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// T is what a check needs of the test that it runs in; *testing.T is one.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
	TempDir() string
	Context() context.Context
}

// Check is one clause of a contract.
type Check struct {
	// Name identifies the check; it never changes.
	Name string
	// Clause is what the contract says.
	Clause string

	run func(t T)
}

// Run performs the check.
func (c Check) Run(t T) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the clause: %s", c.Clause)
		}
	})
	c.run(t)
}

// runAll performs checks as subtests. Without a plugin that starts, which the
// first one finds out, the others would only repeat its failure.
func runAll(t *testing.T, checks []Check) {
	t.Helper()
	for i, c := range checks {
		if ok := t.Run(c.Name, func(t *testing.T) { c.Run(t) }); !ok && i == 0 {
			t.Fatalf("%s: the other checks were not run", c.Name)
		}
	}
}

// Result is how a check ended.
type Result struct {
	Check Check
	// Failures is empty when the clause holds.
	Failures []string
	// Log is what the check noted beside.
	Log []string
	// Took is the time that it took.
	Took time.Duration
}

// Perform runs checks outside a test, one after the other, and tells observe
// the result of each. It stops when ctx ends, and after the first check if that
// one fails: the plugin does not start then.
func Perform(ctx context.Context, checks []Check, observe func(Result)) {
	for i, c := range checks {
		if ctx.Err() != nil {
			return
		}
		r := perform(ctx, c)
		observe(r)
		if i == 0 && len(r.Failures) > 0 {
			return
		}
	}
}

func perform(ctx context.Context, c Check) Result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &recorder{ctx: ctx}
	start := time.Now()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer r.cleanUp()
		c.Run(r)
	}()
	<-ended
	r.mu.Lock()
	defer r.mu.Unlock()
	return Result{Check: c, Failures: r.failures, Log: r.log, Took: time.Since(start)}
}

// recorder is a T that keeps what it is told.
type recorder struct {
	ctx context.Context

	mu       sync.Mutex
	failures []string
	log      []string
	cleanups []func()
}

func (r *recorder) Helper() {}

func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) TempDir() string {
	dir, err := os.MkdirTemp("", "barman-check")
	if err != nil {
		r.Fatalf("a temporary directory: %v", err)
	}
	r.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			r.Errorf("remove a temporary directory: %v", err)
		}
	})
	return dir
}

// cleanUp runs what was registered, last first, also after a Fatalf in one.
func (r *recorder) cleanUp() {
	for {
		r.mu.Lock()
		n := len(r.cleanups)
		if n == 0 {
			r.mu.Unlock()
			return
		}
		f := r.cleanups[n-1]
		r.cleanups = r.cleanups[:n-1]
		r.mu.Unlock()
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		<-done
	}
}
