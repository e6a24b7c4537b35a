//go:build linux && amd64

package chaos

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// orphanPatience is how long a child may outlive the command.
const orphanPatience = 2 * time.Second

// trace runs the command and does the fault at the point. The process must have
// no children: which of them end is found out by waiting for any.
func trace(j job) (Outcome, error) {
	output, err := os.CreateTemp("", "chaos-output-")
	if err != nil {
		return Outcome{}, err
	}
	defer output.Close()
	if err := os.Remove(output.Name()); err != nil {
		return Outcome{}, err
	}
	t := &tracer{job: j, forms: forms(), threads: map[int]bool{}, processes: map[int]*process{}, counts: map[Point]int{}}
	// The kernel ties tracees to the thread that traces.
	runtime.LockOSThread()
	if err := t.run(output); err != nil {
		return Outcome{}, err
	}
	text, err := io.ReadAll(io.NewSectionReader(output, 0, 256<<10))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcome.Output = string(text)
	return t.outcome, err
}

// process is a process of the run.
type process struct {
	program string
}

type tracer struct {
	job
	forms   map[uint64]form
	outcome Outcome

	threads  map[int]bool
	counts   map[Point]int
	firstPID int
	struck   bool // the fault has happened

	mu        sync.Mutex
	processes map[int]*process
}

func (t *tracer) run(output *os.File) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, t.Command.Args...)
	cmd.Args[0] = t.Command.Path
	cmd.Env = append(append([]string{}, t.Command.Env...), asExec+"="+t.Command.Path)
	cmd.Stdout, cmd.Stderr = output, output
	if t.Command.Stdin != "" {
		in, err := os.Open(t.Command.Stdin)
		if err != nil {
			return err
		}
		defer in.Close()
		cmd.Stdin = in
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	t.firstPID = cmd.Process.Pid
	if err := cmd.Process.Release(); err != nil {
		return err
	}
	var status unix.WaitStatus
	if _, err := wait4(t.firstPID, &status); err != nil {
		return err
	}
	options := unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(t.firstPID, options); err != nil {
		return fmt.Errorf("ptrace: %w", err)
	}
	t.threads[t.firstPID] = true
	t.processes[t.firstPID] = &process{}
	if err := unix.PtraceCont(t.firstPID, 0); err != nil {
		return fmt.Errorf("ptrace: %w", err)
	}
	hung := time.AfterFunc(t.Command.Within, t.giveUp)
	defer hung.Stop()
	return t.loop()
}

// giveUp ends a run that takes too long. Go prints where it hangs.
func (t *tracer) giveUp() {
	t.mu.Lock()
	t.outcome.Hung = true
	t.mu.Unlock()
	_ = syscall.Kill(t.firstPID, syscall.SIGQUIT)
	time.AfterFunc(time.Second, t.killAll)
}

// killAll ends what is left.
func (t *tracer) killAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for tid := range t.threads {
		_ = syscall.Kill(tid, syscall.SIGKILL)
	}
}

// buryOrphans ends what is left after the command has ended for a while.
func (t *tracer) buryOrphans() {
	t.mu.Lock()
	for pid, p := range t.processes {
		t.outcome.Orphans = append(t.outcome.Orphans, fmt.Sprintf("%s (process %d)", p.program, pid))
	}
	t.mu.Unlock()
	t.killAll()
}

func wait4(pid int, status *unix.WaitStatus) (int, error) {
	for {
		got, err := unix.Wait4(pid, status, unix.WALL, nil)
		if !errors.Is(err, syscall.EINTR) {
			return got, err
		}
	}
}

func (t *tracer) loop() error {
	for {
		var status unix.WaitStatus
		tid, err := wait4(-1, &status)
		if errors.Is(err, syscall.ECHILD) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case status.Exited(), status.Signaled():
			t.ended(tid, status)
		case status.Stopped():
			t.stopped(tid, status)
		}
	}
}

func (t *tracer) ended(tid int, status unix.WaitStatus) {
	t.mu.Lock()
	delete(t.threads, tid)
	delete(t.processes, tid)
	t.mu.Unlock()
	if tid != t.firstPID {
		return
	}
	t.outcome.Code = -1
	if status.Exited() {
		t.outcome.Code = status.ExitStatus()
	}
	time.AfterFunc(orphanPatience, t.buryOrphans)
}

// stopped deals with a thread that stopped and lets it go on. That it is gone
// by then is nothing to speak of.
func (t *tracer) stopped(tid int, status unix.WaitStatus) {
	signal := status.StopSignal()
	t.mu.Lock()
	known := t.threads[tid]
	t.threads[tid] = true
	t.mu.Unlock()
	deliver := int(signal)
	switch {
	case signal == syscall.SIGTRAP && status.TrapCause() == unix.PTRACE_EVENT_SECCOMP:
		t.called(tid)
		deliver = 0
	case signal == syscall.SIGTRAP && status.TrapCause() > 0:
		if status.TrapCause() == unix.PTRACE_EVENT_EXEC {
			t.became(tid)
		}
		deliver = 0
	case signal == syscall.SIGSTOP && !known:
		deliver = 0 // how a new thread begins
	}
	_ = unix.PtraceCont(tid, deliver)
}

// called is told of a call that is about to be made.
func (t *tracer) called(tid int) {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &regs); err != nil {
		return
	}
	f, ok := t.forms[regs.Orig_rax]
	if !ok {
		return
	}
	call := f.call
	if flags := openFlags(regs); call == "open" && flags&unix.O_CREAT != 0 {
		call = "create"
	}
	object := t.object(tid, f.argument, regs)
	if object == "" {
		return
	}
	if object == socket {
		switch call {
		case "read":
			call = "receive"
		case "write":
			call = "send"
		}
	}
	pid := group(tid)
	p := Point{Program: t.register(pid).program, Call: call, Object: object}
	t.counts[p]++
	p.Nth = t.counts[p]
	t.outcome.Points = append(t.outcome.Points, p)
	if p == t.Point && t.Fault != (Fault{}) {
		t.struck, t.outcome.Hit = true, true
		t.strike(tid, pid, regs)
		return
	}
	if t.struck && t.Fault.Stays && call.effect() == Writes && object != socket {
		t.strike(tid, pid, regs)
	}
}

func (t *tracer) strike(tid, pid int, regs unix.PtraceRegs) {
	if t.Fault.Kill {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		return
	}
	regs.Orig_rax = ^uint64(0) // no call: the kernel skips it
	regs.Rax = uint64(-int64(t.Fault.Errno))
	_ = unix.PtraceSetRegs(tid, &regs)
}

func openFlags(regs unix.PtraceRegs) uint64 {
	if regs.Orig_rax == unix.SYS_OPEN {
		return regs.Rsi
	}
	return regs.Rdx
}
