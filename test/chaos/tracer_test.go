//go:build linux && amd64

package chaos_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/test/chaos"
)

func TestMain(m *testing.M) {
	chaos.Main()
	os.Exit(m.Run())
}

// copying is cp in a shell, in a directory of its own.
func copying(t *testing.T) (chaos.Command, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "from"), []byte("content\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return chaos.Command{
		Path: "/bin/sh", Args: []string{"-c", `cp "$0/from" "$0/to" && mv "$0/to" "$0/there"; echo $?; exit 3`, dir},
		Env: []string{"PATH=/usr/bin:/bin"}, Roots: map[string]string{dir: "dir"}, Within: 20 * time.Second,
	}, dir
}

func TestRunSeesTheCallsOfEveryProcess(t *testing.T) {
	c, _ := copying(t)
	got, err := chaos.Run(c, chaos.Point{}, chaos.Fault{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Code != 3 || got.Output != "0\n" || got.Hung || len(got.Orphans) > 0 {
		t.Errorf("got %+v", got)
	}
	seen := map[chaos.Point]bool{}
	for _, p := range got.Points {
		seen[p] = true
	}
	for _, want := range []chaos.Point{{"cp", "open", "dir/from", 1}, {"cp", "create", "dir/to", 1}, {"mv", "rename", "dir/there", 1}} {
		if !seen[want] {
			t.Errorf("%s is missing in %v", want, got.Points)
		}
	}
}

func TestRunFailsOneCall(t *testing.T) {
	for name, tt := range map[string]struct {
		point  chaos.Point
		fault  chaos.Fault
		output string
		left   string
	}{
		"error": {chaos.Point{Program: "mv", Call: "rename", Object: "dir/there", Nth: 1}, chaos.Fault{Errno: syscall.ENOSPC},
			"mv: cannot move", "to"},
		"kill": {chaos.Point{Program: "mv", Call: "rename", Object: "dir/there", Nth: 1}, chaos.Fault{Kill: true},
			"", "to"},
	} {
		t.Run(name, func(t *testing.T) {
			c, dir := copying(t)
			got, err := chaos.Run(c, tt.point, tt.fault)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Hit || got.Code != 3 || len(got.Output) < len(tt.output) {
				t.Errorf("got %+v", got)
			}
			if _, err := os.Stat(filepath.Join(dir, tt.left)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRunReportsProcessesThatStay(t *testing.T) {
	c := chaos.Command{Path: "/bin/sh", Args: []string{"-c", "sleep 60 & exit 0"}, Env: []string{"PATH=/usr/bin:/bin"}, Within: 20 * time.Second}
	got, err := chaos.Run(c, chaos.Point{}, chaos.Fault{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Orphans) != 1 || got.Code != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestRunEndsWhatHangs(t *testing.T) {
	c := chaos.Command{Path: "/bin/sleep", Args: []string{"60"}, Within: 100 * time.Millisecond}
	got, err := chaos.Run(c, chaos.Point{}, chaos.Fault{})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Hung || got.Code == 0 {
		t.Errorf("got %+v", got)
	}
}
