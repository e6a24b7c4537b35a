package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
	"github.com/barman-go/barman/test/storetest"
)

// startsWith fails the test unless a cluster starts with the right rows from what
// was restored to another host.
func (s *site) startsWith(t *testing.T, directory string, rows pgtest.Moment) {
	t.Helper()
	c := pgtest.StartExisting(t, s.Major, directory, nil)
	c.WaitRecovered()
	rows.Check(t, c)
	c.Stop(pgtest.Fast)
}

// sshBelow finds the ssh of a command that carries data.
func sshBelow(pid int) (int, bool) {
	for _, child := range pgtest.ChildrenOf(pid) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child)) // it may have ended
		words := strings.Split(string(line), "\x00")
		if filepath.Base(words[0]) == "ssh" && strings.Contains(string(line), "tar -x") {
			return child, true
		}
		if found, ok := sshBelow(child); ok {
			return found, true
		}
	}
	return 0, false
}

func TestARecoveryFromABucketToAnotherHostSurvivesItsFaults(t *testing.T) {
	t.Parallel()
	b := storetest.NewS3(t)
	s := newSite(t, pgtest.Options{Major: 15, Tablespaces: []string{"side"}}, into(s3Sink(b, "")))
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "side"})
	s.receive()
	s.backup()
	w.WaitRows(50)
	rows := w.Stop()
	s.streamed(rows.LSN)
	s.SwitchWAL()
	s.allStreamed()
	s.home.Must("archive-wal", "main")
	host := newOtherHost(t)
	recovery := func(directory string, options []string, more ...string) *exec.Cmd {
		return s.home.Command(slices.Concat([]string{"recover", "main", "latest", directory}, options, more)...)
	}

	t.Run("nothing waits on barman's host", func(t *testing.T) {
		// There is room for the segment that is being received, and not for the data.
		staging := pgtest.Tmpfs(t, 18*mebibyte)
		before := bytesBelow(t, s.path())
		directory, options := host.destination(s)
		directory = filepath.Join(filepath.Dir(directory), "a \"b\" $(touch injected) `touch injected`;touch injected")
		cmd := recovery(directory, options, "--staging-path", staging)
		cmd.Env = append(os.Environ(), "TMPDIR="+staging)
		if r := pgtest.Run(t, cmd); r.Code != 0 {
			t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
		}
		if data := bytesBelow(t, directory); data < 18*mebibyte {
			t.Fatalf("the backup of %d bytes would have had room", data)
		}
		if left := names(t, staging); len(left) > 0 {
			t.Errorf("left where files wait: %q", left)
		}
		if after := bytesBelow(t, s.path()); after > before+64<<10 {
			t.Errorf("barman's own directory has grown by %d bytes", after-before)
		}
		verify(t, directory)
		s.startsWith(t, directory, rows)
	})
	t.Run("a host key that changed", func(t *testing.T) {
		other := newOtherHost(t)
		known, err := os.ReadFile(filepath.Join(host.Client, "known_hosts"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(other.Client, "known_hosts"), known, 0o644); err != nil {
			t.Fatal(err)
		}
		directory, options := other.destination(s)
		if r := pgtest.Run(t, recovery(directory, options)); r.Code != exitUnavailable || !strings.Contains(r.Stderr, "Host key verification failed") {
			t.Errorf("exit code %d, %s", r.Code, r.Stderr)
		}
		if _, err := os.Stat(directory); !os.IsNotExist(err) {
			t.Errorf("something was written there: %v", err)
		}
	})
	t.Run("no tar", func(t *testing.T) {
		programs := t.TempDir()
		for _, name := range names(t, "/usr/bin") {
			if name != "tar" {
				if err := os.Symlink(filepath.Join("/usr/bin", name), filepath.Join(programs, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		bare := otherHost{pgtest.StartSSHD(t, pgtest.SSHDOptions{Env: map[string]string{"PATH": programs}})}
		directory, options := bare.destination(s)
		if r := pgtest.Run(t, recovery(directory, options)); r.Code == 0 || !strings.Contains(r.Stderr, "tar: not found") {
			t.Errorf("exit code %d, %s", r.Code, r.Stderr)
		}
		s.refusesToStart(directory)
	})
	t.Run("a full disk", func(t *testing.T) {
		small := pgtest.Tmpfs(t, 10*mebibyte)
		_, options := host.destination(s)
		directory := filepath.Join(small, "data")
		if r := pgtest.Run(t, recovery(directory, options)); r.Code == 0 || !strings.Contains(r.Stderr, "No space left on device") {
			t.Fatalf("exit code %d, %s", r.Code, r.Stderr)
		}
		s.refusesToStart(directory)
		grow(t, small, 512*mebibyte)
		if r := pgtest.Run(t, recovery(directory, options)); r.Code != 0 {
			t.Fatalf("with room for it: exit code %d, %s", r.Code, r.Stderr)
		}
		s.startsWith(t, directory, rows)
	})
	t.Run("ssh dies in the middle of the data", func(t *testing.T) {
		directory, options := host.destination(s)
		for _, again := range []string{"0", "1"} {
			running := start(t, recovery(directory, options, "--bwlimit", "15000", "--retry-times", again, "--retry-sleep", "1s"))
			var ssh int
			eventually(t, "data arrives", func() bool {
				running.mustRun()
				var found bool
				ssh, found = sshBelow(running.cmd.Process.Pid)
				_, err := os.Stat(filepath.Join(directory, "base"))
				return found && err == nil
			})
			kill(t, ssh, syscall.SIGKILL)
			r := running.end()
			if again == "0" {
				if r.Code != exitUnavailable || !strings.Contains(r.Stderr, "lost the connection") {
					t.Fatalf("exit code %d, %s", r.Code, r.Stderr)
				}
				s.refusesToStart(directory)
				continue
			}
			if r.Code != 0 || !strings.Contains(r.Stderr, "trying again in 1s") {
				t.Fatalf("exit code %d, %s", r.Code, r.Stderr)
			}
		}
		verify(t, directory)
		s.startsWith(t, directory, rows)
	})
	t.Run("line breaks in paths", func(t *testing.T) {
		directory, options := host.destination(s)
		for what, args := range map[string][]string{
			"a destination":    slices.Concat([]string{"recover", "main", "latest", directory + "\n"}, options),
			"a tablespace":     {"recover", "main", "latest", directory, "--remote-ssh-command", host.command(), "--tablespace", "side:" + directory + "\ntouch injected"},
			"a place for WAL":  slices.Concat([]string{"recover", "main", "latest", directory, "--staging-wal-directory", directory + "\n/wal"}, options),
			"a server's name":  slices.Concat([]string{"recover", "main\n; touch injected", "latest", directory}, options),
			"a backup's name":  slices.Concat([]string{"recover", "main", "$(touch injected)", directory}, options),
			"a relative place": slices.Concat([]string{"recover", "main", "latest", "./data"}, options),
		} {
			if r := s.home.Run(args...); r.Code == 0 {
				t.Errorf("%s was taken", what)
			}
		}
		if entries, err := os.ReadDir(filepath.Dir(filepath.Dir(directory))); err != nil || len(entries) > 0 {
			t.Errorf("%v, %v", entries, err)
		}
	})
	for _, directory := range []string{".", os.Getenv("HOME")} {
		if _, err := os.Stat(filepath.Join(directory, "injected")); !os.IsNotExist(err) {
			t.Errorf("a name was run as a command in %s: %v", directory, err)
		}
	}
}

// impatient ends an ssh whose other side says nothing for three seconds.
func impatient(host *pgtest.SSHD, name string) string {
	return host.Client + "/ssh -o ServerAliveInterval=1 -o ServerAliveCountMax=3 " + host.User + "@" + name
}

func TestTwoHostsWhoseLinkIsCutGoOnWhenItIsBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, plainFiles+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	s.receive()
	id := s.backup()
	w.WaitRows(50)
	rows := w.Stop()
	s.streamed(rows.LSN)
	s.SwitchWAL()
	s.allStreamed()
	s.home.Must("archive-wal", "main")
	network := pgtest.NewNetwork(t)

	// cutOff cuts the link in the middle of a command, which must fail, and mends it.
	cutOff := func(t *testing.T, cmd *exec.Cmd, middle func() bool) {
		t.Helper()
		running := start(t, network.Here(cmd))
		eventually(t, "it is in the middle", func() bool {
			running.mustRun()
			return middle()
		})
		network.Cut()
		r := running.end() // within a minute
		network.Mend()
		if r.Code != exitUnavailable || !strings.Contains(r.Stderr, "not responding") {
			t.Fatalf("exit code %d, %s", r.Code, r.Stderr)
		}
	}
	t.Run("a recovery", func(t *testing.T) {
		host := otherHost{pgtest.StartSSHD(t, pgtest.SSHDOptions{Network: network})}
		directory := filepath.Join(pgtest.Scratch(t), "data")
		args := []string{"recover", "main", id, directory, "--remote-ssh-command", impatient(host.SSHD, "newhost")}
		cutOff(t, s.home.Command(append(args, "--bwlimit", "5000")...), func() bool { return bytesBelow(t, directory) > mebibyte })
		s.refusesToStart(directory)
		// The other host learns that the connection is lost when the kernel tries again.
		eventually(t, "it goes on", func() bool {
			r := pgtest.Run(t, network.Here(s.home.Command(args...)))
			if r.Code != 0 && !strings.Contains(r.Stderr, "another barman recovers") {
				t.Fatalf("exit code %d, %s", r.Code, r.Stderr)
			}
			return r.Code == 0
		})
		verify(t, directory)
		s.startsWith(t, directory, rows)
	})
	t.Run("a copy for the second site", func(t *testing.T) {
		slow := pgtest.Scratch(t)
		rsync, err := exec.LookPath("rsync")
		if err != nil {
			t.Fatal(err)
		}
		script := "#!/bin/sh\n[ \"$1\" = --server ] && shift\nexec " + rsync + " --server --bwlimit=4000 \"$@\"\n"
		if err := os.WriteFile(filepath.Join(slow, "rsync"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		first := pgtest.StartSSHD(t, pgtest.SSHDOptions{Network: network, Path: []string{slow, pgtest.BarmanBin(t)}, Env: map[string]string{"BARMAN_CONFIG_FILE": s.home.Config}})
		second := &site{Cluster: s.Cluster, t: t, home: pgtest.NewHome(t, "")}
		second.home.Configure("server \"main\" {\n  primary_ssh_command = \"" + impatient(first, "first") + "\"\n}\n")
		cutOff(t, second.home.Command("sync-backup", "main", id), func() bool { return bytesBelow(t, second.path("base", id, "data")) > 0 })
		if statuses := second.statuses(); !slices.Equal(statuses, []string{"FAILED"}) {
			t.Errorf("half a copy is %q", statuses)
		}
		if err := os.Remove(filepath.Join(slow, "rsync")); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"sync-backup", "sync-wals"} {
			if r := pgtest.Run(t, network.Here(second.home.Command(command, "main"))); r.Code != 0 {
				t.Fatalf("%s: exit code %d, %s", command, r.Code, r.Stderr)
			}
		}
		second.wantStatuses("DONE")
		s.startsWith(t, second.restore(id), rows)
	})
	t.Run("names that a shell would run", func(t *testing.T) {
		second := &site{Cluster: s.Cluster, t: t, home: pgtest.NewHome(t, "")}
		injected := filepath.Join(t.TempDir(), "injected")
		for _, name := range []string{"a b", "it's", `say \"so\"`, "a;touch " + injected, "a$${IFS}(touch " + injected + ")", `a\ntouch ` + injected} {
			second.home.Configure("server \"" + name + "\" {\n  primary_ssh_command = \"sh -c\"\n}\n")
			if r := second.home.Run("sync-info", "all"); r.Code == 0 || !strings.Contains(r.Stderr, "Invalid server name") {
				t.Errorf("server %s: exit code %d, %s", name, r.Code, r.Stderr)
			}
		}
		second.home.Configure("server \"main\" {\n  primary_ssh_command = \"sh -c\"\n}\n")
		for _, name := range []string{"main;touch " + injected, "$(touch " + injected + ")", "main\ntouch " + injected} {
			for _, args := range [][]string{{"sync-backup", name}, {"sync-backup", "main", name}, {"sync-info", "--primary", name}, {"sync-info", "--primary", "main", name}} {
				if r := second.home.Run(args...); r.Code == 0 {
					t.Errorf("%q was taken", args)
				}
			}
		}
		if _, err := os.Stat(injected); !os.IsNotExist(err) {
			t.Errorf("a name was run as a command: %v", err)
		}
	})
}
