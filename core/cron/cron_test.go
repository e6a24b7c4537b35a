package cron

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	envSay   = "BARMAN_TEST_CRON_SAYS"
)

// TestMain makes the test binary a WAL receiver that only holds the lock, or a
// command in the background that notes how it was started, or one that says
// something, and then lives until it is killed, or not.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envHold) != "":
		hold(os.Getenv(envHold))
	case os.Getenv(envSpawn) != "":
		note(os.Getenv(envSpawn))
	case os.Getenv(envSay) != "":
		fmt.Fprint(os.Stderr, os.Getenv(envSay))
		if strings.Contains(os.Getenv(envSay), "live on") {
			time.Sleep(time.Hour) // until it is killed
		}
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

func (r *recorder) spawn(_ *os.File, args ...string) error {
	r.commands = append(r.commands, strings.Join(args, " "))
	return nil
}

func TestEachActiveServerGetsWhatItLacks(t *testing.T) {
	_, servers := configured(t, map[string]string{"a": streams, "b": delivers, "c": inactive})
	var r recorder
	results, err := Run(t.Context(), servers, "", r.spawn)
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
	results, err := Run(t.Context(), servers, "", r.spawn)
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
	if _, err := Run(t.Context(), servers, "", r.spawn); err != nil {
		t.Fatal(err)
	}
	if len(r.commands) > 0 {
		t.Errorf("%q", r.commands)
	}
}

func TestAReceiverThatIsNotConfiguredAnyMoreIsStopped(t *testing.T) {
	path, servers := configured(t, map[string]string{"a": delivers})
	running := receiver(t, path, nil)
	var r recorder
	if _, err := Run(t.Context(), servers, "", r.spawn); err != nil {
		t.Fatal(err)
	}
	var ended *exec.ExitError
	if err := running.Wait(); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v", err)
	}
}

