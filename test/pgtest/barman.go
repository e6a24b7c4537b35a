package pgtest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// barmanWithin ends a command that hangs, so that a test says which one it was.
const barmanWithin = 10 * time.Minute

// BarmanBin returns the directory with barman and its plugins: $BARMAN_BIN, where "make test" has built them, or else
// what "make build" puts into bin/, run once for the process.
func BarmanBin(t testing.TB) string {
	t.Helper()
	dir, err := barmanBin()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var barmanBin = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("BARMAN_BIN"); dir != "" {
		_, err := os.Stat(filepath.Join(dir, "barman"))
		return dir, err
	}
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	out, err := exec.Command("make", "--no-print-directory", "-C", root, "build").CombinedOutput()
	if err != nil {
		return "", errors.New("make build: " + err.Error() + "\n" + string(out))
	}
	return filepath.Join(root, "bin"), nil
})

// EveryonesBin is BarmanBin where every user can enter: a copy, for the length of the test, if it is not such a place.
func EveryonesBin(t testing.TB) string {
	t.Helper()
	bin, err := filepath.Abs(BarmanBin(t))
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	for dir := bin; dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		closed = closed || info.Mode()&0o001 == 0
	}
	if !closed || os.Geteuid() != 0 {
		return bin
	}
	copied := filepath.Join(Scratch(t), "bin")
	if out, err := exec.Command("cp", "-a", bin, copied).CombinedOutput(); err != nil {
		t.Fatalf("copying %s: %v\n%s", bin, err, out)
	}
	return copied
}

// Home is a barman home with its configuration file.
type Home struct {
	Dir    string // barman_home
	Config string // path of the HCL file

	t     testing.TB
	owner *syscall.Credential // who runs barman; nil for the user of the test
}

// Result is how a command ended and what it printed.
type Result struct {
	Code           int // exit code; -1 when a signal ended it
	Stdout, Stderr string
}

// NewHome makes an empty barman home and a configuration of its "barman" block followed by the given HCL. The home is
// outside of every cluster's directory and ends with the test.
func NewHome(t testing.TB, hcl string) *Home {
	t.Helper()
	dir := Scratch(t)
	h := &Home{Dir: filepath.Join(dir, "home"), Config: filepath.Join(dir, "barman.hcl"), t: t}
	if err := os.Mkdir(h.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	h.Configure(hcl)
	return h
}

// In is the home for the use of a subtest.
func (h *Home) In(t testing.TB) *Home {
	return &Home{Dir: h.Dir, Config: h.Config, t: t, owner: h.owner}
}

// GiveToPostgres makes the home that of whom PostgreSQL runs as, and its commands too, so that an archive_command can use
// it. It comes before the first command.
func (h *Home) GiveToPostgres() {
	h.t.Helper()
	h.owner = credential(h.t)
	if h.owner == nil {
		return
	}
	for _, path := range []string{h.Dir, h.Config} {
		if err := os.Chown(path, int(h.owner.Uid), int(h.owner.Gid)); err != nil {
			h.t.Fatal(err)
		}
	}
}

// Configure writes the configuration anew.
func (h *Home) Configure(hcl string) {
	h.t.Helper()
	head := "barman {\n  home = \"" + h.Dir + "\"\n}\n\n"
	if err := os.WriteFile(h.Config, []byte(head+hcl), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// Command is barman with the home's configuration, to be started by the test. It does not outlive the test.
func (h *Home) Command(args ...string) *exec.Cmd {
	h.t.Helper()
	bin := BarmanBin(h.t)
	if h.owner != nil {
		bin = EveryonesBin(h.t)
	}
	cmd := exec.CommandContext(h.t.Context(), filepath.Join(bin, "barman"), append([]string{"-c", h.Config}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: h.owner}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// Run runs barman to its end.
func (h *Home) Run(args ...string) Result {
	h.t.Helper()
	return Run(h.t, h.Command(args...))
}

// Must runs barman to its end, which must be success, and returns what it printed to standard output.
func (h *Home) Must(args ...string) string {
	h.t.Helper()
	r := h.Run(args...)
	if r.Code != 0 {
		h.t.Fatalf("barman %s: exit code %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Run runs a command to its end and keeps what it prints. Not being able to start it fails the test, as does its hanging.
func Run(t testing.TB, cmd *exec.Cmd) Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hung := time.AfterFunc(barmanWithin, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) }) // Go prints where it hangs
	err := cmd.Wait()
	r := Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
	if !hung.Stop() {
		t.Fatalf("%v hung for %s:\n%s", cmd.Args, barmanWithin, r.Stderr)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, r.Stderr)
	}
	return r
}
