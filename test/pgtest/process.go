package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// readyWithin bounds how long a server may take to let clients in; crash recovery and the replay of a restored backup up to
// its consistent point fall into it.
const readyWithin = 2 * time.Minute

// Mode is how a server is told to stop: PostgreSQL manual, section 18.5.
type Mode syscall.Signal

// Smart waits for clients to leave, Fast rolls them back, Immediate leaves recovery to the next start.
const (
	Smart     = Mode(syscall.SIGTERM)
	Fast      = Mode(syscall.SIGINT)
	Immediate = Mode(syscall.SIGQUIT)
)

// process is a running postmaster.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and err is set
	err  error
}

// Restart starts a cluster that Stop or Kill9 ended, on the same port, and waits until it lets clients in.
func (c *Cluster) Restart() {
	c.t.Helper()
	if err := c.start(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *Cluster) start() error {
	if c.server != nil {
		return fmt.Errorf("the server in %s runs already", c.DataDir)
	}
	// Somebody may take the port between our looking and PostgreSQL's binding it: then look again.
	var err error
	for range 5 {
		if c.Port == 0 {
			if c.Port, err = freePort(); err != nil {
				return err
			}
		}
		err = c.launch()
		if err == nil || !strings.Contains(c.logTail(), "could not bind") {
			break
		}
		c.Port = 0
	}
	return err
}

func (c *Cluster) launch() error {
	log, err := os.OpenFile(c.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{
		"-D", c.DataDir, "-p", strconv.Itoa(c.Port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + c.SocketDir, "-c", "logging_collector=off",
	}
	for _, s := range c.settings {
		args = append(args, "-c", s)
	}
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), args...)
	cmd.Stdout, cmd.Stderr = log, log
	c.asPostgres(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting PostgreSQL %d: %w", c.Major, err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	c.server = p

	ctx, cancel := context.WithTimeout(c.t.Context(), readyWithin)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.SocketConninfo())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.done:
			c.server = nil
			return fmt.Errorf("PostgreSQL %d in %s ended instead of starting: %w; its log ends:\n%s", c.Major, c.DataDir, p.err, c.logTail())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL %d in %s lets nobody in: %w; its log ends:\n%s", c.Major, c.DataDir, err, c.logTail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server and waits for it.
func (c *Cluster) Stop(mode Mode) {
	c.t.Helper()
	if err := c.signal(syscall.Signal(mode)); err != nil {
		c.t.Fatalf("stopping PostgreSQL in %s: %v", c.DataDir, err)
	}
}

// Kill9 ends the postmaster and all its children with SIGKILL, as a crash of the machine would, and waits for them.
func (c *Cluster) Kill9() {
	c.t.Helper()
	if c.server == nil {
		c.t.Fatalf("Kill9: no server runs in %s", c.DataDir)
	}
	c.kill()
}

// Running says whether the server has not ended by itself, or been ended.
func (c *Cluster) Running() bool {
	if c.server == nil {
		return false
	}
	select {
	case <-c.server.done:
		return false
	default:
		return true
	}
}

// WaitExit waits for a server that ends by itself: recovery_target_action = shutdown.
func (c *Cluster) WaitExit() {
	c.t.Helper()
	if c.server == nil {
		return
	}
	select {
	case <-c.server.done:
		c.server = nil
	case <-time.After(readyWithin):
		c.t.Fatalf("PostgreSQL in %s still runs after %s", c.DataDir, readyWithin)
	}
}

// Log is everything the server has written to its log.
func (c *Cluster) Log() string {
	c.t.Helper()
	b, err := os.ReadFile(c.logFile)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

func (c *Cluster) signal(sig syscall.Signal) error {
	if c.server == nil {
		return errors.New("it does not run")
	}
	if err := c.server.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.server.done:
		c.server = nil
		return nil
	case <-time.After(readyWithin):
		return fmt.Errorf("it still runs %s after %s", readyWithin, sig)
	}
}

func (c *Cluster) kill() {
	if !c.Running() {
		c.server = nil
		return
	}
	pid := c.server.cmd.Process.Pid
	// The postmaster first, so that it starts no more children; they are ours to find until it is reaped.
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	children := ChildrenOf(pid)
	_ = c.server.cmd.Process.Kill()
	for _, child := range children {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	<-c.server.done
	c.server = nil
	for _, child := range children {
		for syscall.Kill(child, 0) == nil && !zombie(child) {
			time.Sleep(time.Millisecond)
		}
	}
}

// asPostgres makes a command run as whom PostgreSQL runs as, without the test's PG* variables, and end with the test:
// on SIGQUIT a postmaster takes its children with it.
func (c *Cluster) asPostgres(cmd *exec.Cmd) {
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(c.t), Pdeathsig: syscall.SIGQUIT}
}

func (c *Cluster) logTail() string {
	b, err := os.ReadFile(c.logFile)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-60):], []byte("\n")))
}

// ChildrenOf are the processes that any thread of a process has started; none of
// one that has ended.
func ChildrenOf(pid int) []int {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	var pids []int
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(state, "Z")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
