package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// orphanTime is how long a plugin may outlive its core, or a core its plugin.
const orphanTime = 2 * time.Second

// run runs a program that must succeed.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	r := pgtest.Run(t, exec.CommandContext(t.Context(), program, args...))
	if r.Code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", filepath.Base(program), strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// background is a command that runs beside the test.
type background struct {
	t              *testing.T
	cmd            *exec.Cmd
	done           chan struct{}
	stdout, stderr *text
	family         map[int]string // process IDs seen, by program
}

// start starts a command that ends, at the latest, with the test.
func start(t *testing.T, cmd *exec.Cmd) *background {
	t.Helper()
	b := &background{t: t, cmd: cmd, done: make(chan struct{}), stdout: &text{}, stderr: &text{}, family: map[int]string{}}
	cmd.Stdout, cmd.Stderr = b.stdout, b.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(b.done)
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-b.done
		if t.Failed() {
			t.Logf("%s said:\n%s%s", strings.Join(cmd.Args[1:], " "), b.stdout, b.stderr)
		}
	})
	return b
}

// mustRun fails the test when the command has ended.
func (b *background) mustRun() {
	b.t.Helper()
	select {
	case <-b.done:
		b.t.Fatalf("%s has ended (%s):\n%s%s", strings.Join(b.cmd.Args[1:], " "), b.cmd.ProcessState, b.stdout, b.stderr)
	default:
	}
}

// signal sends the command a signal.
func (b *background) signal(sig syscall.Signal) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(sig); err != nil {
		b.t.Fatalf("%s: %v", strings.Join(b.cmd.Args[1:], " "), err)
	}
}

// end waits for the command to end.
func (b *background) end() pgtest.Result {
	b.t.Helper()
	select {
	case <-b.done:
	case <-time.After(patience):
		b.t.Fatalf("%s still runs after %s", strings.Join(b.cmd.Args[1:], " "), patience)
	}
	return pgtest.Result{Code: b.cmd.ProcessState.ExitCode(), Stdout: b.stdout.String(), Stderr: b.stderr.String()}
}

// stop ends the command with SIGTERM.
func (b *background) stop() pgtest.Result {
	b.t.Helper()
	b.signal(syscall.SIGTERM)
	return b.end()
}

// plugins returns the process IDs of the command's plugins, by kind and name, and
// remembers them.
func (b *background) plugins() map[string][]int {
	b.t.Helper()
	found := map[string][]int{}
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", b.cmd.Process.Pid))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(children)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				b.t.Fatal(err)
			}
			program, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if err != nil {
				continue
			}
			first, _, _ := strings.Cut(string(program), "\x00")
			if name, ok := strings.CutPrefix(filepath.Base(first), "barman-plugin-"); ok {
				found[name] = append(found[name], pid)
				b.family[pid] = name
			}
		}
	}
	return found
}

// noOrphans fails the test when a plugin that was seen outlives the command.
func (b *background) noOrphans() {
	b.t.Helper()
	b.end()
	deadline := time.Now().Add(orphanTime)
	for pid, name := range b.family {
		for alive(pid, name) {
			if time.Now().After(deadline) {
				b.t.Fatalf("%s (process %d) outlives its core by more than %s", name, pid, orphanTime)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// alive tells whether a process still runs that program.
func alive(pid int, plugin string) bool {
	program, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(program), "barman-plugin-"+plugin)
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("signal %s to process %d: %v", sig, pid, err)
	}
}

// text is what a command has printed so far.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}
