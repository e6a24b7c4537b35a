package cron

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Spawn starts barman with these arguments in the background and returns at
// once. What the process says goes to stderr.
type Spawn func(stderr *os.File, args ...string) error

// Background starts an executable, which is barman itself, with the
// configuration file before the arguments; empty leaves it to the usual places.
// The process has a session of its own and no terminal, so that it lives on when
// the caller ends. It inherits no open files but stderr, and so no other locks.
//
// Attached, it has the standard output and error of the caller instead, as where
// a container's output is its log.
func Background(executable, configuration string, attached bool) Spawn {
	return func(stderr *os.File, args ...string) error {
		args = append([]string{"-q"}, args...)
		if configuration != "" {
			path, err := filepath.Abs(configuration)
			if err != nil {
				return err
			}
			args = append([]string{"-c", path}, args...)
		}
		// The command outlives the caller on purpose. Without a context of its own
		// and with nil for standard input and output, these are /dev/null.
		command := exec.Command(executable, args...)
		command.Dir = "/"
		command.Stderr = stderr
		if attached {
			command.Stdout, command.Stderr = os.Stdout, os.Stderr
		}
		command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := command.Start(); err != nil {
			return err
		}
		return command.Process.Release()
	}
}
