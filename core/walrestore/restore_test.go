package walrestore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/sdk/wal"
	"github.com/barman-go/barman/test/pgtest"
)

// host is PostgreSQL's host, and barman's, which sshd stands for. The archive
// holds segments that were made by hand.
type host struct {
	t     *testing.T
	home  *pgtest.Home
	sshd  *pgtest.SSHD
	spool string // --spool-dir
	data  string // the data directory
	names []string
	// barman is what runs as barman on its host.
	barman string
}

const start = "000000010000000000000FF8" // segments of 1 MB: the log ends on the way

// newHost archives n segments.
func newHost(t *testing.T, n int) *host {
	t.Helper()
	h := &host{t: t, home: pgtest.NewHome(t, "server \"main\" {\n  conninfo = \"host=127.0.0.1 port=1\"\n}\n"), data: t.TempDir(), spool: t.TempDir()}
	bin := t.TempDir()
	h.barman = filepath.Join(bin, "barman")
	h.answer(`exec "$BARMAN" "$@"`)
	h.sshd = pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: []string{bin}})
	segment, err := wal.ParseSegment(start, wal.MinSegmentSize)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		name := segment.Name(wal.MinSegmentSize)
		h.names = append(h.names, name)
		h.write(h.archived(name), plugintest.Segment(t, name))
		segment = segment.Next()
	}
	h.write(h.archived("00000002.history"), []byte("1\t0/3000000\tno recovery target specified\n"))
	t.Cleanup(func() {
		for _, pid := range h.prefetchers() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return h
}

// answer is what barman's host does from now on when it is asked: a shell script
// in which $BARMAN is the real one.
func (h *host) answer(script string) {
	h.t.Helper()
	h.write(h.barman, []byte("#!/bin/bash\nBARMAN="+filepath.Join(pgtest.BarmanBin(h.t), "barman")+"\n"+script+"\n"))
	if err := os.Chmod(h.barman, 0o700); err != nil {
		h.t.Fatal(err)
	}
}

// afresh is the host with another data directory and an empty spool.
func (h *host) afresh(t *testing.T) *host {
	other := *h
	other.t, other.data, other.spool = t, t.TempDir(), t.TempDir()
	return &other
}

func (h *host) archived(name string) string {
	n, err := wal.ParseName(name)
	if err != nil {
		h.t.Fatal(err)
	}
	return filepath.Join(h.home.Dir, "main", "wals", n.HashDir(), name)
}

func (h *host) write(path string, content []byte) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// command is barman-wal-restore, run as PostgreSQL does.
func (h *host) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(h.t.Context(), filepath.Join(pgtest.BarmanBin(h.t), "barman-wal-restore"),
		append([]string{"-U", h.sshd.User, "-c", h.home.Config, "--spool-dir", h.spool}, args...)...)
	cmd.Dir = h.data
	cmd.Env = append(os.Environ(), "PATH="+h.sshd.ClientPath())
	return cmd
}

const destination = "RECOVERYXLOG"

// restore asks for a file.
func (h *host) restore(name string, options ...string) pgtest.Result {
	h.t.Helper()
	return pgtest.Run(h.t, h.command(append(options, "backup", "main", name, destination)...))
}

// got is what has come, and takes it away; nil is nothing.
func (h *host) got() []byte {
	h.t.Helper()
	path := filepath.Join(h.data, destination)
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return content
}

// must asks for a segment, which must come.
func (h *host) must(name string, options ...string) {
	h.t.Helper()
	r := h.restore(name, options...)
	if r.Code != 0 || !bytes.Equal(h.got(), plugintest.Segment(h.t, name)) {
		h.t.Fatalf("%s: exit code %d, or other bytes: %s", name, r.Code, r.Stderr)
	}
}

// fails asks for a file and wants an exit code, and nothing where the file was to
// be.
func (h *host) fails(code int, name string, options ...string) pgtest.Result {
	h.t.Helper()
	r := h.restore(name, options...)
	if r.Code != code || r.Stderr == "" {
		h.t.Errorf("%s: exit code %d, want %d, and a reason: %s", name, r.Code, code, r.Stderr)
	}
	if got := h.got(); got != nil {
		h.t.Errorf("%s: %d bytes came", name, len(got))
	}
	entries, err := os.ReadDir(h.data)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.Contains(entry.Name(), destination) {
			h.t.Errorf("%s was left behind", entry.Name())
		}
	}
	return r
}

