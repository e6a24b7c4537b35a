package wal

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/stage"
	"github.com/barman-go/barman/sdk/wal"
)

// envConfig makes the test binary archive once, or receive, with the named
// configuration, so that tests can kill it.
const (
	envConfig = "BARMAN_TEST_WAL_CONFIG"
	envTask   = "BARMAN_TEST_WAL_TASK"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(envConfig); path != "" {
		if err := runTask(path, os.Getenv(envTask)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(runTests(m))
}

// runTests builds the plugins beside each other, as "make build" does, unless they
// were built before.
func runTests(m *testing.M) int {
	if os.Getenv("BARMAN_BIN") != "" {
		return m.Run()
	}
	bin, err := os.MkdirTemp("", "barman-wal-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	for name, source := range map[string]string{
		"sink-posix": "sink-posix", "transform-compress": "compress", "source-pgreceivewal": "source-pgreceivewal",
	} {
		out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "barman-plugin-"+name), "../../plugins/"+source).CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "go build plugins/%s: %v\n%s", source, err, out)
			return 1
		}
	}
	os.Setenv("BARMAN_BIN", bin)
	return m.Run()
}

func runTask(path, task string) error {
	s, done, err := openServer(path, hclog.NewNullLogger())
	if err != nil {
		return err
	}
	defer done()
	if task == "receive" {
		return Receive(interruptible(), s, ReceiveOptions{})
	}
	_, err = Archive(context.Background(), s, ArchiveOptions{})
	return err
}

func openServer(path string, logger hclog.Logger) (*server.Server, func(), error) {
	loaded, err := config.Load(path)
	if err != nil {
		return nil, nil, err
	}
	directory, err := stage.NewRunDirectory()
	if err != nil {
		return nil, nil, err
	}
	launcher := stage.Launcher{Finder: stage.Finder{Directories: []string{os.Getenv("BARMAN_BIN")}}, RunDirectory: directory.Path, Logger: logger}
	s, err := server.Open(loaded, loaded.Servers[0], pipeline.New(launcher, directory.Path, logger), logger)
	return s, func() { _ = directory.Close() }, err
}

// site is a server "main" with its directories and its log.
type site struct {
	*server.Server
	t      *testing.T
	config string
	dir    string // the server's directory
}

// newSite makes a server of the given wal block in a home directory.
func newSite(t *testing.T, home, block string) *site {
	t.Helper()
	return newSiteFor(t, home, `conninfo = "host=127.0.0.1 port=1 user=nobody"`, block)
}

func newSiteFor(t *testing.T, home, settings, block string) *site {
	t.Helper()
	path := filepath.Join(t.TempDir(), "barman.hcl")
	content := fmt.Sprintf("barman {\n  home = %q\n}\nserver \"main\" {\n  %s\n  wal {\n%s\n  }\n}\n", home, settings, block)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	logger := hclog.New(&hclog.LoggerOptions{Output: testWriter{t}, Level: hclog.Info, DisableTime: true})
	s, done, err := openServer(path, logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	if err := s.Catalogue.CreateDirectories(); err != nil {
		t.Fatal(err)
	}
	return &site{Server: s, t: t, config: path, dir: s.Config.Directories.Backup}
}

// testWriter writes the log of a test into the test's own.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// task is this binary doing something on its own.
func (s *site) task(ctx context.Context, task string) *exec.Cmd {
	executable, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, executable)
	cmd.Env = append(os.Environ(), envConfig+"="+s.config, envTask+"="+task)
	return cmd
}

const (
	testSystemID = 7710531007977330367
	testSize     = wal.SegmentSize(1 << 20)
)
