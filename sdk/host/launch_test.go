package host

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
)

func copyOf(t *testing.T, mode os.FileMode) string {
	t.Helper()
	b, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLaunchSaysWhyAPluginDoesNotStart(t *testing.T) {
	for name, tc := range map[string]struct {
		path, role, pin string
		kind            sdk.ErrorKind
		says            string
	}{
		"a relative path":        {path: "bin/plugin", kind: sdk.Invalid, says: "not absolute"},
		"no file":                {path: "/nowhere/plugin", kind: sdk.NotFound, says: "/nowhere/plugin does not exist"},
		"a directory":            {path: t.TempDir(), kind: sdk.Invalid, says: "not a regular file"},
		"writable by the group":  {path: copyOf(t, 0o775), kind: sdk.Denied, says: "chmod go-w"},
		"writable by everybody":  {path: copyOf(t, 0o757), kind: sdk.Denied, says: "chmod go-w"},
		"not executable":         {path: copyOf(t, 0o600), kind: sdk.Denied, says: "chmod +x"},
		"another SHA-256":        {path: binary, pin: strings.Repeat("0", 64), kind: sdk.Denied, says: "the configuration pins 0000"},
		"no program at all":      {path: script(t, "\x00\x01\x02 not a program"), kind: sdk.Invalid, says: "not a program"},
		"no plugin":              {path: script(t, "#!/bin/sh\necho cannot find libfoo.so >&2\nexit 1\n"), kind: sdk.Invalid, says: "cannot find libfoo.so"},
		"a program with output":  {path: binary, role: "babbler", kind: sdk.Invalid, says: "does not behave like a plugin of barman"},
		"another protocol":       {path: binary, role: "old", kind: sdk.Invalid, says: "speaks another version of the plugin protocol than this barman (1)"},
		"one that never answers": {path: binary, role: "silent", kind: sdk.Unavailable, says: "did not answer within 500ms"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			stage, err := Launch(Binary{Path: tc.path, SHA256: tc.pin, Directory: dir, Environment: []string{"ROLE=" + tc.role}, StartTimeout: startTimeFor(tc.role)})
			if err == nil {
				stage.Stop()
				t.Fatal("it started")
			}
			if sdk.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("the error is of kind %s instead of %s: %v", sdk.KindOf(err), tc.kind, err)
			}
			if !strings.Contains(err.Error(), tc.path) {
				t.Errorf("the error does not name the file: %v", err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
		})
	}
}

// Only the one that never answers is waited for.
func startTimeFor(role string) time.Duration {
	if role == "silent" {
		return 500 * time.Millisecond
	}
	return 0
}

func TestLaunchRefusesAPluginOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can give a file away")
		return
	}
	path := copyOf(t, 0o755)
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := Launch(Binary{Path: path, Directory: t.TempDir()}); sdk.KindOf(err) != sdk.Denied || !strings.Contains(err.Error(), "uid 12345") {
		t.Errorf("the error is %v", err)
	}
}

func TestLaunchRunsWhatItHasChecked(t *testing.T) {
	b, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	stage, _ := launch(t, "", func(b *Binary) { b.SHA256 = strings.ToUpper(hex.EncodeToString(sum[:])) })
	d, err := stage.Describe(t.Context())
	if err != nil || d.Kind != "hook" || d.Name != "test" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestAPluginSeesOnlyItsOwnEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "of-somebody-else")
	stage, _ := configured(t, "", sdk.Server{})
	err := stage.Notify(t.Context(), sdk.Event{Operation: "environment"})
	if err == nil || strings.Contains(err.Error(), "of-somebody-else") || !strings.Contains(err.Error(), "ROLE=") {
		t.Errorf("the environment is %v", err)
	}
}

func TestSecretsAreNotInThePluginsArgumentsOrEnvironment(t *testing.T) {
	stage, log := configured(t, "", sdk.Server{Name: "main", Conninfo: "host=pg password=hunter2", StreamingConninfo: "host=pg password=hunter2"})
	for _, file := range []string{"environ", "cmdline"} {
		b, err := os.ReadFile(filepath.Join("/proc", stage.process.ID(), file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "hunter2") {
			t.Errorf("the password is in %s: %q", file, b)
		}
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the password is in the log: %s", log)
	}
}

func TestLaunchingAndStoppingLeavesNothingBehind(t *testing.T) {
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	cycle := func() {
		dir := t.TempDir()
		for _, role := range []string{"", "babbler"} {
			if stage, err := Launch(Binary{Path: binary, Directory: dir, Environment: []string{"ROLE=" + role}}); err == nil {
				if _, err := stage.Describe(t.Context()); err != nil {
					t.Fatal(err)
				}
				stage.Stop()
			}
		}
		if _, err := Launch(Binary{Path: "/nowhere", Directory: dir}); err == nil {
			t.Fatal("started nothing")
		}
	}
	cycle()
	goroutines, files := runtime.NumGoroutine(), descriptors()
	for range 10 {
		cycle()
	}
	// What was closed may take a moment to go.
	for i := 0; (runtime.NumGoroutine() > goroutines || descriptors() > files) && i < 200; i++ {
		time.Sleep(10 * time.Millisecond)
	}
	if n, m := runtime.NumGoroutine(), descriptors(); n > goroutines || m > files {
		buffer := make([]byte, 1<<20)
		t.Errorf("%d goroutines became %d, %d descriptors became %d\n%s", goroutines, n, files, m, buffer[:runtime.Stack(buffer, true)])
	}
}
