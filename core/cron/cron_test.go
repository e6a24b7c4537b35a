package cron

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/stage"
)

const (
	envHold  = "BARMAN_TEST_CRON_HOLD"
	envSpawn = "BARMAN_TEST_CRON_SPAWNED"
)

// TestMain makes the test binary a WAL receiver that only holds the lock, or a
// command in the background that notes how it was started.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envHold) != "":
		hold(os.Getenv(envHold))
	case os.Getenv(envSpawn) != "":
		note(os.Getenv(envSpawn))
	default:
		os.Exit(m.Run())
	}
}

func hold(path string) {
	s, err := open(path)
	if err == nil {
		_, err = s[0].Catalogue.Lock(catalogue.LockReceiveWAL)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("held")
	time.Sleep(time.Hour) // until SIGINT
}

// note writes its arguments, its session and where its standard input leads.
func note(path string) {
	session, err := unix.Getsid(0)
	if err != nil {
		panic(err)
	}
	input, err := os.Readlink("/proc/self/fd/0")
	if err != nil {
		panic(err)
	}
	text := fmt.Sprintf("%s\n%v\n%s\n", strings.Join(os.Args[1:], " "), session == os.Getpid(), input)
	if err := os.WriteFile(path+".tmp", []byte(text), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		panic(err)
	}
}

func open(path string) ([]*server.Server, error) {
	loaded, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	engine := pipeline.New(stage.Launcher{}, filepath.Dir(path), hclog.NewNullLogger())
	var all []*server.Server
	for _, c := range loaded.Servers {
		s, err := server.Open(loaded, c, engine, hclog.NewNullLogger())
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

const (
	streams  = "conninfo = \"host=x\"\nwal {\n source \"pgreceivewal\" {}\n}"
	delivers = "conninfo = \"host=x\""
	inactive = "conninfo = \"host=x\"\nactive = false"
)

// configured writes a configuration of servers by name.
func configured(t *testing.T, blocks map[string]string) (string, []*server.Server) {
	t.Helper()
	dir := t.TempDir()
	content := fmt.Sprintf("barman {\n  home = %q\n}\n", dir)
	for name, block := range blocks {
		content += fmt.Sprintf("server %q {\n%s\n}\n", name, block)
	}
	path := filepath.Join(dir, "barman.hcl")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, all
}

// recorder is a Spawn that only remembers.
type recorder struct{ commands []string }

func (r *recorder) spawn(args ...string) error {
	r.commands = append(r.commands, strings.Join(args, " "))
	return nil
}

func TestEachActiveServerGetsWhatItLacks(t *testing.T) {
	_, servers := configured(t, map[string]string{"a": streams, "b": delivers, "c": inactive})
	var r recorder
	results, err := Run(t.Context(), servers, r.spawn)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"receive-wal a", "archive-wal a", "archive-wal b"}, r.commands); diff != "" {
		t.Error(diff)
	}
	if len(results) != 3 || results[2].Skipped == "" {
		t.Errorf("%+v", results)
	}
}

func TestOneCronAtATimeLooksAfterAServer(t *testing.T) {
	_, servers := configured(t, map[string]string{"a": delivers, "b": delivers})
	lock, err := servers[0].Catalogue.Lock(catalogue.LockCron)
	if err != nil {
		t.Fatal(err)
	}
	var r recorder
	results, err := Run(t.Context(), servers, r.spawn)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"archive-wal b"}, r.commands); diff != "" {
		t.Error(diff)
	}
	if results[0].Skipped == "" || results[1].Skipped != "" {
		t.Errorf("%+v", results)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatRunsIsNotStartedAgain(t *testing.T) {
	_, servers := configured(t, map[string]string{"a": streams})
	for _, name := range []string{catalogue.LockReceiveWAL, catalogue.LockArchiveWAL} {
		lock, err := servers[0].Catalogue.Lock(name)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Release()
	}
	var r recorder
	if _, err := Run(t.Context(), servers, r.spawn); err != nil {
		t.Fatal(err)
	}
	if len(r.commands) > 0 {
		t.Errorf("%q", r.commands)
	}
}

func TestAReceiverThatIsNotConfiguredAnyMoreIsStopped(t *testing.T) {
	path, servers := configured(t, map[string]string{"a": delivers})
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	receiver := exec.CommandContext(t.Context(), executable)
	receiver.Env = append(os.Environ(), envHold+"="+path)
	out, err := receiver.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	var r recorder
	if _, err := Run(t.Context(), servers, r.spawn); err != nil {
		t.Fatal(err)
	}
	var ended *exec.ExitError
	if err := receiver.Wait(); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v", err)
	}
}

func TestOneServersTroubleIsNoOthers(t *testing.T) {
	_, servers := configured(t, map[string]string{"a": delivers, "b": delivers})
	if err := os.WriteFile(servers[0].Config.Directories.Backup, []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	var r recorder
	_, err := Run(t.Context(), servers, r.spawn)
	if err == nil || !strings.Contains(err.Error(), "server a: ") || strings.Contains(err.Error(), "server b") {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff([]string{"archive-wal b"}, r.commands); diff != "" {
		t.Error(diff)
	}
}

func TestABackupThatWasKilledIsMarkedAsFailed(t *testing.T) {
	_, servers := configured(t, map[string]string{"a": delivers})
	b, err := servers[0].Catalogue.Create(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var r recorder
	if _, err := Run(t.Context(), servers, r.spawn); err != nil {
		t.Fatal(err)
	}
	if b, err = servers[0].Catalogue.Get(b.ID); err != nil || b.State != catalogue.StateFailed {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestCommandsInTheBackgroundHaveASessionOfTheirOwn(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "noted")
	t.Setenv(envSpawn, out)
	t.Chdir(t.TempDir())
	if err := Background(executable, "barman.hcl")("archive-wal", "main"); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		noted, err := os.ReadFile(out)
		if err == nil {
			want := "-c " + filepath.Join(here, "barman.hcl") + " archive-wal main\ntrue\n/dev/null\n"
			if diff := cmp.Diff(want, string(noted)); diff != "" {
				t.Error(diff)
			}
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal("it was not started")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
