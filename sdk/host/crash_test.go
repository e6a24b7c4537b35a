package host

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
)

func TestAPluginThatIsKilledSaysSo(t *testing.T) {
	stage, log := configured(t, "", sdk.Server{})
	result := notify(t.Context(), stage, "wait")
	log.await(t, "waiting")
	if err := syscall.Kill(stage.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := <-result
	var crash *Crash
	if !errors.As(err, &crash) || err.Error() != "stopped unexpectedly: signal: killed" {
		t.Errorf("the error is %v", err)
	}
	// So does everything that is asked of it from then on.
	if _, err := stage.Describe(t.Context()); !errors.As(err, &crash) {
		t.Errorf("the error is %v", err)
	}
}

func TestAPluginThatPanicsSaysWhy(t *testing.T) {
	stage, _ := configured(t, "", sdk.Server{})
	err := stage.Notify(t.Context(), sdk.Event{Operation: "panic"})
	if err == nil || !strings.Contains(err.Error(), "stopped unexpectedly: exit status 2; its last words: panic: out of cheese") {
		t.Errorf("the error is %v", err)
	}
}

func TestAnErrorOfALivingPluginIsNoCrash(t *testing.T) {
	stage, _ := configured(t, "", sdk.Server{})
	err := stage.Notify(t.Context(), sdk.Event{Operation: "unavailable"})
	if sdk.KindOf(err) != sdk.Unavailable || err.Error() != "the bucket is throttled" {
		t.Errorf("the error is %v", err)
	}
}

func TestAPluginThatHangsIsNoticedAndGivenUp(t *testing.T) {
	stage, log := configured(t, "", sdk.Server{}, func(b *Binary) { b.HungAfter = 2 * time.Second })
	result := notify(t.Context(), stage, "wait")
	log.await(t, "waiting")
	if err := syscall.Kill(stage.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	log.await(t, "gives no sign of life")
	err := <-result
	if sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), "hangs: no sign of life for 2s") {
		t.Errorf("the error is %v", err)
	}
	stage.Stop() // returns, although nobody answers
	if err := syscall.Kill(stage.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the plugin is still there: %v", err)
	}
}

func TestAPluginThatWakesUpAgainGoesOn(t *testing.T) {
	stage, log := configured(t, "", sdk.Server{})
	ctx, cancel := context.WithCancel(t.Context())
	result := notify(ctx, stage, "wait")
	log.await(t, "waiting")
	if err := syscall.Kill(stage.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	log.await(t, "gives no sign of life")
	if err := syscall.Kill(stage.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	log.await(t, "answers again")
	cancel()
	if err := <-result; sdk.KindOf(err) != sdk.Cancelled {
		t.Errorf("the error is %v", err)
	}
	if _, err := stage.Describe(t.Context()); err != nil {
		t.Error(err)
	}
}

// gone waits until a process is no more, at most for 2 seconds.
func gone(t *testing.T, pid int) bool {
	t.Helper()
	for range 200 {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(b), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func TestTheProgramsOfAPluginThatIsKilledEndWithIt(t *testing.T) {
	stage, log := configured(t, "", sdk.Server{})
	result := notify(t.Context(), stage, "child")
	log.await(t, "started")
	child, err := strconv.Atoi(regexp.MustCompile(`child=(\d+)`).FindStringSubmatch(log.String())[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(stage.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err == nil || !strings.HasPrefix(err.Error(), "stopped unexpectedly: signal: killed") {
		t.Errorf("the error is %v", err)
	}
	if !gone(t, child) {
		t.Errorf("process %d is still there", child)
	}
}

func TestNoPluginOutlivesACoreThatIsKilled(t *testing.T) {
	core := exec.Command(os.Args[0])
	core.Env = append(os.Environ(), "HOST_TEST_PLUGIN="+binary, "TMPDIR="+t.TempDir())
	core.Stderr = os.Stderr
	out, err := core.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := core.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the core said %q", line)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the plugin is not there: %v", err)
	}
	if err := core.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := core.Wait(); err == nil {
		t.Error("the core ended well")
	}
	if !gone(t, pid) {
		t.Errorf("the plugin %d is still there 2 seconds after its core was killed", pid)
	}
}
