//go:build linux && amd64

package chaos

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// socket stands for every socket.
const socket = "socket"

// object names what a call is about; "" for what does not count.
func (t *tracer) object(tid int, a argument, regs unix.PtraceRegs) string {
	arguments := [...]uint64{regs.Rdi, regs.Rsi, regs.Rdx, regs.R10, regs.R8, regs.R9}
	directory := "cwd"
	if a.descriptor >= 0 {
		if d := int32(arguments[a.descriptor]); d != unix.AT_FDCWD {
			directory = "fd/" + strconv.Itoa(int(d))
		}
	}
	if a.path < 0 {
		return t.name(link(tid, directory))
	}
	path := text(tid, uintptr(arguments[a.path]))
	if !filepath.IsAbs(path) {
		path = filepath.Join(link(tid, directory), path)
	}
	return t.name(path)
}

func link(tid int, what string) string {
	to, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", tid, what))
	if err != nil {
		return ""
	}
	return to
}

// text reads a string of the tracee.
func text(tid int, address uintptr) string {
	content := make([]byte, unix.PathMax)
	// A page that is not there ends the read early, which is no error.
	local := []unix.Iovec{{Base: &content[0], Len: uint64(len(content))}}
	n, err := unix.ProcessVMReadv(tid, local, []unix.RemoteIovec{{Base: address, Len: len(content)}}, 0)
	if err != nil || n <= 0 {
		return ""
	}
	before, _, _ := bytes.Cut(content[:n], []byte{0})
	return string(before)
}

var changing = []struct {
	part *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\d{8}T\d{6}`), "ID"},
	{regexp.MustCompile(`barman-run-\d+`), "barman-run"},
	{regexp.MustCompile(`plugin\d+`), "plugin"},
	{regexp.MustCompile(`\.barman-[0-9a-f.-]+\.tmp`), ".barman-N.tmp"},
	{regexp.MustCompile(`([.-])[0-9a-z]*\d[0-9a-z]*\.tmp`), "${1}N.tmp"},
}

// name takes out of a path what changes from run to run.
func (t *tracer) name(path string) string {
	if strings.HasPrefix(path, "socket:") {
		return socket
	}
	path = strings.TrimSuffix(path, " (deleted)")
	for root, name := range t.Command.Roots {
		rest, ok := strings.CutPrefix(path, root)
		if !ok || rest != "" && rest[0] != '/' {
			continue
		}
		for _, c := range changing {
			rest = c.part.ReplaceAllString(rest, c.by)
		}
		return name + rest
	}
	return ""
}

// group is the process that a thread belongs to.
func group(tid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return tid
	}
	_, rest, _ := strings.Cut(string(status), "\nTgid:")
	line, _, _ := strings.Cut(rest, "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return tid
	}
	return pid
}

// register returns a process, which it makes known.
func (t *tracer) register(pid int) *process {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.processes[pid]
	if p == nil {
		p = &process{program: program(pid)}
		t.processes[pid] = p
	}
	return p
}

// became is told that a process runs another program now.
func (t *tracer) became(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.processes[pid] = &process{program: program(pid)}
}

func program(pid int) string {
	return strings.TrimPrefix(filepath.Base(link(pid, "exe")), "barman-plugin-")
}
