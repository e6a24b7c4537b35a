package sdktest

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// descriptors counts the open files of a process.
func descriptors(t T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		t.Fatalf("count the plugin's descriptors: %v", err)
	}
	return len(entries)
}

// statusBytes reads one of the kernel's memory figures of a process.
func statusBytes(t T, pid int, field string) int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatalf("read the plugin's memory: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(line, field+":")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			t.Fatalf("read the plugin's memory: %v", err)
		}
		return kib << 10
	}
	t.Fatalf("the kernel does not tell %s of the plugin", field)
	return 0
}

// children counts the programs that a process has started and that still run.
func children(t T, pid int) int {
	t.Helper()
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	if err != nil {
		t.Fatalf("count the plugin's children: %v", err)
	}
	n := 0
	for _, task := range tasks {
		// A thread may have ended since.
		b, err := os.ReadFile(task)
		if err == nil {
			n += len(bytes.Fields(b))
		}
	}
	return n
}

var goroutineLine = regexp.MustCompile(`goroutine \d+ .*\[`)

// goroutines ends a plugin with a signal at which a Go program prints all of
// its goroutines, and counts them; 0 for a program that is not written in Go.
func (s *session) goroutines(t T) int {
	t.Helper()
	if err := syscall.Kill(s.PID(), syscall.SIGQUIT); err != nil {
		t.Fatalf("ask the plugin for its goroutines: %v", err)
	}
	for range 100 {
		if err := syscall.Kill(s.PID(), 0); err != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.Stop() // waits until all it wrote is read
	n := 0
	for _, line := range bytes.Split(s.log.all(), []byte("\n")) {
		if goroutineLine.Match(line) {
			n++
		}
	}
	return n
}
