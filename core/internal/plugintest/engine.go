package plugintest

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/stage"
	"github.com/barman-go/barman/sdk/host"
)

// Engine is an engine of its own for a test. When the test ends it checks that
// no plugin, socket or file is left.
type Engine struct {
	*pipeline.Engine
	// RunDirectory holds the sockets.
	RunDirectory string

	t        *testing.T
	launcher stage.Launcher
	mu       sync.Mutex
	pids     map[string][]int
}

// NewEngine makes an engine that finds the plugins that Main built, and those in
// further directories.
func NewEngine(t *testing.T, further ...string) *Engine {
	t.Helper()
	return newEngine(t, logger(t), further...)
}

func newEngine(t *testing.T, log hclog.Logger, further ...string) *Engine {
	t.Helper()
	run, err := stage.NewRunDirectory()
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{RunDirectory: run.Path, t: t, pids: map[string][]int{}}
	e.launcher = stage.Launcher{Finder: stage.Finder{Directories: append(slices.Clone(further), Directories()...)}, RunDirectory: run.Path, Logger: log}
	e.Engine = pipeline.New(e, run.Path, log)
	t.Cleanup(func() {
		e.WantNothingLeft()
		if err := run.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// Launch starts a plugin and remembers its process.
func (e *Engine) Launch(kind, name string) (*host.Stage, error) {
	s, err := e.launcher.Launch(kind, name)
	if err == nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		label := stage.Label(kind, name)
		e.pids[label] = append(e.pids[label], s.PID())
	}
	return s, err
}

// PIDs are the processes started for a stage so far, by its label.
func (e *Engine) PIDs(label string) []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.pids[label])
}

// WantNothingLeft fails the test if a plugin lives or the run directory is not
// empty.
func (e *Engine) WantNothingLeft() {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for label, pids := range e.pids {
		for _, pid := range pids {
			if alive(pid) {
				e.t.Errorf("%s (process %d) was left behind", label, pid)
			}
		}
	}
	left, err := os.ReadDir(e.RunDirectory)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, entry := range left {
		e.t.Errorf("%s was left behind", filepath.Join(e.RunDirectory, entry.Name()))
	}
}

// alive tells whether a process is this one's child and runs. A plugin is reaped
// just after its end is known, which may take a moment.
func alive(pid int) bool {
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			return false
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] != strconv.Itoa(os.Getpid()) {
			return false
		}
	}
	return true
}

// logger logs into the test's log and to further writers.
func logger(t *testing.T, further ...io.Writer) hclog.Logger {
	writers := append([]io.Writer{&testWriter{t: t}}, further...)
	return hclog.New(&hclog.LoggerOptions{Output: io.MultiWriter(writers...), Level: hclog.Info, DisableTime: true})
}

// testWriter drops what comes after the end of the test.
type testWriter struct {
	t    *testing.T
	once sync.Once
	mu   sync.Mutex
	over bool
}

func (w *testWriter) Write(p []byte) (int, error) {
	w.once.Do(func() {
		w.t.Cleanup(func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.over = true
		})
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.t.Logf("%s", p)
	}
	return len(p), nil
}
