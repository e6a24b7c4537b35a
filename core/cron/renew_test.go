package cron

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/server"
)

// receiver starts the test binary, which holds the lock of a WAL receiver.
func receiver(t *testing.T, path string, stderr *os.File) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), executable)
	cmd.Env = append(os.Environ(), envHold+"="+path)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// changed loads the configuration with another connection string.
func changed(t *testing.T, path string) *server.Server {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "host=x", "host=y", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	servers, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	return servers[0]
}

func TestAReceiverOfCronsBeginsAnewOnlyWithOtherSettings(t *testing.T) {
	path, servers := configured(t, map[string]string{"a": streams})
	var running *exec.Cmd
	_, err := Run(t.Context(), servers, "", func(stderr *os.File, args ...string) error {
		if args[0] == "receive-wal" {
			running = receiver(t, path, stderr)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var r recorder
	if result := Renew(t.Context(), servers[0], r.spawn); result.Err != nil || len(r.commands) > 0 {
		t.Fatalf("with the same settings: %+v, %q", result, r.commands)
	}
	if result := Renew(t.Context(), changed(t, path), r.spawn); result.Err != nil {
		t.Fatal(result.Err)
	}
	_ = running.Wait() // it was interrupted
	if diff := cmp.Diff([]string{"receive-wal a"}, r.commands); diff != "" {
		t.Error(diff)
	}
}

func TestAReceiverOfSomebodyElsesIsStoppedForThemToStartAgain(t *testing.T) {
	path, _ := configured(t, map[string]string{"a": streams})
	running := receiver(t, path, nil)
	var r recorder
	if result := Renew(t.Context(), changed(t, path), r.spawn); result.Err != nil {
		t.Fatal(result.Err)
	}
	if err := running.Wait(); err == nil {
		t.Error("it was not stopped")
	}
	if len(r.commands) > 0 {
		t.Errorf("%q", r.commands)
	}
}

func TestWhatIsNotReceivedIsNotRenewed(t *testing.T) {
	_, servers := configured(t, map[string]string{"a": streams})
	var r recorder
	if result := Renew(t.Context(), servers[0], r.spawn); result.Err != nil || len(r.commands) > 0 {
		t.Errorf("%+v, %q", result, r.commands)
	}
}
