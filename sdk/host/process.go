package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
)

// process is a plugin's subprocess. It implements go-plugin's runner.
type process struct {
	cmd    *exec.Cmd
	name   string
	binary *os.File
	stdout io.ReadCloser
	stderr io.ReadCloser

	exited chan struct{} // closed when the child is dead, though perhaps not yet reaped

	mu    sync.Mutex
	state *os.ProcessState
	ended chan struct{} // closed when it is reaped and state is known
}

// openBinary opens a plugin's binary and checks what is opened, so that what
// is checked is what runs, even if the file is replaced in between.
func openBinary(path, pin string) (*os.File, error) {
	if !filepath.IsAbs(path) {
		return nil, sdk.Errorf(sdk.Invalid, "plugin %s: the path is not absolute", path)
	}
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, sdk.Errorf(sdk.NotFound, "plugin %s does not exist", path)
		}
		return nil, sdk.Errorf(sdk.Denied, "plugin: %w", err)
	}
	if err := checkBinary(f, path, pin); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func checkBinary(f *os.File, path, pin string) error {
	info, err := f.Stat()
	if err != nil {
		return sdk.Errorf(sdk.Denied, "plugin: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return sdk.Errorf(sdk.Invalid, "plugin %s is not a regular file", path)
	case info.Mode().Perm()&0o022 != 0:
		return sdk.Errorf(sdk.Denied, "plugin %s can be written by others than its owner (mode %04o); run: chmod go-w %s", path, info.Mode().Perm(), path)
	case info.Mode().Perm()&0o111 == 0:
		return sdk.Errorf(sdk.Denied, "plugin %s is not executable; run: chmod +x %s", path, path)
	}
	if owner := int(info.Sys().(*syscall.Stat_t).Uid); owner != 0 && owner != os.Geteuid() {
		return sdk.Errorf(sdk.Denied, "plugin %s belongs to another user (uid %d), neither root nor the one that runs barman", path, owner)
	}
	if pin == "" {
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return sdk.Errorf(sdk.Unavailable, "plugin %s: %w", path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); !strings.EqualFold(got, pin) {
		return sdk.Errorf(sdk.Denied, "plugin %s has SHA-256 %s, the configuration pins %s; if the file was updated on purpose, update sha256 in its plugin block", path, got, pin)
	}
	return nil
}

// childBinary is where the child finds the binary: the first descriptor that
// it inherits beyond the standard ones.
const childBinary = "/proc/self/fd/3"

func newProcess(binary *os.File, path string, environment []string) (*process, error) {
	cmd := &exec.Cmd{
		Path:       childBinary,
		Args:       []string{path},
		Env:        environment,
		ExtraFiles: []*os.File{binary},
		// The kernel ends the child when the core ends, however that happens.
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true},
	}
	p := &process{cmd: cmd, name: filepath.Base(path), binary: binary, exited: make(chan struct{}), ended: make(chan struct{})}
	var err error
	if p.stdout, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if p.stderr, err = cmd.StderrPipe(); err != nil {
		return nil, err
	}
	return p, nil
}

// Start starts the child. The kernel's death signal is tied to the thread that
// forked, so that thread is kept until the child is dead, which it waits for.
func (p *process) Start(context.Context) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.await()
		}
	}()
	err := <-started
	if closing := p.binary.Close(); err == nil {
		err = closing
	}
	if errors.Is(err, syscall.ENOEXEC) {
		return sdk.Errorf(sdk.Invalid, "not a program of this machine's architecture")
	}
	return err
}

// await waits for the child's death without reaping it, and then ends what is
// left of its process group: children of its own would keep its standard error
// open, and nobody would learn of the death.
func (p *process) await() {
	pid := p.cmd.Process.Pid
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	// The process ID is taken until the child is reaped, so this can hit nobody
	// else. That the group is empty already is no error.
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	close(p.exited)
}

// Wait waits for the child's end and remembers how it ended.
func (p *process) Wait(context.Context) error {
	<-p.exited
	err := p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == nil && p.cmd.ProcessState != nil {
		p.state = p.cmd.ProcessState
		close(p.ended)
	}
	return err
}

// Kill kills the child's process group.
func (p *process) Kill(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Once the child is reaped its process ID may be somebody else's.
	if p.cmd.Process == nil || p.state != nil {
		return nil
	}
	err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// ending tells how the child ended; false while it runs.
func (p *process) ending() (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == nil {
		return "", false
	}
	return p.state.String(), true
}

// Stdout is what the child writes for the handshake.
func (p *process) Stdout() io.ReadCloser { return p.stdout }

// Stderr is the child's log.
func (p *process) Stderr() io.ReadCloser { return p.stderr }

// Name is the binary's name.
func (p *process) Name() string { return p.name }

// ID is the process ID, empty for a process that was never started.
func (p *process) ID() string {
	if p.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(p.cmd.Process.Pid)
}

// Diagnose adds nothing: the stage's own errors say more.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost leaves addresses alone: both ends share a file system.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin leaves addresses alone.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
