package processes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
)

const (
	envHold = "BARMAN_TEST_PROCESSES_HOLD" // what a process of the test binary holds: home:lock
	envDeaf = "BARMAN_TEST_PROCESSES_DEAF"
)

// TestMain makes the test binary a process that holds a lock until SIGINT, or in
// spite of it.
func TestMain(m *testing.M) {
	place := os.Getenv(envHold)
	if place == "" {
		os.Exit(m.Run())
	}
	home, lock, _ := strings.Cut(place, ":")
	s, err := catalogue.Open(catalogue.Layout{}.Default(home, "main"))
	if err == nil {
		_, err = s.Lock(lock)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv(envDeaf) != "" {
		signal.Ignore(syscall.SIGINT)
	}
	fmt.Println("held")
	time.Sleep(time.Hour) // until a signal
}

func newServer(t *testing.T) (*catalogue.Server, string) {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	s, err := catalogue.Open(catalogue.Layout{}.Default(home, "main"))
	if err != nil {
		t.Fatal(err)
	}
	return s, home
}

// hold starts a process that holds a lock.
func hold(t *testing.T, home, lock string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), envHold+"="+home+":"+lock), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd
}

func TestATaskIsFoundByTheLockItHoldsAndEndedBySIGINT(t *testing.T) {
	s, home := newServer(t)
	const id = "20260101T000000"
	for task, lock := range map[string]string{"backup": "backup", "receive-wal": "receive-wal", "sync-backup": id + "-sync-backup"} {
		holder := hold(t, home, lock)
		p, err := Find(s, task)
		if err != nil || p.PID != holder.Process.Pid {
			t.Fatalf("%s: %+v, %v", task, p, err)
		}
		if err := Stop(t.Context(), s, p); err != nil {
			t.Fatal(err)
		}
		var ended *exec.ExitError
		if err := holder.Wait(); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
			t.Errorf("%s ended with %v", task, err)
		}
		if err := Stop(t.Context(), s, p); err != nil {
			t.Errorf("%s that has ended: %v", task, err)
		}
	}
}

func TestATaskThatDoesNotRunIsNotFound(t *testing.T) {
	s, home := newServer(t)
	if _, err := Find(s, "backup"); sdk.KindOf(err) != sdk.NotFound || !strings.Contains(err.Error(), "nothing runs") {
		t.Error(err)
	}
	hold(t, home, "cron")
	if _, err := Find(s, "backup"); sdk.KindOf(err) != sdk.NotFound || !strings.Contains(err.Error(), "what runs for it is cron") {
		t.Error(err)
	}
}

func TestOneThatDoesNotEndIsBusyAndLivesOn(t *testing.T) {
	s, home := newServer(t)
	holder := hold(t, home, "backup", envDeaf+"=1")
	p, err := Find(s, "backup")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*look)
	defer cancel()
	if err := Stop(ctx, s, p); sdk.KindOf(err) != sdk.Busy {
		t.Error(err)
	}
	if err := holder.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error(err)
	}
}

func TestThisProcessAndThoseWithoutTheLockAreNotSignalled(t *testing.T) {
	s, home := newServer(t)
	if err := Stop(t.Context(), s, catalogue.Process{Task: "backup", PID: os.Getpid()}); sdk.KindOf(err) != sdk.Invalid {
		t.Error(err)
	}
	holder := hold(t, home, "cron")
	if err := Stop(t.Context(), s, catalogue.Process{Task: "backup", PID: holder.Process.Pid}); err != nil {
		t.Error(err)
	}
	if p, err := Find(s, "cron"); err != nil || p.PID != holder.Process.Pid {
		t.Errorf("%+v, %v", p, err)
	}
}
