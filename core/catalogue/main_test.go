package catalogue

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gofrs/flock"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// lockInAnotherProcess makes the test binary take a lock file instead of
// running tests, until its standard input ends.
const lockInAnotherProcess = "CATALOGUE_TEST_LOCK"

func TestMain(m *testing.M) {
	if path := os.Getenv(lockInAnotherProcess); path != "" {
		lock, err := tryLock(path, (*flock.Flock).TryLock)
		if err != nil || lock == nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		fmt.Println("locked")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		os.Exit(0) // without Release, as a killed process would
	}
	os.Exit(m.Run())
}

// holdLock lets another process hold a lock file and returns its PID and a
// function that ends it.
func holdLock(t *testing.T, path string) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), lockInAnotherProcess+"="+path)
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
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "locked\n" {
		t.Fatalf("other process: %q, %v", line, err)
	}
	end = sync.OnceFunc(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	t.Cleanup(end)
	return cmd.Process.Pid, end
}

// newServer returns an empty catalogue.
func newServer(t testing.TB) *Server {
	t.Helper()
	s, err := Open(Layout{}.Default(filepath.Join(t.TempDir(), "home"), "main"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateDirectories(); err != nil {
		t.Fatal(err)
	}
	return s
}

// fixture returns a copy of the catalogue that Barman 3.4 wrote.
func fixture(t testing.TB) *Server {
	t.Helper()
	home := t.TempDir()
	if err := os.CopyFS(home, os.DirFS("testdata/barman-3.4/home")); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Layout{}.Default(home, "main"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func walName(t testing.TB, s string) wal.Name {
	t.Helper()
	n, err := wal.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// addWAL puts files into the archive.
func addWAL(t testing.TB, s *Server, names ...string) {
	t.Helper()
	for _, name := range names {
		write(t, s.WALPath(walName(t, name)), "content of "+name)
	}
}

func wantKind(t testing.TB, err error, kind sdk.ErrorKind, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, expected one of kind %q", kind)
	}
	if got := sdk.KindOf(err); got != kind {
		t.Errorf("error of kind %q, expected %q: %v", got, kind, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error does not mention %q: %v", part, err)
		}
	}
}

// wantNoTemporaryFiles checks that nothing half-written was left behind.
func wantNoTemporaryFiles(t testing.TB, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), ".") && strings.HasSuffix(path, ".tmp") {
			t.Errorf("%s was left behind", path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}
