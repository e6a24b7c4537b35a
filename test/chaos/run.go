//go:build linux && amd64

package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Outcome is how a traced run went.
type Outcome struct {
	Code   int    // exit code of the command; -1 when a signal ended it
	Output string // what it printed, both streams
	// Points are the calls that were made, in their order.
	Points []Point
	// Hit tells whether the fault happened.
	Hit bool
	// Orphans are processes that outlived the command by more than two seconds.
	Orphans []string
	// Hung is set when the command was ended because its time was up.
	Hung bool
}

// Command is what to run.
type Command struct {
	Path string
	Args []string // without the name of the program
	Env  []string
	// Stdin is the path of what it reads as standard input; empty for nothing.
	Stdin string
	// Roots are the directories whose files count, with the name that stands for
	// each in a Point.
	Roots map[string]string
	// Within is how long a run may take.
	Within time.Duration
}

// job is what the tracing process is told.
type job struct {
	Command Command
	Point   Point
	Fault   Fault
}

// The test binary is its own tracer and its own stub, by these variables.
const (
	asTracer = "BARMAN_CHAOS_TRACE"
	asExec   = "BARMAN_CHAOS_EXEC"
)

// Main must be called first by TestMain of a package that uses Run. In the
// processes that Run starts it does not return.
func Main() {
	var err error
	switch {
	case os.Getenv(asTracer) != "":
		if err = os.Unsetenv(asTracer); err == nil {
			err = serve()
		}
		if err == nil {
			os.Exit(0)
		}
	case os.Getenv(asExec) != "":
		err = becomes(os.Getenv(asExec), os.Args)
	default:
		return
	}
	fmt.Fprintln(os.Stderr, "chaos:", err)
	os.Exit(125)
}

// serve is the tracing process.
func serve() error {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return err
	}
	outcome, err := trace(j)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(outcome)
}

// Run runs the command and does the fault at the point. An error is the
// harness's own. A process of its own traces the command, and nothing outlives
// it.
func Run(c Command, point Point, fault Fault) (Outcome, error) {
	self, err := os.Executable()
	if err != nil {
		return Outcome{}, err
	}
	request, err := json.Marshal(job{c, point, fault})
	if err != nil {
		return Outcome{}, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asTracer+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request), &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return Outcome{}, err
	}
	// The time limit is the tracer's affair; this is for a tracer that hangs.
	late := time.AfterFunc(c.Within+time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	defer late.Stop()
	if err := cmd.Wait(); err != nil {
		return Outcome{}, fmt.Errorf("tracer: %w\n%s", err, stderr.Bytes())
	}
	var outcome Outcome
	err = json.Unmarshal(stdout.Bytes(), &outcome)
	return outcome, err
}
