package pgtest

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SSHDOptions are what a test may want different.
type SSHDOptions struct {
	// Path are directories that come first on the PATH of commands.
	Path []string
	// Env is added to the environment of commands. PATH is the whole of it, instead of one that leads to all programs.
	Env map[string]string
	// Network has the sshd on its other host instead of the loopback interface; its first host reaches it.
	Network *Network
}

// SSHD is an sshd on the loopback interface, which stands for another host. Commands run there as the user of the test.
//
// Both that user and the one whom PostgreSQL runs as get in by a plain "ssh USER@ANYTHING", when Client is first on their
// PATH; the configuration and the keys of the real user are not touched.
type SSHD struct {
	User   string // who is let in
	Port   int
	Client string // the directory with the ssh

	t       testing.TB
	log     string
	network *Network
	process *process
}

// sshdWithin bounds the time that sshd may take to listen.
const sshdWithin = time.Minute

// StartSSHD starts an sshd that ends with the test.
func StartSSHD(t testing.TB, o SSHDOptions) *SSHD {
	t.Helper()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		// Not on every user's PATH, and it wants to be called by an absolute path.
		sshd = "/usr/sbin/sshd"
	}
	ssh, err := exec.LookPath("ssh")
	if _, missing := os.Stat(sshd); missing != nil || err != nil {
		t.Fatal("sshd or ssh is not installed: run \"make deps\"")
	}
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		// Debian's unit makes it when the service starts.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := Scratch(t)
	s := &SSHD{User: self.Username, Client: filepath.Join(dir, "client"), t: t, log: filepath.Join(dir, "sshd.log"), network: o.Network}
	s.makeKeys(dir)
	// Somebody may take the port between our looking and sshd's binding it: then look again.
	for range 5 {
		if s.Port, err = freePort(); err != nil {
			t.Fatal(err)
		}
		s.configure(dir, ssh, o)
		if err = s.launch(sshd, filepath.Join(dir, "sshd_config")); err == nil {
			t.Cleanup(s.Stop)
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// makeKeys makes the host's key, and one for every user who may come.
func (s *SSHD) makeKeys(dir string) {
	s.t.Helper()
	if err := os.Mkdir(s.Client, 0o755); err != nil {
		s.t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "host_key"), filepath.Join(s.Client, "key")} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
			s.t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	owners := map[int]int{os.Getuid(): os.Getgid()}
	if c := credential(s.t); c != nil {
		owners[int(c.Uid)] = int(c.Gid)
	}
	for uid, gid := range owners {
		// ssh reads a key only if it is its user's and nobody else may.
		private := fmt.Sprintf("%s-%d", filepath.Join(s.Client, "key"), uid)
		content := s.read(filepath.Join(s.Client, "key"))
		s.write(private, content, 0o600)
		if err := os.Chown(private, uid, gid); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *SSHD) configure(dir, ssh string, o SSHDOptions) {
	s.t.Helper()
	// A bash that believes to be within another one leaves the real user's .bashrc alone, which may do anything, and slowly.
	env := []string{"SHLVL=1"}
	if _, given := o.Env["PATH"]; !given {
		env = append(env, "PATH="+strings.Join(append(o.Path, "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"), ":"))
	}
	for name, value := range o.Env {
		env = append(env, name+"="+value)
	}
	for i := range env {
		env[i] = strconv.Quote(env[i])
	}
	s.write(filepath.Join(dir, "sshd_config"), fmt.Sprintf(`ListenAddress %s
Port %d
HostKey %s
AuthorizedKeysFile %s
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
UseDNS no
PidFile none
MaxStartups 100
LogLevel VERBOSE
SetEnv %s
`, s.address(), s.Port, filepath.Join(dir, "host_key"), filepath.Join(s.Client, "key.pub"), strings.Join(env, " ")), 0o600)
	s.write(filepath.Join(s.Client, "known_hosts"), "barman-test "+s.read(filepath.Join(dir, "host_key.pub")), 0o644)
	// %i is the user's number.
	s.write(filepath.Join(s.Client, "config"), fmt.Sprintf(`HostName %s
Port %d
HostKeyAlias barman-test
UserKnownHostsFile %s
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
UpdateHostKeys no
IdentityFile %s-%%i
IdentityAgent none
IdentitiesOnly yes
BatchMode yes
ConnectTimeout 20
`, s.address(), s.Port, filepath.Join(s.Client, "known_hosts"), filepath.Join(s.Client, "key")), 0o644)
	s.write(filepath.Join(s.Client, "ssh"), fmt.Sprintf("#!/bin/sh\nexec %s -F %s \"$@\"\n", ssh, filepath.Join(s.Client, "config")), 0o755)
}

func (s *SSHD) launch(sshd, config string) error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(sshd, "-D", "-e", "-f", config)
	if s.network != nil {
		cmd = s.network.within(s.network.over, cmd)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	for deadline := time.Now().Add(sshdWithin); ; time.Sleep(5 * time.Millisecond) {
		err := s.listens()
		if err == nil {
			s.process = p
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("sshd ended instead of listening: %w; its log:\n%s", p.err, s.Log())
		default:
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("sshd does not listen: %w; its log:\n%s", err, s.Log()), cmd.Process.Kill())
		}
	}
}

// listens tells whether somebody can get in.
func (s *SSHD) listens() error {
	if s.network != nil { // which this process cannot reach
		if !strings.Contains(s.Log(), "Server listening on ") {
			return errors.New("its log does not say so")
		}
		return nil
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(s.address(), strconv.Itoa(s.Port)))
	if err != nil {
		return err
	}
	return conn.Close()
}

func (s *SSHD) address() string {
	if s.network != nil {
		return addressOver
	}
	return "127.0.0.1"
}

// Stop ends sshd and its connections, with what runs over them.
func (s *SSHD) Stop() {
	s.t.Helper()
	if s.process == nil {
		return
	}
	below := descendants(s.process.cmd.Process.Pid)
	if err := s.process.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("ending sshd: %v", err)
	}
	for _, pid := range below {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-s.process.done
	s.process = nil
}

// Log is what sshd has written to its log.
func (s *SSHD) Log() string {
	s.t.Helper()
	return s.read(s.log)
}

// ClientPath is a PATH on which the ssh that gets in comes first.
func (s *SSHD) ClientPath() string { return s.Client + ":" + os.Getenv("PATH") }

func (s *SSHD) write(path, content string, mode fs.FileMode) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s *SSHD) read(path string) string {
	s.t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(content)
}

// descendants are the processes below one, parents first.
func descendants(pid int) []int {
	var all []int
	for _, child := range ChildrenOf(pid) {
		all = append(append(all, child), descendants(child)...)
	}
	return all
}
