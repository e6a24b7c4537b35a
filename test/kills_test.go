package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// killRounds is how many processes are killed, and allKillRounds when all of the
// crash harness is asked for.
const killRounds, allKillRounds = 20, 240

// bothWaysLZ4 is a wal block whose WAL comes by both ways.
const bothWaysLZ4 = `
  wal {
    archive = true
    source "pgreceivewal" {
      slot            = "barman"
      create_slot     = "auto"
      status_interval = "100ms"
    }
    transform "compress" { codec = "lz4" }
    sink "posix" {}
  }
`

// senderScript is an archive_command that takes a segment another way than the
// one before. A killed command's exit code would end PostgreSQL's archiver.
const senderScript = `#!/bin/sh
path=$(realpath "$1")
case "$2" in
*[048C]) %[1]s -c %[2]s wal-archive main "$path" || exit 1 ;;
*[159D])
	part=%[3]s/.$2.part
	cp "$path" "$part" && sync "$part" && mv "$part" %[3]s/"$2" && sync %[3]s || exit 1 ;;
*)
	spool=$(mktemp -d %[4]s/spool.XXXXXX) || exit 1
	cd "$spool" && cp "$path" "$2" && sha256sum "$2" >SHA256SUMS && tar cf parcel "$2" SHA256SUMS && %[1]s -c %[2]s put-wal main <parcel
	code=$?
	rm -rf "$spool"
	[ $code = 0 ] || exit 1 ;;
esac
`

// A server under load hands its WAL to everything that takes it, while one
// process after the other is killed: receivers, archivers, senders, plugins. In
// the end all WAL that PostgreSQL was told is safe is archived once, equal to the
// byte, and recorded.
func TestChaosOfKillsOnTheWayIntoTheArchive(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15, SegmentSizeMB: 1, Config: map[string]string{
		"archive_mode": "on", "archive_command": "", "wal_keep_size": "8GB", "max_wal_size": "4GB", "checkpoint_timeout": "1h",
	}}, zstdTar+bothWaysLZ4)
	s.home.GiveToPostgres()
	s.home.Must("receive-wal", "--create-slot", "main")
	s.home.Must("archive-wal", "main")
	s.archiveBy(s.sender() + " %p %f")
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	receiver, archiver := s.keepRunning("receive-wal", "main"), s.keepRunning("archive-wal", "main")
	s.home.Must("backup", "main")

	rounds := killRounds
	if mode := os.Getenv("BARMAN_CHAOS"); mode == "all" || mode == "every" {
		rounds = allKillRounds
	}
	killed := map[string]int{}
	for round := range rounds {
		s.awaitArchiver(8)
		s.SwitchWAL()
		w.WaitRows(20)
		s.SwitchWAL()
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		killed[s.killOne([]string{"receive-wal", "archive-wal", "sender", "plugin"}[round%4], receiver, archiver)]++
	}
	t.Logf("killed: %v", killed)
	if killed["receive-wal"] == 0 || killed["archive-wal"] == 0 || killed["sender"] == 0 || killed["plugin"] == 0 {
		t.Errorf("not everything was killed: %v", killed)
	}

	last := w.Stop()
	end := s.SwitchWAL()
	s.Exec("SELECT pg_create_restore_point('in the segment behind it')")
	s.awaitArchiver(0)
	s.Wait("SELECT (SELECT last_archived_wal >= $1 FROM pg_stat_archiver) AND (SELECT pg_walfile_name(restart_lsn) > $1 FROM pg_replication_slots)", end)
	s.archiveBy("")
	receiver.stop()
	archiver.stop()
	s.home.Must("archive-wal", "main")
	s.wantArchiveLikeServer()
	s.wantEachArchivedOnce()

	directory, _ := s.destination()
	run(t, filepath.Join(pgtest.BarmanBin(t), "barman"), "-c", s.home.Config, "recover", "main", "latest", directory)
	c := pgtest.StartExisting(t, s.Major, directory, nil)
	c.WaitRecovered()
	last.Check(t, c)
}

// awaitArchiver waits until PostgreSQL has no more than so many segments to archive.
func (s *site) awaitArchiver(segments int) {
	s.t.Helper()
	nudge := time.Now().Add(3 * time.Second)
	eventually(s.t, "archive_command has caught up", func() bool {
		if time.Now().After(nudge) {
			s.SwitchWAL() // it rests after failures, until there is a new segment
			nudge = time.Now().Add(3 * time.Second)
		}
		ready, err := filepath.Glob(filepath.Join(s.DataDir, "pg_wal", "archive_status", "*.ready"))
		if err != nil {
			s.t.Fatal(err)
		}
		return len(ready) <= segments
	})
}

