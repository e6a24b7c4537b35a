package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"github.com/barman-go/barman/sdk"
)

// Shell is a POSIX shell on another host. Command is what leads there, as the
// manual has it in ssh_command: a line for this host's shell, such as
// "ssh -p 2222 postgres@pg", to which the command to run is added as one word.
//
// ssh gets no terminal, so that it fails where it would ask for a password or
// whether a host key is right.
type Shell struct{ Command string }

// maxSaid is how much is kept of what a command says on standard error, its end.
const maxSaid = 4 << 10

// endedBySignal is what shells add to the number of the signal that ended a process
// (POSIX, Shell Command Language, 2.8.2).
const endedBySignal = 128

// Running is a script that runs on the other host. Its methods are for one
// goroutine.
type Running struct {
	shell Shell
	ctx   context.Context
	cmd   *exec.Cmd
	said  tail
	// In is the standard input of the script.
	In io.WriteCloser
	// Out is its standard output; nil when it goes elsewhere.
	Out io.ReadCloser
}

// Start starts a script, the text of which is a constant of this program; args
// are its "$1" and so on, whatever is in them. Its output goes to out, or, when
// that is nil, is read from Out. When ctx ends the connection is ended. The caller ends with
// Wait.
func (s Shell) Start(ctx context.Context, out io.Writer, script string, args ...string) (*Running, error) {
	return s.start(ctx, out, Line(script, args...))
}

func (s Shell) start(ctx context.Context, out io.Writer, line string) (*Running, error) {
	if strings.TrimSpace(s.Command) == "" {
		return nil, sdk.Errorf(sdk.Invalid, "the SSH command is empty: write one such as 'ssh postgres@pg'")
	}
	r := &Running{shell: s, ctx: ctx}
	r.cmd = exec.CommandContext(ctx, "/bin/sh", "-c", s.Command+` "$1"`, "sh", line)
	r.cmd.Env = append(os.Environ(), "SSH_ASKPASS_REQUIRE=never")
	// A session of its own has no terminal to ask on, and is one group to end.
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r.cmd.Cancel = func() error { return syscall.Kill(-r.cmd.Process.Pid, syscall.SIGTERM) }
	r.cmd.WaitDelay = stopTime
	r.cmd.Stderr = &r.said
	var err error
	if r.In, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if r.cmd.Stdout = out; out == nil {
		if r.Out, err = r.cmd.StdoutPipe(); err != nil {
			return nil, err
		}
	}
	if err := r.cmd.Start(); err != nil {
		return nil, sdk.Errorf(sdk.Unavailable, "%s: %w", s.Command, err)
	}
	return r, nil
}

// Wait waits for the end of the script, whose input must be closed and whose
// output must be read by then. Errors: *Failed when it did not end with 0; of kind
// Unavailable when the host was not reached, or the connection was lost.
func (r *Running) Wait() error {
	err := r.cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case r.ctx.Err() != nil:
		return sdk.Errorf(sdk.Cancelled, "%s: %w", r.shell.Command, context.Cause(r.ctx))
	case !errors.As(err, &exit):
		return sdk.Errorf(sdk.Unavailable, "%s: %w", r.shell.Command, err)
	case exit.ExitCode() == connectionFailed, !exit.Exited():
		return sdk.Errorf(sdk.Unavailable, "%q does not connect, or lost the connection (%w)%s", r.shell.Command, exit, r.Said())
	case exit.ExitCode() > endedBySignal:
		// ssh's own end, as the shell that started it tells it, or that of the script there.
		return sdk.Errorf(sdk.Unavailable, "%q lost the connection: a process was ended by the signal %q%s", r.shell.Command, syscall.Signal(exit.ExitCode()-endedBySignal), r.Said())
	}
	return &Failed{Code: exit.ExitCode(), Host: r.shell.Command, said: r.said.text()}
}

// Said is what was written to standard error, with what belongs between it and a
// text before it.
func (r *Running) Said() string {
	if text := r.said.text(); text != "" {
		return ": " + text
	}
	return ""
}

// Run runs a script to its end. in may be nil.
func (s Shell) Run(ctx context.Context, in io.Reader, out io.Writer, script string, args ...string) error {
	if out == nil {
		out = io.Discard
	}
	r, err := s.Start(ctx, out, script, args...)
	if err != nil {
		return err
	}
	var copied error
	if in != nil {
		_, copied = io.Copy(r.In, in)
	}
	closed := r.In.Close()
	if err := r.Wait(); err != nil {
		return err // which is why it takes no more
	}
	if copied == nil && !errors.Is(closed, os.ErrClosed) {
		copied = closed
	}
	return copied
}

// Execute runs a command, whose words are what they are, to its end. Unlike a
// script's, its line is a plain one, which a host that lets in some commands only can
// recognise.
func (s Shell) Execute(ctx context.Context, out io.Writer, command ...string) error {
	quoted := make([]string, 0, len(command))
	for _, word := range command {
		quoted = append(quoted, Quote(word))
	}
	r, err := s.start(ctx, out, strings.Join(quoted, " "))
	if err != nil {
		return err
	}
	_ = r.In.Close() // nothing is said to it
	return r.Wait()
}

// Line is the line for the other host's shell that runs a script with arguments.
// Here, and nowhere else, is what comes from outside made words of a shell.
func Line(script string, args ...string) string {
	words := []string{"exec", "sh", "-c", Quote(script), "sh"}
	for _, arg := range args {
		words = append(words, Quote(arg))
	}
	return strings.Join(words, " ")
}

// tail keeps the end of what is written to it.
type tail struct {
	mu      sync.Mutex
	content []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.content = append(t.content, p...)
	if excess := len(t.content) - maxSaid; excess > 0 {
		t.content = append(t.content[:0], t.content[excess:]...)
	}
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(bytes.TrimSpace(t.content)), "?")), " ")
}