func TestOneServersTroubleIsNoOthers(t *testing.T) {
	_, servers := configured(t, map[string]string{"a": delivers, "b": delivers})
	if err := os.WriteFile(servers[0].Config.Directories.Backup, []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	var r recorder
	_, err := Run(t.Context(), servers, "", r.spawn)
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
	if _, err := Run(t.Context(), servers, "", r.spawn); err != nil {
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
	if err := Background(executable, "barman.hcl", false)(nil, "archive-wal", "main"); err != nil {
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
			want := "-c " + filepath.Join(here, "barman.hcl") + " -q archive-wal main\ntrue\n/dev/null\n"
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

// saying starts the test binary as a command that says something. Each is in
// started.
type saying struct {
	t       *testing.T
	text    string
	started []*exec.Cmd
}

func (s *saying) spawn(stderr *os.File, args ...string) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(s.t.Context(), executable, args...)
	cmd.Env = append(os.Environ(), envSay+"="+s.text)
	cmd.Stderr = stderr
	s.started = append(s.started, cmd)
	return cmd.Start()
}

func TestWhatACommandSaidBeforeItEndedIsToldByTheNextRun(t *testing.T) {
	_, servers := configured(t, map[string]string{"a": streams})
	s := &saying{t: t, text: "ERROR: no such slot\n"}
	results, err := Run(t.Context(), servers, "", s.spawn)
	if err != nil || len(s.started) != 2 || len(results[0].Ended) > 0 {
		t.Fatalf("%+v, %v", results, err)
	}
	for _, cmd := range s.started {
		_ = cmd.Wait() // whichever way it ended
	}
	s.text = "killed before it ends, it should live on"
	results, err = Run(t.Context(), servers, "", s.spawn)
	want := []Ended{{"receive-wal", "ERROR: no such slot"}, {"archive-wal", "ERROR: no such slot"}}
	if diff := cmp.Diff(want, results[0].Ended); diff != "" || err != nil || len(s.started) != 4 {
		t.Fatalf("%v, %d started, %s", err, len(s.started), diff)
	}
	// They live, though they have taken no lock yet.
	results, err = Run(t.Context(), servers, "", s.spawn)
	if err != nil || len(s.started) != 4 || len(results[0].Started) > 0 || len(results[0].Ended) > 0 {
		t.Fatalf("%+v, %v, %d started", results, err, len(s.started))
	}
	for _, cmd := range s.started[2:] {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
	results, err = Run(t.Context(), servers, "", s.spawn)
	if err != nil || len(s.started) != 6 {
		t.Fatalf("%+v, %v, %d started", results, err, len(s.started))
	}
}

func TestOnlyTheEndOfALongComplaintIsTold(t *testing.T) {
	_, servers := configured(t, map[string]string{"a": delivers})
	s := &saying{t: t, text: strings.Repeat("x", 100_000) + " and so it ended"}
	if _, err := Run(t.Context(), servers, "", s.spawn); err != nil {
		t.Fatal(err)
	}
	_ = s.started[0].Wait() // whichever way it ended
	results, err := Run(t.Context(), servers, "", s.spawn)
	if err != nil || len(results[0].Ended) != 1 {
		t.Fatalf("%+v, %v", results, err)
	}
	if said := results[0].Ended[0].Said; len(said) > maxSaid || !strings.HasSuffix(said, "and so it ended") {
		t.Errorf("%d bytes, the end of which is %q", len(said), said[max(0, len(said)-50):])
	}
}

func TestAPassiveServerIsCopiedAndNothingElse(t *testing.T) {
	_, servers := configured(t, map[string]string{"a": "primary_ssh_command = \"ssh first\"\n" + streams})
	var r recorder
	if _, err := Run(t.Context(), servers, "", r.spawn); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"sync-wals a", "sync-backup a"}, r.commands); diff != "" {
		t.Error(diff)
	}
}

func TestAnInactiveServersReceiverIsLeftAloneAndTold(t *testing.T) {
	_, servers := configured(t, map[string]string{"c": inactive})
	lock, err := servers[0].Catalogue.Lock(catalogue.LockReceiveWAL)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	var r recorder
	results, err := Run(t.Context(), servers, "", r.spawn)
	if err != nil || len(r.commands) > 0 || !strings.Contains(results[0].Skipped, "receive-wal --stop c") {
		t.Errorf("%+v, %q, %v", results, r.commands, err)
	}
}

func TestThePolicyIsEnforcedWhenSomethingIsObsolete(t *testing.T) {
	_, servers := configured(t, map[string]string{"a": delivers + "\nretention {\n policy = \"REDUNDANCY 1\"\n}"})
	complete := func(at time.Time) *catalogue.Backup {
		b, err := servers[0].Catalogue.Create(at)
		if err != nil {
			t.Fatal(err)
		}
		b.State, b.EndTime = catalogue.StateDone, at
		if err := servers[0].Catalogue.Save(b); err != nil {
			t.Fatal(err)
		}
		// A backup without its files is no backup to a policy.
		if err := os.MkdirAll(filepath.Join(servers[0].Catalogue.Directory(b.ID), "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		return b
	}
	const enforce = "retention a --enforce"
	first := complete(time.Now().Add(-time.Hour))
	var r recorder
	if _, err := Run(t.Context(), servers, "", r.spawn); err != nil || slices.Contains(r.commands, enforce) {
		t.Errorf("%q, %v", r.commands, err)
	}
	complete(time.Now())
	if _, err := Run(t.Context(), servers, "", r.spawn); err != nil || !slices.Contains(r.commands, enforce) {
		t.Errorf("%q, %v", r.commands, err)
	}
	// What is kept is not obsolete, but a deletion that has begun goes on.
	if err := servers[0].Catalogue.Annotate(first.ID, catalogue.AnnotationKeep, catalogue.KeepFull); err != nil {
		t.Fatal(err)
	}
	r = recorder{}
	if _, err := Run(t.Context(), servers, "", r.spawn); err != nil || slices.Contains(r.commands, enforce) {
		t.Errorf("%q, %v", r.commands, err)
	}
	if err := servers[0].Catalogue.Annotate(first.ID, catalogue.AnnotationDelete, catalogue.Deleting); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), servers, "", r.spawn); err != nil || !slices.Contains(r.commands, enforce) {
		t.Errorf("%q, %v", r.commands, err)
	}
}

func TestLockFilesThatNobodyHoldsAreRemovedWhereThatIsWanted(t *testing.T) {
	_, servers := configured(t, map[string]string{"c": inactive})
	directory := servers[0].Catalogue.Layout().LockDirectory
	stale := filepath.Join(directory, ".gone-backup.lock")
	if err := os.WriteFile(stale, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	held, err := servers[0].Catalogue.Lock(catalogue.LockBackup)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	var r recorder
	for _, cleaned := range []string{"", directory} {
		if _, err := Run(t.Context(), servers, cleaned, r.spawn); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(stale); (err == nil) != (cleaned == "") {
			t.Errorf("cleaning %q: %v", cleaned, err)
		}
	}
	if _, isHeld, err := servers[0].Catalogue.Holder(catalogue.LockBackup); !isHeld || err != nil {
		t.Errorf("the lock in use is gone: %v", err)
	}
}
