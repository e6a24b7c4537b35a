package storetest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// readyWithin bounds how long a store may take until it answers, on a machine that does a lot else.
const readyWithin = 2 * time.Minute

// server is a store that runs.
type server struct {
	address string         // host and port
	place   string         // its scratch directory
	life    io.WriteCloser // the guard's standard input, which nobody may close, the collector of garbage included
}

// program is how a store is run.
type program struct {
	name  string
	file  string // below the cache; what has to be there
	ready string // path that answers when the store is ready, with any status below 500
	tls   bool   // it speaks TLS, and the path is one of https

	// command returns the arguments, the first of which is the program, and the environment.
	command func(file, data string, port int) (args, env []string)
}

// guard runs a store until its own standard input ends, which the kernel sees to when the process of the tests has ended,
// in whatever way; then it ends the store and removes its directory.
const guard = `directory=$1; shift
"$@" </dev/null &
store=$!
read -r end
kill -9 $store
wait $store
rm -rf -- "$directory"`

// start runs a store that ends with this process.
func (p program) start() (*server, error) {
	file := filepath.Join(cacheDir(), "stores", p.file)
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("%s is not installed: %w: run \"make deps\"", p.name, err)
	}
	// Somebody may take the port between our looking and the store's binding it: then look again.
	var err error
	for range 5 {
		var s *server
		if s, err = p.launch(file); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func (p program) launch(file string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp("", "bt-store-")
	if err != nil {
		return nil, err
	}
	data, log := filepath.Join(directory, "data"), filepath.Join(directory, "log")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	if p.tls {
		if err := certify(directory); err != nil {
			return nil, errors.Join(err, os.RemoveAll(directory))
		}
	}
	args, env := p.command(file, data, port)
	cmd := exec.Command("/bin/sh", append([]string{"-c", guard, "sh", directory}, args...)...)
	cmd.Dir, cmd.Env = directory, append(env, "PATH=/usr/local/bin:/usr/bin:/bin", "HOME="+data, "TMPDIR="+directory)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt on the terminal is for the tests
	output, err := os.Create(log)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	stop, err := cmd.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	s := &server{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), place: directory, life: stop}
	if err := s.await(p.ready, p.tls); err != nil {
		text, _ := os.ReadFile(log)
		err = fmt.Errorf("%s does not answer on %s: %w; its log:\n%s", p.name, s.address, err, strings.TrimSpace(string(text)))
		return nil, errors.Join(err, stop.Close(), cmd.Wait())
	}
	return s, nil
}

// await returns when the store answers.
func (s *server) await(path string, secure bool) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	var err error
	for deadline := time.Now().Add(readyWithin); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var answer *http.Response
		answer, err = client.Get(scheme + s.address + path)
		if err != nil {
			continue
		}
		_ = answer.Body.Close()
		if answer.StatusCode < 500 {
			return nil
		}
		err = errors.New(answer.Status)
	}
	return err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// cacheDir is where scripts/install-deps puts the stores; the two choose alike.
func cacheDir() string {
	if dir := os.Getenv("BARMAN_TEST_CACHE"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/cache/barman-test"
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "barman-test")
	}
	return filepath.Join(os.Getenv("HOME"), ".cache", "barman-test")
}
