// Package remote runs barman on another host, through the system's ssh: with
// the user's own configuration, agent and host keys.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/barman-go/barman/sdk"
)

// Barman is barman on another host.
type Barman struct {
	// User is who runs it there; empty leaves that to ssh.
	User string
	// Host is where, as ssh understands it.
	Host string
	// Port is that of the host's sshd; 0 leaves it to ssh.
	Port int
	// Config is the path of the configuration file there; empty for the usual one.
	Config string
}

// Streams are those of a command. Nil ones are empty and discarded.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Failed is the error of a command that ran on the other host and ended with an
// exit code other than 0.
type Failed struct {
	// Code is the exit code.
	Code int
	// Host is where it ran.
	Host string
	// said is what it wrote to standard error, where somebody listened.
	said string
}

// Error tells the exit code. What the command had to say is on its standard
// error.
func (f *Failed) Error() string {
	if f.said != "" {
		return fmt.Sprintf("%s: %s (exit code %d)", f.Host, f.said, f.Code)
	}
	const notExecutable, notFound = 126, 127
	switch f.Code {
	case notExecutable, notFound:
		return fmt.Sprintf("barman cannot be run on %s (exit code %d): install it there, or put it on the PATH of commands that ssh runs", f.Host, f.Code)
	}
	return fmt.Sprintf("barman on %s failed with exit code %d", f.Host, f.Code)
}

// connectionFailed is the exit code of ssh itself (ssh(1), EXIT STATUS).
const connectionFailed = 255

// stopTime is how long ssh may take to end when it is told to.
const stopTime = 5 * time.Second

// Run runs a command of barman there and waits for its end. args are its
// arguments: the other host's shell takes each for one word, whatever is in it.
//
// Errors: *Failed when the command did not end with 0; of kind Unavailable when
// ssh did not get there or the connection broke; Invalid when there is no ssh, or
// host or user are none; Cancelled when ctx ended.
func (b Barman) Run(ctx context.Context, streams Streams, args ...string) error {
	line, err := b.Args(args...)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "ssh", line...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = streams.In, streams.Out, streams.Err
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	if err := cmd.Start(); err != nil {
		return sdk.Errorf(sdk.Invalid, "ssh cannot be started: %w", err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return sdk.Errorf(sdk.Cancelled, "barman on %s was told to stop: %w", b.Host, context.Cause(ctx))
	case !errors.As(err, &exit):
		return fmt.Errorf("ssh %s: %w", b.destination(), err)
	case exit.ExitCode() == connectionFailed:
		return sdk.Errorf(sdk.Unavailable, "ssh cannot connect to %s, or lost the connection: see what 'ssh %s true' says", b.Host, strings.Join(b.options(), " "))
	case !exit.Exited():
		return sdk.Errorf(sdk.Unavailable, "ssh %s was ended by a signal: %w", b.destination(), exit)
	}
	return &Failed{Code: exit.ExitCode(), Host: b.Host}
}

// Args are the arguments of ssh for a command of barman there.
func (b Barman) Args(args ...string) ([]string, error) {
	if b.Host == "" {
		return nil, sdk.Errorf(sdk.Invalid, "no host is named to run barman on")
	}
	// ssh would take it for an option.
	if strings.HasPrefix(b.destination(), "-") {
		return nil, sdk.Errorf(sdk.Invalid, "%q names no host to run barman on", b.destination())
	}
	line := append([]string{"-q", "-T"}, b.options()...)
	line = append(line, "barman")
	if b.Config != "" {
		line = append(line, "--config="+Quote(b.Config))
	}
	for _, arg := range args {
		line = append(line, Quote(arg))
	}
	return line, nil
}

// options lead to the host.
func (b Barman) options() []string {
	if b.Port == 0 {
		return []string{b.destination()}
	}
	return []string{"-p", strconv.Itoa(b.Port), b.destination()}
}

func (b Barman) destination() string {
	if b.User == "" {
		return b.Host
	}
	return b.User + "@" + b.Host
}

// Quote makes a text one word of a shell. ssh joins its arguments with spaces
// and hands the line to the shell of the user there.
func Quote(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@+,"
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
