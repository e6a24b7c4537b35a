package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/serve"
)

const (
	// linger is how long processes that outlive a filter may go on writing error
	// messages.
	linger = time.Second
	// maxMessage is how much of a filter's error messages is passed on.
	maxMessage = 1 << 10
	// A shell exits with these when it cannot run a command (POSIX.1-2017, Shell
	// Command Language, section 2.8.2).
	notExecutable, notFound = 126, 127
)

// filter is a command line of the user's.
type filter struct {
	setting string // that holds it; errors name this, the command may hold a secret
	command string
}

// encodeCustom compresses with the user's command. What that does not read to
// the end, or begins otherwise than it should, could not be decompressed again.
func (c *Compressor) encodeCustom(ctx context.Context, dst io.Writer, src *codec.Input) error {
	out := &beginning{w: dst, want: c.magic}
	in, err := c.compression.run(ctx, out, src)
	switch {
	case err != nil:
		return err
	case !in.complete:
		return fmt.Errorf("the command of the setting filter ended without reading all of its input")
	case len(out.seen) < len(c.magic), !in.empty && len(out.seen) == 0:
		return out.mistaken()
	}
	return nil
}

// decodeCustom decompresses with the user's command, which need not read what
// follows the end of its data.
func (c *Compressor) decodeCustom(ctx context.Context, dst io.Writer, src io.Reader) error {
	in, err := c.decompression.run(ctx, dst, src)
	var failed *exitError
	switch {
	case errors.As(err, &failed):
		return corruptf("%v", err)
	case err == nil && !in.complete:
		_, err = io.Copy(io.Discard, src)
	}
	return err
}

// exitError is a command that says by its exit code that it did not succeed.
type exitError struct {
	setting string
	code    int
	message string
}

func (e *exitError) Error() string {
	return fmt.Sprintf("the command of the setting %s exited with %d%s", e.setting, e.code, e.message)
}

// intake is what became of a command's standard input.
type intake struct {
	// complete is set when the command read it to its end, which it may also do
	// by chance.
	complete bool
	empty    bool
	err      error // of the source
}

// run runs the command with src as its standard input and dst as its standard
// output. It is killed, with all that it started, when ctx ends or when reading
// src or writing dst fails. src is read as far as the command wants it.
func (f filter) run(ctx context.Context, dst io.Writer, src io.Reader) (intake, error) {
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	stdin, feed, err := os.Pipe()
	if err != nil {
		return intake{}, err
	}
	defer stdin.Close()
	defer feed.Close()
	yield, stdout, err := os.Pipe()
	if err != nil {
		return intake{}, err
	}
	defer yield.Close()
	defer stdout.Close()

	message := &tail{}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", f.command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, message
	cmd.Env = serve.ChildEnvironment(os.Environ())
	cmd.WaitDelay = linger
	cmd.Cancel = func() error { return endGroup(cmd) }
	// The kernel kills the command when this process dies, or rather this thread.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return intake{}, fmt.Errorf("run the command of the setting %s: %w", f.setting, err)
	}
	if err := stdout.Close(); err != nil {
		kill(err)
	}
	// What escapes from the process group may hold the pipes open.
	defer context.AfterFunc(ctx, func() { _ = yield.SetReadDeadline(time.Now()); _ = feed.SetWriteDeadline(time.Now()) })()

	fed := make(chan intake, 1)
	go func() {
		in := supply(feed, src)
		if in.err != nil {
			kill(in.err)
		}
		fed <- in
	}()
	if _, err := io.Copy(dst, yield); err != nil {
		kill(err)
	}
	failed := cmd.Wait()
	unread := pending(stdin)
	if err := stdin.Close(); err != nil { // what is still fed fails from here on
		kill(err)
	}
	in := <-fed
	in.complete = in.complete && unread == 0
	if cause := context.Cause(ctx); cause != nil {
		return in, cause
	}
	return in, f.verdict(failed, message)
}

func (f filter) verdict(failed error, message *tail) error {
	var exit *exec.ExitError
	switch {
	case failed == nil, errors.Is(failed, exec.ErrWaitDelay):
		return nil
	case errors.As(failed, &exit) && (exit.ExitCode() == notFound || exit.ExitCode() == notExecutable):
		return sdk.Errorf(sdk.Invalid, "the command of the setting %s cannot be run%s", f.setting, message)
	case errors.As(failed, &exit) && exit.Exited():
		return &exitError{f.setting, exit.ExitCode(), message.String()}
	}
	return fmt.Errorf("the command of the setting %s: %w%s", f.setting, failed, message)
}

// supply writes src to a pipe and closes that.
func supply(pipe *os.File, src io.Reader) intake {
	in := codec.NewInput(src)
	n, err := io.Copy(pipe, in)
	closed := pipe.Close()
	return intake{complete: err == nil && closed == nil, empty: n == 0 && err == nil, err: in.Err()}
}

// pending returns how many bytes of a pipe nobody has read.
func pending(pipe *os.File) int {
	n, err := unix.IoctlGetInt(int(pipe.Fd()), unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// endGroup kills the command and all that it started.
func endGroup(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// beginning refuses what does not begin as it should.
type beginning struct {
	w    io.Writer
	want []byte
	seen []byte // as many bytes as are wanted, at least one
}

func (b *beginning) Write(p []byte) (int, error) {
	if missing := max(1, len(b.want)) - len(b.seen); missing > 0 {
		b.seen = append(b.seen, p[:min(len(p), missing)]...)
		if n := min(len(b.seen), len(b.want)); !bytes.Equal(b.seen[:n], b.want[:n]) {
			return 0, b.mistaken()
		}
	}
	return b.w.Write(p)
}

func (b *beginning) mistaken() error {
	if len(b.want) == 0 {
		return sdk.Errorf(sdk.Invalid, "the command of the setting filter wrote nothing to its standard output")
	}
	return sdk.Errorf(sdk.Invalid, "what the command of the setting filter writes begins with 0x%x, not with the setting magic, 0x%x: it would not be recognised again", b.seen, b.want)
}

// tail keeps the end of a command's error messages.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-maxMessage):]
	return len(p), nil
}

// String returns the messages as the end of an error's text, on one line.
func (t *tail) String() string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(t.text), "?")), " ")
	if text == "" {
		return ""
	}
	return ": " + text
}
