package host

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
)

// binary is the test's plugin, built once.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv("HOST_TEST_PLUGIN") != "" {
		core()
		return
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "host-test")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "barman-plugin-hook-test")
		build := exec.Command("go", "build", "-o", binary, "./testdata/plugin")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the test's plugin: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// core is what the test binary is when it is started as a core to be killed.
func core() {
	stage, err := Launch(Binary{Path: os.Getenv("HOST_TEST_PLUGIN"), Environment: []string{"PATH=/usr/bin:/bin"}, Directory: os.TempDir()})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(stage.PID())
	select {}
}

// journal is a log that a test can read and wait for.
type journal struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newJournal() *journal { return &journal{changed: make(chan struct{}, 1)} }

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case j.changed <- struct{}{}:
	default:
	}
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// await waits until the log contains something.
func (j *journal) await(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for !bytes.Contains([]byte(j.String()), []byte(text)) {
		select {
		case <-j.changed:
		case <-timeout:
			t.Fatalf("%q is not logged; the log is:\n%.4000s", text, j)
		}
	}
}

func (j *journal) logger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: "hook.test", Output: j, Level: hclog.Trace, DisableTime: true})
}

// launch starts the test's plugin in a role.
func launch(t *testing.T, role string, adapt ...func(*Binary)) (*Stage, *journal) {
	t.Helper()
	log := newJournal()
	dir, err := os.MkdirTemp("", "host")
	if err != nil {
		t.Fatal(err)
	}
	b := Binary{Path: binary, Directory: dir, Logger: log.logger(), Environment: []string{"ROLE=" + role, "PATH=" + os.Getenv("PATH")}}
	for _, f := range adapt {
		f(&b)
	}
	stage, err := Launch(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stage.Stop()
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("the plugin's directory holds %v (%v)", left, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return stage, log
}

// configured is launch with settings.
func configured(t *testing.T, role string, server sdk.Server, adapt ...func(*Binary)) (*Stage, *journal) {
	t.Helper()
	stage, log := launch(t, role, adapt...)
	if _, diagnostics, err := stage.Configure(t.Context(), []byte(`{"password": "hunter2"}`), server); err != nil || len(diagnostics) > 0 {
		t.Fatal(diagnostics, err)
	}
	return stage, log
}

// notify sends the event in the background.
func notify(ctx context.Context, stage *Stage, operation string) <-chan error {
	result := make(chan error, 1)
	go func() { result <- stage.Notify(ctx, sdk.Event{Operation: operation}) }()
	return result
}
