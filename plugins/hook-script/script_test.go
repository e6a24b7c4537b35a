package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
)

var event = sdk.Event{Operation: "backup", Phase: sdk.PhasePre, Server: "main"}

// fixture is a hook whose pauses take no time, with its log.
type fixture struct {
	*Script
	ctx    context.Context
	log    *bytes.Buffer
	pauses []time.Duration
}

func newFixture(t *testing.T, config Config) *fixture {
	t.Helper()
	s, err := New(&config, new(sync.WaitGroup))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Script: s, log: new(bytes.Buffer)}
	f.ctx = hclog.WithContext(t.Context(), hclog.New(&hclog.LoggerOptions{Output: f.log, DisableTime: true}))
	s.pause = func(ctx context.Context, d time.Duration) error {
		f.pauses = append(f.pauses, d)
		return context.Cause(ctx)
	}
	return f
}

// script writes an executable file and returns its path.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAPlainScriptNeverStopsTheOperation(t *testing.T) {
	for _, command := range []string{"exit 0", "exit 1", "exit 62", "exit 63", "kill -9 $$", "/there/is/no/such/script", "/dev/null"} {
		f := newFixture(t, Config{Script: command})
		if err := f.Notify(f.ctx, event); err != nil {
			t.Errorf("%s: %v", command, err)
		}
		if warned := strings.Contains(f.log.String(), "[WARN]"); warned != (command != "exit 0") {
			t.Errorf("%s: the log is %q", command, f.log)
		}
		if len(f.pauses) > 0 {
			t.Errorf("%s: it was tried again", command)
		}
	}
}

func TestTheVerdictOfARetryScript(t *testing.T) {
	for _, tc := range []struct {
		code int
		veto bool
		says string
	}{
		{0, false, ""},
		{abortContinue, false, "gives up; the operation goes on"},
		{abortStop, true, ""},
	} {
		f := newFixture(t, Config{Script: fmt.Sprintf("exit %d", tc.code), Retry: true})
		err := f.Notify(f.ctx, event)
		if (err != nil) != tc.veto {
			t.Errorf("exit code %d: error %v", tc.code, err)
		}
		if !strings.Contains(f.log.String(), tc.says) {
			t.Errorf("exit code %d: the log is %q", tc.code, f.log)
		}
		if tc.veto && !strings.Contains(err.Error(), `"exit 63"`) {
			t.Errorf("the veto does not name the script: %v", err)
		}
		if len(f.pauses) > 0 {
			t.Errorf("exit code %d: it was tried again", tc.code)
		}
	}
}

func TestARetryScriptIsRunUntilItSucceeds(t *testing.T) {
	count := filepath.Join(t.TempDir(), "count")
	const runs = 14
	command := script(t, fmt.Sprintf(`echo x >> %s; [ $(wc -l < %[1]s) -ge %d ]`, count, runs))
	f := newFixture(t, Config{Script: command, Retry: true})
	if err := f.Notify(f.ctx, event); err != nil {
		t.Fatal(err)
	}
	const short, long = 3 * time.Second, 60 * time.Second
	want := []time.Duration{short, short, short, short, short, long, short, short, short, short, short, long, short}
	if diff := cmp.Diff(want, f.pauses); diff != "" {
		t.Errorf("pauses (- want, + got):\n%s", diff)
	}
}

func TestARetryScriptThatIsKilledIsRunAgain(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	f := newFixture(t, Config{Script: fmt.Sprintf("[ -e %s ] || { touch %[1]s; kill -9 $$; }", mark), Retry: true})
	if err := f.Notify(f.ctx, event); err != nil || len(f.pauses) != 1 {
		t.Errorf("error %v after pauses %v", err, f.pauses)
	}
}

func TestTheScriptIsACommandLineOfTheShell(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, Config{Script: fmt.Sprintf(`cd %s && echo "$BARMAN_SERVER is $1" | sed 's/is /is well/' > out`, dir)})
	if err := f.Notify(f.ctx, event); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || string(got) != "main is well\n" {
		t.Errorf("it wrote %q, error %v", got, err)
	}
}