// prefetchers are the processes that fill spools of the host.
func (h *host) prefetchers() []int {
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		h.t.Fatal(err)
	}
	var found []int
	for _, path := range processes {
		line, err := os.ReadFile(path)
		var pid int
		if err == nil && strings.Contains(string(line), "--prefetch\x00"+h.spool) {
			if _, err := fmt.Sscanf(path, "/proc/%d/cmdline", &pid); err == nil {
				found = append(found, pid)
			}
		}
	}
	return found
}

// spooled are the segments that wait, and those on their way.
func (h *host) spooled() []string {
	found, err := filepath.Glob(filepath.Join(h.spool, "*", "0*"))
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for _, path := range found {
		names = append(names, filepath.Base(path))
	}
	return names
}

func (h *host) eventually(what string, condition func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("not so: %s; in the spool: %v", what, h.spooled())
		}
	}
}

// state makes the directory one of a PostgreSQL that recovers.
func (h *host) state(signal string) {
	h.t.Helper()
	for _, file := range []string{"standby.signal", "recovery.signal"} {
		if err := os.Remove(filepath.Join(h.data, file)); err != nil && !os.IsNotExist(err) {
			h.t.Fatal(err)
		}
	}
	h.write(filepath.Join(h.data, "PG_VERSION"), []byte("17\n"))
	if signal != "" {
		h.write(filepath.Join(h.data, signal), nil)
	}
}

func TestSegmentsAreFetchedAheadOverOneConnection(t *testing.T) {
	h := newHost(t, 40)
	for i, name := range h.names {
		if i == 3 {
			h.eventually("the spool fills up", func() bool { return len(h.spooled()) == 5 })
		}
		if len(h.spooled()) > 5 { // four, and the promise of a fifth
			t.Errorf("in the spool: %v", h.spooled())
		}
		h.must(name, "-p", "4")
	}
	if n := strings.Count(h.sshd.Log(), "Starting session: command"); n > 8 {
		t.Errorf("%d connections for 40 segments", n)
	}
	h.eventually("the prefetcher ends where the archive does", func() bool { return len(h.prefetchers()) == 0 })
	if left := h.spooled(); len(left) > 0 {
		t.Errorf("in the spool: %v", left)
	}
	missing := "000000010000000100000030"
	if r := h.fails(1, missing, "-p", "4"); !strings.Contains(r.Stderr, "not found in server 'main'") {
		t.Error(r.Stderr)
	}
	if r := h.restore("00000002.history", "-p", "4"); r.Code != 0 || !strings.HasPrefix(string(h.got()), "1\t") {
		t.Errorf("%d %s", r.Code, r.Stderr)
	}
}

func TestBytesTravelCompressed(t *testing.T) {
	h := newHost(t, 8)
	run := exec.Command("zstd", "-q", "--rm", h.archived(h.names[0]), "-o", h.archived(h.names[0])+".zst")
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if err := os.Rename(h.archived(h.names[0])+".zst", h.archived(h.names[0])); err != nil {
		t.Fatal(err)
	}
	for i, option := range []string{"-z", "-j", "--keep-compression"} {
		h.must(h.names[0], option)
		h.data = t.TempDir()
		h.must(h.names[2*i], option, "-p", "1")
		h.eventually("the next is there", func() bool {
			return strings.HasSuffix(strings.Join(h.spooled(), " "), h.names[2*i+1]) || len(h.spooled()) > i
		})
		h.must(h.names[2*i+1], option, "-p", "1")
	}
}

