package stage

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/barman-go/barman/sdk"
)

// envHold makes the test binary take a run directory and hold it.
const envHold = "STAGE_TEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(envHold) == "" {
		os.Exit(m.Run())
	}
	d, err := NewRunDirectory()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(d.Path)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	os.Exit(0) // without Close
}

// shortDirectory is a directory whose name leaves room for sockets.
func shortDirectory(t *testing.T) string {
	t.Helper()
	d, err := os.MkdirTemp("/tmp", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(d); err != nil {
			t.Error(err)
		}
	})
	return d
}

func newRun(t *testing.T) *RunDirectory {
	t.Helper()
	d, err := NewRunDirectory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestTheRunDirectoryIsPrivateAndGoneAfterClose(t *testing.T) {
	t.Setenv("BARMAN_RUN_DIR", shortDirectory(t))
	d, err := NewRunDirectory()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeDir|0o700 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := os.WriteFile(filepath.Join(d.Path, "1.0"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(d.Path); !os.IsNotExist(err) {
		t.Errorf("after Close: %v", err)
	}
}

func TestTheFirstPlaceThatCanBeWrittenIsTaken(t *testing.T) {
	file := filepath.Join(shortDirectory(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good, other := shortDirectory(t), shortDirectory(t)
	long := filepath.Join(shortDirectory(t), strings.Repeat("d", maxRunPath))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		run, xdg, tmp string
		want          string
	}{
		"its own variable first":     {good, other, other, good},
		"then the session's":         {"", good, other, good},
		"then the temporary one":     {"", "", good, good},
		"nonexistent ones":           {"/nonexistent/a", "/nonexistent/b", good, good},
		"one that is a file":         {file, good, "", good},
		"one that nobody can write":  {"/proc/self", good, "", good},
		"one that is too long":       {long, good, "", good},
		"one that is no whole path":  {"run", good, "", good},
		"nonexistent temporary ones": {good, "", "/nonexistent", good},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("BARMAN_RUN_DIR", test.run)
			t.Setenv("XDG_RUNTIME_DIR", test.xdg)
			t.Setenv("TMPDIR", test.tmp)
			if got := newRun(t).Path; filepath.Dir(got) != test.want {
				t.Errorf("took %s, expected one in %s", got, test.want)
			}
		})
	}
}

func TestATemporaryDirectoryThatDoesNotExistIsNoError(t *testing.T) {
	t.Setenv("BARMAN_RUN_DIR", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", "/nonexistent")
	if d := newRun(t); strings.HasPrefix(d.Path, "/nonexistent") || len(d.Path) > maxRunPath+len("/"+runPrefix)+10 {
		t.Errorf("took %s", d.Path)
	}
}

func TestWhenNoPlaceWillDoEveryReasonIsTold(t *testing.T) {
	_, err := newRunDirectoryIn([]string{"", "/nonexistent", strings.Repeat("/d", maxRunPath)})
	wantError(t, err, sdk.Unavailable, "BARMAN_RUN_DIR", "/nonexistent", "longer than")
}

// hold has another process hold a run directory and returns it and a function
// that kills the process.
func hold(t *testing.T) (path string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envHold+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // killed
		_ = in.Close()
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n"), kill
}

func TestOnlyTheDirectoriesOfDeadProcessesAreSwept(t *testing.T) {
	place := shortDirectory(t)
	t.Setenv("BARMAN_RUN_DIR", place)
	held, kill := hold(t)
	if err := os.MkdirAll(filepath.Join(held, "plugin-dir1", "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(place, "somebody-elses")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(place, runPrefix+"link")
	if err := os.Symlink(foreign, link); err != nil {
		t.Fatal(err)
	}
	mine := newRun(t)
	for _, path := range []string{held, foreign, link, mine.Path} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("while its process lives: %v", err)
		}
	}
	kill()
	second := newRun(t)
	if _, err := os.Lstat(held); !os.IsNotExist(err) {
		t.Errorf("%s of a killed process is still there: %v", held, err)
	}
	for _, path := range []string{foreign, link, mine.Path, second.Path} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("swept though it is in use: %v", err)
		}
	}
}

func TestALockOnARemovedDirectoryIsWorthNothing(t *testing.T) {
	path := filepath.Join(shortDirectory(t), runPrefix+"1")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	sweeper := lockOf(path)
	if held, err := sweeper.TryLock(); err != nil || !held {
		t.Fatal(held, err)
	}
	d := &RunDirectory{Path: path, lock: lockOf(path)}
	if held, err := d.hold(); held || err != nil {
		t.Errorf("while somebody sweeps: held %t, %v", held, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := sweeper.Close(); err != nil {
		t.Fatal(err)
	}
	if held, err := d.hold(); held || err != nil {
		t.Errorf("after it was swept: held %t, %v", held, err)
	}
}

// Processes that start at the same time take each other's new directories for
// abandoned ones, unless they are careful.
func TestProcessesThatStartTogetherKeepTheirDirectories(t *testing.T) {
	t.Setenv("BARMAN_RUN_DIR", shortDirectory(t))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				d, err := NewRunDirectory()
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := os.Stat(d.Path); err != nil {
					t.Error(err)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}
