//go:build linux && amd64

package chaos_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk/wal"
	"github.com/barman-go/barman/test/chaos"
	"github.com/barman-go/barman/test/pgtest"
)

// receiving is "barman receive-wal", as a synchronous standby, while the server
// writes.
type receiving struct {
	*site
	begin   wal.LSN // what the slot keeps from the beginning
	reached wal.LSN // what the receiver last said it had before it was stopped
}

const receiveServer = `
server "main" {
  conninfo = %q
  streaming_conninfo = %q
  wal {
    source "pgreceivewal" {
      slot        = "chaos"
      synchronous = true
    }
    sink "posix" {}
  }
}
`

const segmentSize = wal.SegmentSize(1 << 20)

func newReceiving(t *testing.T) *receiving {
	r := &receiving{site: newSite(t, "")}
	r.hcl = fmt.Sprintf(receiveServer, r.cluster.Conninfo(), r.cluster.ReplicationConninfo("postgres"))
	return r
}

func (r *receiving) prepare() error {
	r.cluster.Wait("SELECT count(*) = 0 FROM pg_replication_slots WHERE active")
	r.cluster.Exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
	r.cluster.Exec("SELECT pg_create_physical_replication_slot('chaos', true)")
	r.begin = mustLSN(pgtest.One[string](r.cluster, "SELECT restart_lsn::text FROM pg_replication_slots"))
	return r.clear(r.hcl)
}

func (r *receiving) command() chaos.Command { return r.barman("receive-wal", "main") }

// during writes WAL once the receiver is there, waits until it says that it has
// it, and stops it.
func (r *receiving) during(done <-chan struct{}) {
	if !r.until(done, "SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'") {
		return
	}
	for range 3 {
		r.cluster.Exec("SELECT pg_logical_emit_message(true, 'chaos', repeat(md5(random()::text), 10000))")
		r.cluster.SwitchWAL()
	}
	r.cluster.Exec("SELECT pg_logical_emit_message(true, 'chaos', 'the last')")
	// A receiver that a fault has ended leaves nothing to wait for, or to stop.
	written := r.cluster.CurrentLSN()
	if r.until(done, fmt.Sprintf("SELECT coalesce(bool_or(flush_lsn >= '%s'), false) FROM pg_stat_replication", written)) {
		r.reached = mustLSN(written)
		if r.run("receive-wal", "--stop", "main") != nil {
			r.terminate() // a full disk may have kept it from saying who it is
		}
	}
}

// terminate ends the receiver as a user would who does not find its process ID
// in the lock file.
func (r *receiving) terminate() {
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return
	}
	for _, path := range commands {
		command, err := os.ReadFile(path)
		if err != nil || !bytes.HasSuffix(command, []byte("\x00"+r.path("barman.hcl")+"\x00receive-wal\x00main\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
	}
}

// until waits for a query to be true, or done.
func (r *receiving) until(done <-chan struct{}, query string) bool {
	for !pgtest.One[bool](r.cluster, query) {
		select {
		case <-done:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return true
}

func (r *receiving) check(chaos.Outcome) error {
	return r.has(mustLSN(pgtest.One[string](r.cluster, "SELECT restart_lsn::text FROM pg_replication_slots")))
}

// has compares all WAL up to a position with the server's.
func (r *receiving) has(safe wal.LSN) error {
	if safe <= r.begin {
		return nil // the server was told nothing yet
	}
	for at := wal.SegmentAt(1, r.begin, segmentSize); at.Start(segmentSize) < safe; at = at.Next() {
		name := at.Name(segmentSize)
		written, err := os.ReadFile(filepath.Join(r.cluster.DataDir, "pg_wal", name))
		if err != nil {
			return err
		}
		written = written[:min(int64(len(written)), int64(safe-at.Start(segmentSize)))]
		stored, err := r.stored(name)
		if err != nil {
			return fmt.Errorf("the server was told that all up to %s is safe: %w", safe, err)
		}
		if !bytes.HasPrefix(stored, written) {
			return fmt.Errorf("the server was told that all up to %s is safe, and %s differs", safe, name)
		}
	}
	return nil
}

// stored reads a segment from wherever it is.
func (r *receiving) stored(name string) ([]byte, error) {
	for _, path := range []string{"wals/" + name[:16] + "/" + name, "streaming/" + name, "streaming/" + name + ".partial"} {
		content, err := os.ReadFile(r.path("home/main", path))
		if !errors.Is(err, os.ErrNotExist) {
			return content, err
		}
	}
	return nil, fmt.Errorf("%s is nowhere", name)
}

// next receives once more, and archives.
func (r *receiving) next() error {
	r.cluster.Wait("SELECT count(*) = 0 FROM pg_replication_slots WHERE active")
	done, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		failed <- r.run("receive-wal", "main")
		close(done)
	}()
	r.reached = 0
	r.during(done)
	if err := <-failed; err != nil {
		return err
	}
	if r.reached == 0 {
		return errors.New("it ended before it was stopped")
	}
	if err := r.has(r.reached); err != nil {
		return err
	}
	if err := r.run("archive-wal", "main"); err != nil {
		return err
	}
	if err := r.has(r.reached); err != nil {
		return err
	}
	aside, err := os.ReadDir(r.path("home/main/errors"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	left, err := os.ReadDir(r.path("home/main/streaming"))
	if err != nil {
		return err
	}
	for _, entry := range append(aside, left...) {
		if !strings.HasSuffix(entry.Name(), ".partial") {
			return fmt.Errorf("%s was not archived", entry.Name())
		}
	}
	return nil
}

func mustLSN(text string) wal.LSN {
	lsn, err := wal.ParseLSN(text)
	if err != nil {
		panic(err) // PostgreSQL's own
	}
	return lsn
}

func TestChaosOfReceiveWAL(t *testing.T) { walk(t, newReceiving(t)) }