// sender writes the archive_command's script and returns its path.
func (s *site) sender() string {
	s.t.Helper()
	scratch := pgtest.Scratch(s.t)
	pgtest.Own(s.t, scratch)
	script := filepath.Join(scratch, "send")
	text := fmt.Sprintf(senderScript, filepath.Join(pgtest.EveryonesBin(s.t), "barman"), s.home.Config, s.path("incoming"), scratch)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return script
}

// kept is a command that is started again whenever it has ended.
type kept struct {
	mu      sync.Mutex
	pid     int // 0 while it does not run
	stopped bool
	done    chan struct{}
}

// keepRunning is what cron does, at a quicker pace. How the command ends is of no
// interest: it is killed.
func (s *site) keepRunning(args ...string) *kept {
	s.t.Helper()
	k := &kept{done: make(chan struct{})}
	s.t.Cleanup(k.stop)
	go func() {
		defer close(k.done)
		for {
			cmd := s.home.Command(args...)
			if !k.start(cmd) {
				return
			}
			_ = cmd.Wait() // see above
			k.ended()
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return k
}

func (k *kept) start(cmd *exec.Cmd) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped || cmd.Start() != nil {
		return false
	}
	k.pid = cmd.Process.Pid
	return true
}

func (k *kept) ended() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pid = 0
}

func (k *kept) stop() {
	k.mu.Lock()
	k.stopped = true
	if k.pid != 0 {
		_ = syscall.Kill(k.pid, syscall.SIGINT) // it may have ended
	}
	k.mu.Unlock()
	<-k.done
}

func (k *kept) kill() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pid != 0 && syscall.Kill(k.pid, syscall.SIGKILL) == nil
}

// killOne kills a process of a role as soon as there is one, and returns the
// role, or nothing if there was none for long.
func (s *site) killOne(role string, receiver, archiver *kept) string {
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		killed := false
		switch role {
		case "receive-wal":
			killed = receiver.kill()
		case "archive-wal":
			killed = archiver.kill()
		default:
			killed = s.killBelow(role == "plugin", receiver, archiver)
		}
		if killed {
			return role
		}
	}
	return ""
}

// killBelow kills one of the barmans that PostgreSQL's archiver started, or one
// of all plugins.
func (s *site) killBelow(plugin bool, receiver, archiver *kept) bool {
	postmaster, err := os.ReadFile(filepath.Join(s.DataDir, "postmaster.pid"))
	if err != nil {
		s.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(postmaster), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		s.t.Fatal(err)
	}
	roots := []int{pid}
	if plugin {
		roots = append(roots, receiver.pidNow(), archiver.pidNow())
	}
	var found []int
	for below := roots; len(below) > 0; below = below[1:] {
		children := pgtest.ChildrenOf(below[0])
		for _, child := range children {
			program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", child))
			name := filepath.Base(program)
			if err == nil && strings.HasPrefix(name, "barman") && strings.HasPrefix(name, "barman-plugin-") == plugin {
				found = append(found, child)
			}
		}
		below = append(below, children...)
	}
	return len(found) > 0 && syscall.Kill(found[rand.IntN(len(found))], syscall.SIGKILL) == nil
}

func (k *kept) pidNow() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pid
}

// wantEachArchivedOnce compares xlog.db with the archive, and looks for what was
// left behind.
func (s *site) wantEachArchivedOnce() {
	s.t.Helper()
	sizes := map[string]int64{}
	for path, size := range files(s.t, s.path("wals")) {
		if name := filepath.Base(path); !strings.HasPrefix(name, ".") && name != "xlog.db" {
			sizes[name] = size
		}
	}
	index, err := os.ReadFile(s.path("wals", "xlog.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	recorded := map[string]int64{}
	for line := range strings.Lines(string(index)) {
		columns := strings.Split(line, "\t")
		if _, twice := recorded[columns[0]]; twice {
			s.t.Errorf("xlog.db lists %s twice", columns[0])
		}
		if recorded[columns[0]], err = strconv.ParseInt(columns[1], 10, 64); err != nil {
			s.t.Errorf("xlog.db: %q", line)
		}
	}
	for name, size := range sizes {
		if recorded[name] != size {
			s.t.Errorf("%s has %d bytes, xlog.db says %d", name, size, recorded[name])
		}
	}
	if len(recorded) != len(sizes) {
		s.t.Errorf("xlog.db lists %d files, the archive has %d", len(recorded), len(sizes))
	}
	var left []string
	for _, directory := range []string{"incoming", "streaming", "errors"} {
		for path := range files(s.t, s.path(directory)) {
			left = append(left, strings.TrimPrefix(path, s.path()))
		}
	}
	left = slices.DeleteFunc(left, func(path string) bool {
		return strings.HasPrefix(filepath.Base(path), ".") || strings.HasSuffix(path, ".partial") && strings.HasPrefix(path, "/streaming/")
	})
	if len(left) > 0 {
		s.t.Errorf("left behind: %q", left)
	}
}
