package walrestore

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

var (
	// servers are what PostgreSQL's processes, and those of its relatives, are called.
	servers = []string{"postgres", "postmaster", "edb-postgres"}
	// shells are what PostgreSQL runs restore_command with, and scripts for it.
	shells = []string{"sh", "dash", "bash", "ash", "busybox", "zsh", "ksh", "mksh"}
)

// RunByPostgreSQL tells whether the process with a number was started by
// PostgreSQL, through any number of shells. Between PostgreSQL and a process that
// another program runs, an operator's for instance, that program decides what an
// exit code means. What /proc does not show is taken for PostgreSQL's.
func RunByPostgreSQL(pid int) bool { return runByPostgreSQL(pid, processStat) }

func runByPostgreSQL(pid int, stat func(pid int) (name string, parent int, err error)) bool {
	_, parent, err := stat(pid)
	for err == nil {
		var name string
		if name, parent, err = stat(parent); err == nil && !slices.Contains(shells, name) {
			return slices.Contains(servers, name)
		}
	}
	return true
}

// processStat reads a process's name, which the kernel cuts at 15 bytes, and its
// parent (proc_pid_stat(5)).
func processStat(pid int) (name string, parent int, err error) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", 0, err
	}
	begin, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if begin < 0 || end < begin {
		return "", 0, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	fields := strings.Fields(string(line[end+1:]))
	if len(fields) < 2 {
		return "", 0, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	parent, err = strconv.Atoi(fields[1])
	return string(line[begin+1 : end]), parent, err
}
