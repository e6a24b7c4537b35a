package cron

import (
	"os/exec"
	"path/filepath"
	"syscall"
)

// Spawn starts barman with these arguments in the background and returns at
// once.
type Spawn func(args ...string) error

// Background starts an executable, which is barman itself, with the
// configuration file before the arguments; empty leaves it to the usual places.
// The process has a session of its own and no terminal, so that it lives on when
// the caller ends. It inherits no open files, and so no locks.
func Background(executable, configuration string) Spawn {
	return func(args ...string) error {
		if configuration != "" {
			path, err := filepath.Abs(configuration)
			if err != nil {
				return err
			}
			args = append([]string{"-c", path}, args...)
		}
		// The command outlives the caller on purpose. Without a context of its own
		// and with nil for standard input and outputs, these are /dev/null.
		command := exec.Command(executable, args...)
		command.Dir = "/"
		command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := command.Start(); err != nil {
			return err
		}
		return command.Process.Release()
	}
}
