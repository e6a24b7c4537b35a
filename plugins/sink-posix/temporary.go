package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	temporaryPrefix = ".barman-"
	temporarySuffix = ".tmp"
	// abandonedAfter is how long a temporary file of another boot or PID namespace
	// must have been left alone: whether its process lives cannot be seen.
	abandonedAfter = 24 * time.Hour
	// maxSwept bounds how many directories are searched for leftovers.
	maxSwept = 4096
)

// origin identifies a process, so that others can tell whether it still lives.
type origin struct {
	// host stands for the boot of the machine and the PID namespace.
	host string
	pid  int
	// started is when the process started, in clock ticks since boot.
	started uint64
}

// temporaries names temporary files:
// .barman-<host>-<pid>-<started>-<random number>.tmp.
type temporaries struct{ self origin }

func newTemporaries() (*temporaries, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("identify this process: %w", err)
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return nil, fmt.Errorf("identify this process: %w", err)
	}
	started, err := startOf(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("identify this process: %w", err)
	}
	compact := strings.NewReplacer("-", "", "\n", "", "pid:[", ".", "]", "")
	return &temporaries{self: origin{host: compact.Replace(string(boot) + namespace), pid: os.Getpid(), started: started}}, nil
}

func (t *temporaries) next() string {
	return fmt.Sprintf("%s%s-%d-%d-%d%s", temporaryPrefix, t.self.host, t.self.pid, t.self.started, rand.Uint64(), temporarySuffix)
}

// isTemporary tells whether the last component of a name is a temporary
// file's. Such names are never stored, listed or given out.
func isTemporary(base string) bool {
	_, ok := parseTemporary(base)
	return ok
}

func parseTemporary(base string) (origin, bool) {
	middle, prefixed := strings.CutPrefix(base, temporaryPrefix)
	middle, suffixed := strings.CutSuffix(middle, temporarySuffix)
	parts := strings.Split(middle, "-")
	if !prefixed || !suffixed || len(parts) != 4 {
		return origin{}, false
	}
	pid, err := strconv.Atoi(parts[1])
	started, err2 := strconv.ParseUint(parts[2], 10, 64)
	_, err3 := strconv.ParseUint(parts[3], 10, 64)
	return origin{host: parts[0], pid: pid, started: started}, err == nil && err2 == nil && err3 == nil
}

// startOf returns when a process started: field 22 of /proc/<pid>/stat (proc(5)).
func startOf(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the command's name in parentheses; it may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// abandoned tells whether nobody can still be using a temporary file.
func (t *temporaries) abandoned(by origin, modified time.Time) bool {
	if by.host != t.self.host {
		return time.Since(modified) > abandonedAfter
	}
	started, err := startOf(by.pid)
	return errors.Is(err, os.ErrNotExist) || err == nil && started != by.started
}

// sweep removes the temporary files that killed processes left in a directory.
// It does what it can: a file that stays is not listed and does no harm.
func (t *temporaries) sweep(fd int) {
	listing, err := reopen(fd)
	if err != nil {
		return
	}
	defer listing.Close()
	for {
		names, err := listing.Readdirnames(1024)
		for _, name := range names {
			t.sweepOne(fd, name)
		}
		if err != nil {
			return
		}
	}
}

func (t *temporaries) sweepOne(fd int, name string) {
	by, ok := parseTemporary(name)
	if !ok || by == t.self {
		return
	}
	var s unix.Stat_t
	if unix.Fstatat(fd, name, &s, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return
	}
	if t.abandoned(by, time.Unix(s.Mtim.Unix())) {
		_ = unix.Unlinkat(fd, name, 0)
	}
}

// reopen opens a directory anew, to read it from its beginning.
func reopen(fd int) (*os.File, error) {
	again, err := retryOpen(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(again), "."), nil
}