// Whoever is killed, and when: what comes is right, and what does not come is
// fetched again.
func TestNothingWrongComesWhenClientsAndPrefetchersAreKilled(t *testing.T) {
	h := newHost(t, 12)
	for _, name := range h.names {
		cmd := h.command("-p", "3", "backup", "main", name, destination)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
		switch rand.IntN(3) {
		case 0:
			_ = cmd.Process.Kill() // it may have ended
		case 1:
			for _, pid := range h.prefetchers() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		err := cmd.Wait()
		if got := h.got(); got != nil && !bytes.Equal(got, plugintest.Segment(t, name)) || got == nil && err == nil {
			t.Fatalf("%s: %d bytes, %v", name, len(got), err)
		}
		h.must(name, "-p", "3")
	}
}

func TestTwoStandbysMayShareASpoolDirectory(t *testing.T) {
	h := newHost(t, 20)
	var group sync.WaitGroup
	for range 2 {
		standby := *h
		standby.data = t.TempDir()
		group.Go(func() {
			for _, name := range standby.names {
				if out, err := standby.command("-p", "4", "backup", "main", name, destination).CombinedOutput(); err != nil {
					t.Errorf("%s: %v %s", name, err, out)
					return
				}
				if !bytes.Equal(standby.got(), plugintest.Segment(t, name)) {
					t.Errorf("%s: other bytes", name)
				}
			}
		})
	}
	group.Wait()
}

// spoolOf is the directory in which the host's segments wait.
func (h *host) spoolOf() string {
	found, err := filepath.Glob(filepath.Join(h.spool, "*", wantedFile))
	if err != nil || len(found) != 1 {
		h.t.Fatalf("%v %v", found, err)
	}
	return filepath.Dir(found[0])
}

func TestWhatIsWrongInTheSpoolIsNotHandedOut(t *testing.T) {
	h := newHost(t, 12)
	h.must(h.names[0], "-p", "1")
	h.eventually("the prefetcher waits", func() bool { return len(h.spooled()) == 2 && len(h.prefetchers()) == 1 })
	for _, pid := range h.prefetchers() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	spool := h.spoolOf()
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	for i, wrong := range [][]byte{
		nil,
		[]byte("garbage"),
		plugintest.Segment(t, h.names[9]),
		plugintest.Segment(t, h.names[4])[:wal.MinSegmentSize/2],
		append(plugintest.Segment(t, h.names[5]), 0),
	} {
		h.write(filepath.Join(spool, h.names[i+1]), wrong)
		h.must(h.names[i+1], "-p", "1")
		for _, pid := range h.prefetchers() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	// The right segment of another cluster.
	other := plugintest.Segment(t, h.names[7])
	other[24]++
	h.write(filepath.Join(spool, h.names[7]), other)
	control := make([]byte, 8192)
	copy(control, plugintest.Segment(t, h.names[7])[24:32])
	h.write(filepath.Join(h.data, "global", "pg_control"), control)
	h.must(h.names[7], "-p", "1")
	// A link to a right one.
	for _, pid := range h.prefetchers() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	h.write(elsewhere, plugintest.Segment(t, h.names[9]))
	if err := os.RemoveAll(filepath.Join(spool, h.names[9])); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(spool, h.names[9])); err != nil {
		t.Fatal(err)
	}
	h.must(h.names[9], "-p", "1")
	if _, err := os.Stat(elsewhere); err != nil {
		t.Error(err)
	}
}

func TestASpoolThatOthersCanWriteToIsNotUsed(t *testing.T) {
	h := newHost(t, 2)
	for _, spoil := range []func() error{
		func() error { return os.Chmod(h.spool, 0o777) },
		func() error {
			h.spool = filepath.Join(h.spool, "file", "x")
			h.write(filepath.Dir(h.spool), nil)
			return nil
		},
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		r := h.restore(h.names[0], "-p", "2")
		if r.Code != 0 || !strings.Contains(r.Stderr, "WARNING: WAL is not fetched ahead") || !bytes.Equal(h.got(), plugintest.Segment(t, h.names[0])) {
			t.Errorf("%d %s", r.Code, r.Stderr)
		}
	}
	if len(h.prefetchers()) > 0 {
		t.Error("a prefetcher runs")
	}
}

func TestAFullSpoolOnlyCostsTheHeadStart(t *testing.T) {
	h := newHost(t, 6)
	h.spool = pgtest.Tmpfs(t, int64(wal.MinSegmentSize)+300<<10)
	if err := os.Chmod(h.spool, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range h.names {
		h.must(name, "-p", "4")
	}
	h.eventually("the prefetcher has given up", func() bool { return len(h.prefetchers()) == 0 })
}

func TestExitCodesTellPostgreSQLWhatToDo(t *testing.T) {
	h := newHost(t, 2)
	h.answer(`
case " $* " in
*FF8*) exec "$BARMAN" "$@";;
*BAD*) echo nonsense;;
*0C1*) exit 2;;
*0C2*) exit 127;;
*0C3*) echo "EXCEPTION: something" >&2; exit 1;;
*FF9*) "$BARMAN" "$@" | head -c 300000; kill -9 $PPID; sleep 9;;
*) exec "$BARMAN" "$@";;
esac`)
	h.write(h.archived("000000010000000000000AAA"), plugintest.Segment(t, "000000010000000000000AAA")[:5000])
	short := []string{"--retry-timeout", "0"}
	for signal, added := range map[string]int{"": 0, "standby.signal": 0, "recovery.signal": 200} {
		h.state(signal)
		h.must(h.names[0], short...)
		h.fails(1, "000000010000000000000001", short...)
		h.fails(2+added, h.names[1], short...)
		h.fails(6+added, "000000010000000000000AAA", short...)
		h.fails(3+added, "no-name", short...)
		h.fails(2+added, h.names[0], "--no-such-option")
		for _, nowhere := range []string{".", "none/" + destination} {
			r := pgtest.Run(t, h.command("backup", "main", h.names[0], nowhere))
			if r.Code != 3+added {
				t.Errorf("%s: exit code %d: %s", nowhere, r.Code, r.Stderr)
			}
		}
	}
	h.state("recovery.signal")
	h.fails(1, "00000007.history", short...)
	h.fails(202, "0000000100000000000000C1", short...)
	h.fails(202, "0000000100000000000000C2", short...)
	h.fails(202, "0000000100000000000000C3", short...)
	h.fails(206, "000000010000000000000BAD", short...)
	h.fails(202, h.names[0], append(short, "--port", "1")...)
	if r := pgtest.Run(t, h.command("backup", "unknown", h.names[0], destination)); r.Code != 203 {
		t.Errorf("unknown server: exit code %d: %s", r.Code, r.Stderr)
	}
	h.state("")
	if r := pgtest.Run(t, h.command("-t", "backup", "main", "DUMMY", "DUMMY")); r.Code != 0 || !strings.Contains(r.Stdout, "Ready to retrieve WAL files from the server main") {
		t.Errorf("%d %s%s", r.Code, r.Stdout, r.Stderr)
	}
}

func TestABrokenConnectionIsTriedAgain(t *testing.T) {
	h := newHost(t, 1)
	h.answer(`
if [ ! -e "$0.once" ]; then touch "$0.once"; "$BARMAN" "$@" | head -c 300000; kill -9 $PPID; sleep 9; fi
exec "$BARMAN" "$@"`)
	h.must(h.names[0], "--retry-timeout", "20s")
}

// A server may send what it likes: nothing of it is handed to PostgreSQL, or ends
// up elsewhere than in the spool.
func TestHostileAnswersAreRefused(t *testing.T) {
	h := newHost(t, 2)
	for what, answer := range map[string]string{
		"garbage":          `head -c 2000000 /dev/urandom`,
		"nothing":          `true`,
		"too short":        `"$BARMAN" "$@" | head -c 1000000`,
		"too long":         `"$BARMAN" "$@"; head -c 3000000 /dev/zero`,
		"without an end":   `"$BARMAN" "$@"; exec cat /dev/zero`,
		"another segment":  `"$BARMAN" "${@/FF8/FF9}"`,
		"a zip bomb":       `head -c 3000000000 /dev/zero | gzip -1`,
		"a tar of another": `"$BARMAN" "$@" --tar`,
	} {
		t.Run(what, func(t *testing.T) {
			h := h.afresh(t)
			h.answer(answer)
			h.fails(6, h.names[0])
		})
	}
}

func TestHostileAnswersToThePrefetcherAreRefused(t *testing.T) {
	const direct = `case " $* " in *" --tar "*|*" --peek "*) ;; *) exec "$BARMAN" "$@";; esac
`
	const old = direct + `case " $* " in *" --tar "*) exit 2;; esac
`
	tarOf := func(name string) string {
		return direct + `d=$(mktemp -d); cd $d; head -c 1048576 /dev/zero > x; exec tar --transform 's,.*,` + name + `,' -P -cf - x`
	}
	h := newHost(t, 2)
	for what, script := range map[string]string{
		"another name":       tarOf("000000010000000000000FFB"),
		"the parent":         tarOf("../../escaped"),
		"an absolute path":   tarOf("/tmp/escaped"),
		"the right name":     tarOf("000000010000000000000FF9"),
		"a link":             direct + `d=$(mktemp -d); cd $d; ln -s /etc/passwd 000000010000000000000FF9; exec tar -cf - 000000010000000000000FF9`,
		"half":               direct + `"$BARMAN" "$@" | head -c 1500`,
		"paths in the list":  old + `echo 000000010000000000000FF9; echo ../../escaped`,
		"an absolute list":   old + `echo /etc/passwd`,
		"a list of others":   old + `echo 000000010000000000000FFA`,
		"a list backwards":   old + `echo 000000010000000000000FF9; echo 000000010000000000000FF8`,
		"a list without end": old + `yes 000000010000000000000FF9`,
	} {
		t.Run(what, func(t *testing.T) {
			h := h.afresh(t)
			h.answer(script)
			h.must(h.names[0], "-p", "3")
			h.eventually("the prefetcher has ended", func() bool { return len(h.prefetchers()) == 0 })
			h.must(h.names[1], "-p", "3")
			for _, escaped := range []string{"/tmp/escaped", filepath.Join(h.spool, "escaped"), filepath.Join(filepath.Dir(h.spool), "escaped")} {
				if _, err := os.Lstat(escaped); err == nil {
					t.Errorf("%s was written", escaped)
				}
			}
		})
	}
}
