package pgtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Memory is a memory cgroup, of version 1 or 2, whichever the machine has. Swap is not allowed in it.
type Memory struct {
	t      testing.TB
	dir    string
	v2     bool
	ours   func() // stops the sampling
	mu     sync.Mutex
	usage  Usage
	sample sync.WaitGroup
}

// Usage is what the commands in a memory cgroup have needed, in bytes.
type Usage struct {
	Peak     int64 // page cache included: it grows to the limit with any file I/O and is given back when memory is short
	Resident int64 // most of anonymous and shared memory together, sampled every 5 ms: what cannot be given back
	Kills    int64 // processes ended because the limit did not suffice
}

// LimitMemory makes a memory cgroup with a limit in bytes, that ends with the test and everything in it. It needs root.
func LimitMemory(t testing.TB, limit int64) *Memory {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test limits memory with a cgroup: run it as root")
	}
	m := &Memory{t: t}
	root := "/sys/fs/cgroup/memory"
	if controllers, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		if !strings.Contains(string(controllers), "memory") {
			t.Fatalf("the memory controller is not among those of /sys/fs/cgroup: %s", controllers)
		}
		root, m.v2 = "/sys/fs/cgroup", true
		m.write(filepath.Join(root, "cgroup.subtree_control"), "+memory")
	}
	var err error
	if m.dir, err = os.MkdirTemp(root, "barman-test-"); err != nil {
		t.Fatalf("this test needs a memory cgroup: %v", err)
	}
	t.Cleanup(m.remove)
	if m.v2 {
		m.write(filepath.Join(m.dir, "memory.max"), strconv.FormatInt(limit, 10))
		m.writeIfThere("memory.swap.max", "0")
	} else {
		m.write(filepath.Join(m.dir, "memory.limit_in_bytes"), strconv.FormatInt(limit, 10))
		m.writeIfThere("memory.swappiness", "0")
	}
	m.watch()
	return m
}

// Wrap changes a command that has not been started so that it, and all that it starts, runs inside the limit.
func (m *Memory) Wrap(cmd *exec.Cmd) *exec.Cmd {
	cmd.Args = append([]string{"sh", "-c", `echo 0 >"$0/cgroup.procs" && exec "$@"`, m.dir, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return cmd
}

// Usage is what has been needed until now.
func (m *Memory) Usage() Usage {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.usage
	if m.v2 {
		u.Peak = max(u.Peak, m.number("memory.peak")) // since Linux 5.19; before that the samples have to do
		u.Kills = m.field("memory.events", "oom_kill")
	} else {
		u.Peak = m.number("memory.max_usage_in_bytes")
		u.Kills = m.field("memory.oom_control", "oom_kill")
	}
	return u
}

func (m *Memory) watch() {
	stop := make(chan struct{})
	m.ours = sync.OnceFunc(func() { close(stop) })
	m.sample.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			var resident, current int64
			if m.v2 {
				resident = m.field("memory.stat", "anon") + m.field("memory.stat", "shmem")
				current = m.number("memory.current")
			} else {
				resident = m.field("memory.stat", "total_rss") + m.field("memory.stat", "total_shmem")
			}
			m.mu.Lock()
			m.usage.Resident = max(m.usage.Resident, resident)
			m.usage.Peak = max(m.usage.Peak, current)
			m.mu.Unlock()
		}
	})
}

// remove ends what still runs in the cgroup and takes it away.
func (m *Memory) remove() {
	m.ours()
	m.sample.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for {
		procs, err := os.ReadFile(filepath.Join(m.dir, "cgroup.procs"))
		if err != nil {
			m.t.Errorf("taking the memory cgroup away: %v", err)
			return
		}
		for _, field := range strings.Fields(string(procs)) {
			if pid, err := strconv.Atoi(field); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if err = syscall.Rmdir(m.dir); err == nil {
			return
		}
		if time.Now().After(deadline) {
			m.t.Errorf("taking the memory cgroup %s away: %v", m.dir, err)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (m *Memory) number(file string) int64 {
	b, err := os.ReadFile(filepath.Join(m.dir, file))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n
}

func (m *Memory) field(file, name string) int64 {
	b, err := os.ReadFile(filepath.Join(m.dir, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), " "); key == name {
			n, _ := strconv.ParseInt(value, 10, 64)
			return n
		}
	}
	return 0
}

func (m *Memory) write(file, value string) {
	m.t.Helper()
	if err := os.WriteFile(file, []byte(value), 0); err != nil {
		m.t.Fatalf("this test needs a memory cgroup: %v", err)
	}
}

func (m *Memory) writeIfThere(name, value string) {
	m.t.Helper()
	err := os.WriteFile(filepath.Join(m.dir, name), []byte(value), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		m.t.Fatal(fmt.Errorf("limiting swap: %w", err))
	}
}