func TestTheScriptSeesItsEvent(t *testing.T) {
	out := filepath.Join(t.TempDir(), "env")
	f := newFixture(t, Config{Script: script(t, "set -u; env | grep ^BARMAN_ | sort > "+out), Retry: true})
	e := sdk.Event{Operation: "backup", Phase: sdk.PhasePost, Server: "main", Error: "no\nspace", Values: map[string]string{"BACKUP_ID": "20260102T030405"}}
	if err := f.Notify(f.ctx, e); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"BARMAN_BACKUP_ID=20260102T030405\n", "BARMAN_ERROR=no\n", "BARMAN_HOOK=backup_retry_script\n", "BARMAN_RETRY=1\n", "BARMAN_PHASE=post\n", "BARMAN_NEXT_ID=\n"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestAScriptThatTakesTooLongIsEnded(t *testing.T) {
	limit := 100 * time.Millisecond
	pidFile := filepath.Join(t.TempDir(), "pid")
	f := newFixture(t, Config{Script: fmt.Sprintf("sleep 600 & echo $! > %s; wait", pidFile), Timeout: &limit})
	if err := f.Notify(f.ctx, event); err != nil {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(f.log.String(), "timed out after 100ms") {
		t.Errorf("the log is %q", f.log)
	}
	waitGone(t, pidFile)
}

func TestARetryScriptThatTakesTooLongIsRunAgain(t *testing.T) {
	limit := 200 * time.Millisecond
	mark := filepath.Join(t.TempDir(), "mark")
	f := newFixture(t, Config{Script: fmt.Sprintf("[ -e %s ] || { touch %[1]s; sleep 600; }", mark), Retry: true, Timeout: &limit})
	if err := f.Notify(f.ctx, event); err != nil || len(f.pauses) != 1 {
		t.Errorf("error %v after pauses %v", err, f.pauses)
	}
}

func TestCancellationEndsAllThatTheScriptStarted(t *testing.T) {
	for name, command := range map[string]string{
		"a child":                       `sleep 600 & echo $! > %s; wait`,
		"one that will not listen":      `trap '' TERM; sleep 600 & echo $! > %s; wait; wait; wait`,
		"one that left its output":      `sleep 600 > /dev/null 2>&1 & echo $! > %s; wait`,
		"one that ignores and is quiet": `trap '' TERM; sleep 600 > /dev/null 2>&1 & echo $! > %s; exec sleep 600`,
	} {
		for _, retry := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, retry %v", name, retry), func(t *testing.T) {
				t.Parallel()
				pidFile := filepath.Join(t.TempDir(), "pid")
				f := newFixture(t, Config{Script: fmt.Sprintf(command, pidFile), Retry: retry})
				ctx, cancel := context.WithCancelCause(f.ctx)
				ended := make(chan error, 1)
				go func() { ended <- f.Notify(ctx, event) }()
				readPID(t, pidFile)
				cancel(errors.New("the user had enough"))
				err := <-ended
				if sdk.KindOf(err) != sdk.Cancelled || !strings.Contains(err.Error(), "the user had enough") {
					t.Errorf("kind %s: %v", sdk.KindOf(err), err)
				}
				waitGone(t, pidFile)
			})
		}
	}
}

func TestCancellationEndsAPause(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := newFixture(t, Config{Script: "exit 1", Retry: true})
	f.Script.pause = func(ctx context.Context, _ time.Duration) error {
		cancel()
		return pause(ctx, time.Hour)
	}
	if err := f.Notify(ctx, event); sdk.KindOf(err) != sdk.Cancelled {
		t.Errorf("kind %s: %v", sdk.KindOf(err), err)
	}
}

func TestAProcessLeftBehindDoesNotHoldUpTheOperation(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	f := newFixture(t, Config{Script: fmt.Sprintf("sleep 600 & echo $! > %s", pidFile), Retry: true})
	if err := f.Notify(f.ctx, event); err != nil || len(f.pauses) > 0 {
		t.Errorf("error %v after pauses %v", err, f.pauses)
	}
	pid := readPID(t, pidFile)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("what the script left running is not there: %v", err)
	}
}

func TestNewRefusesWhatCannotBeRun(t *testing.T) {
	zero := time.Duration(0)
	for path, config := range map[string]Config{"script": {Script: " \t"}, "timeout": {Script: "true", Timeout: &zero}} {
		if found := config.Validate(); len(found) != 1 || found[0].Path != path {
			t.Errorf("%+v: %v", config, found)
		}
		if _, err := New(&config, new(sync.WaitGroup)); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%+v: New gives %v", config, err)
		}
	}
	if found := (&Config{Script: "a\x00b"}).Validate(); len(found) != 1 {
		t.Errorf("a NUL: %v", found)
	}
}

// readPID waits for a script to write a process ID.
func readPID(t *testing.T, path string) int {
	t.Helper()
	for t.Context().Err() == nil {
		text, err := os.ReadFile(path)
		if pid, bad := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && bad == nil && strings.HasSuffix(string(text), "\n") {
			return pid
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the script wrote no process ID")
	return 0
}

// waitGone waits until a process has ended: it was killed, but may not have been
// reaped yet.
func waitGone(t *testing.T, pidFile string) {
	t.Helper()
	pid := readPID(t, pidFile)
	for range 5000 {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(status), ") Z ") {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("process %d still runs", pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
}
