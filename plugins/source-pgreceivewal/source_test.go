package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
	"github.com/barman-go/barman/sdk/wal"
	"github.com/barman-go/barman/test/pgtest"
)

const segmentSize = wal.MinSegmentSize

func start(t *testing.T, major int, settings map[string]string) *pgtest.Cluster {
	return pgtest.Start(t, pgtest.Options{Major: major, SegmentSizeMB: 1, Config: settings})
}

func serverOf(c *pgtest.Cluster) sdk.Server {
	return sdk.Server{Name: "main", Conninfo: sdk.Secret(c.Conninfo()), StreamingConninfo: sdk.Secret(c.ReplicationConninfo("postgres"))}
}

func open(t *testing.T, server sdk.Server, settings string) *Source {
	t.Helper()
	config := new(Config)
	if err := schema.Decode([]byte(settings), config); err != nil {
		t.Fatal(err)
	}
	source, err := Open(t.Context(), server, config)
	if err != nil {
		t.Fatal(err)
	}
	return source.(*Source)
}

const withSlot = `{"slot": "barman", "create_slot": "auto", "status_interval": "200ms"}`

// running is a receiver that goes on until it is stopped.
type running struct {
	stop func()
	done chan error
	mu   sync.Mutex
	seen []sdk.WALProgress
}

func receive(t *testing.T, source *Source, dir string, synchronous bool) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stop: cancel, done: make(chan error, 1)}
	go func() {
		r.done <- source.Receive(ctx, sdk.ReceiveRequest{Directory: dir, SegmentSize: segmentSize, Synchronous: synchronous}, func(p sdk.WALProgress) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.seen = append(r.seen, p)
		})
	}()
	t.Cleanup(func() { cancel() })
	return r
}

func (r *running) finish(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("orderly end: %v", err)
	}
}

func (r *running) progress() []sdk.WALProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// written makes a few segments of WAL.
func written(c *pgtest.Cluster, rows int) {
	c.Exec(fmt.Sprintf("CREATE TABLE IF NOT EXISTS filler (t text); INSERT INTO filler SELECT repeat(md5(i::text), 20) FROM generate_series(1, %d) i", rows))
}

// waitFlushed waits until the server knows that all its WAL is durable with
// the receiver.
func waitFlushed(c *pgtest.Cluster) {
	c.Wait("SELECT count(*) > 0 FROM pg_stat_replication WHERE flush_lsn >= pg_current_wal_flush_lsn()")
}

func finished(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if name, err := wal.ParseName(entry.Name()); err == nil && name.Kind == wal.KindSegment {
			names = append(names, entry.Name())
		}
	}
	return names
}

// checkGapless compares finished segments with the server's and expects that
// none is missing between them.
func checkGapless(t *testing.T, c *pgtest.Cluster, dir string, atLeast int) {
	t.Helper()
	names := finished(t, dir)
	if len(names) < atLeast {
		t.Errorf("%d segments, expected %d or more: %q", len(names), atLeast, names)
	}
	for i, name := range names {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(c.DataDir, "pg_wal", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the server's", name)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
		if i > 0 {
			before, _ := wal.ParseSegment(names[i-1], segmentSize)
			this, _ := wal.ParseSegment(name, segmentSize)
			if this.Timeline == before.Timeline && this != before.Next() {
				t.Errorf("a gap between %s and %s", names[i-1], name)
			}
		}
	}
}

func TestReceivedSegmentsEqualTheServers(t *testing.T) {
	pgtest.EachVersion(t, func(t *testing.T, major int) {
		c := start(t, major, map[string]string{"wal_keep_size": "200MB"})
		dir := filepath.Join(t.TempDir(), "streaming")
		r := receive(t, open(t, serverOf(c), withSlot), dir, false)
		c.Wait("SELECT count(*) > 0 FROM pg_stat_replication WHERE application_name = 'barman_receive_wal'")
		written(c, 10000)
		c.SwitchWAL()
		waitFlushed(c)
		written(c, 10)
		waitFlushed(c)
		r.finish(t)
		checkGapless(t, c, dir, 5)
		checkPartial(t, c, dir, r.durable())
		seen := r.progress()
		var names []string
		for i, p := range seen {
			if p.Finished != "" {
				names = append(names, p.Finished)
			}
			if i > 0 && p.Flushed < seen[i-1].Flushed {
				t.Errorf("flushed %s after %s", p.Flushed, seen[i-1].Flushed)
			}
		}
		if !slices.Equal(names, finished(t, dir)) {
			t.Errorf("reported %q", names)
		}
		c.Wait("SELECT count(*) = 0 FROM pg_stat_replication")
	})
}

// durable is the position up to which WAL was last reported as durable.
func (r *running) durable() wal.LSN {
	seen := r.progress()
	return seen[len(seen)-1].Flushed
}

// checkPartial compares the unfinished segment with the server's, up to a
// position, and its size. The server writes WAL of its own accord, so that its
// current position may be beyond what was received by now.
func checkPartial(t *testing.T, c *pgtest.Cluster, dir string, position wal.LSN) {
	t.Helper()
	timeline := wal.Timeline(pgtest.One[int32](c, "SELECT timeline_id FROM pg_control_checkpoint()"))
	name := wal.SegmentAt(timeline, position, segmentSize).Name(segmentSize)
	got, err := os.ReadFile(filepath.Join(dir, name+partialSuffix))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(c.DataDir, "pg_wal", name))
	if err != nil {
		t.Fatal(err)
	}
	end := segmentSize.Offset(position)
	if len(got) != int(segmentSize) || !bytes.Equal(got[:end], want[:end]) {
		t.Errorf("%s.partial has %d bytes; equal up to the position: %v", name, len(got), bytes.Equal(got[:end], want[:end]))
	}
}

func TestEmptyDirectoryBeginsWhereTheSlotStands(t *testing.T) {
	c := start(t, 15, nil)
	c.Exec("SELECT pg_create_physical_replication_slot('barman', true)")
	first := pgtest.One[string](c, "SELECT pg_walfile_name(restart_lsn) FROM pg_replication_slots")
	written(c, 3000)
	c.SwitchWAL()
	dir := t.TempDir()
	r := receive(t, open(t, serverOf(c), `{"slot": "barman"}`), dir, true)
	waitFlushed(c)
	r.finish(t)
	if names := finished(t, dir); len(names) < 2 || names[0] != first {
		t.Errorf("received %q, the slot stood at %s", names, first)
	}
	checkGapless(t, c, dir, 2)
}

func TestFinishedSegmentsMayBeCarriedAway(t *testing.T) {
	c := start(t, 15, map[string]string{"wal_keep_size": "200MB"})
	dir, archive := t.TempDir(), t.TempDir()
	for range 3 {
		r := receive(t, open(t, serverOf(c), `{}`), dir, true)
		c.Wait("SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'")
		written(c, 3000)
		c.SwitchWAL()
		waitFlushed(c)
		r.finish(t)
		for _, name := range finished(t, dir) {
			if err := os.Rename(filepath.Join(dir, name), filepath.Join(archive, name)); err != nil {
				t.Fatal(err)
			}
		}
		written(c, 3000) // while nobody receives
	}
	checkGapless(t, c, archive, 8)
}

func TestCommitWaitsForTheSynchronousReceiver(t *testing.T) {
	c := start(t, 15, nil)
	c.Exec("CREATE TABLE paid (i int)")
	c.CommitsWaitFor("barman_receive_wal")
	committed := make(chan error, 1)
	conn := c.Connect()
	go func() {
		_, err := conn.Exec(context.Background(), "INSERT INTO paid VALUES (1)")
		committed <- err
	}()
	c.Wait("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	dir := t.TempDir()
	r := receive(t, open(t, serverOf(c), `{"status_interval": "50s"}`), dir, true)
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	var position string
	for i := range 20 { // each returns long before the status interval
		if err := conn.QueryRow(t.Context(), "INSERT INTO paid VALUES ($1) RETURNING pg_current_wal_insert_lsn()::text", i).Scan(&position); err != nil {
			t.Fatal(err)
		}
	}
	end, err := wal.ParseLSN(position)
	if err != nil {
		t.Fatal(err)
	}
	checkPartial(t, c, dir, end)
	r.finish(t)
}

func TestServerShutdownDoesNotWaitForTheReceiver(t *testing.T) {
	c := start(t, 15, nil)
	dir := t.TempDir()
	r := receive(t, open(t, serverOf(c), `{"status_interval": "50s"}`), dir, false)
	c.Wait("SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'")
	written(c, 100)
	c.Stop(pgtest.Fast)
	if err := <-r.done; sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("kind %v of %v", sdk.KindOf(err), err)
	}
	c.Restart()
	r = receive(t, open(t, serverOf(c), `{"status_interval": "200ms"}`), dir, false)
	c.Wait("SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'")
	c.SwitchWAL()
	waitFlushed(c)
	r.finish(t)
	checkGapless(t, c, dir, 1)
}

func TestTimelineSwitchIsFollowed(t *testing.T) {
	pgtest.EachVersion(t, func(t *testing.T, major int) {
		primary := start(t, major, map[string]string{"wal_keep_size": "200MB"})
		standby := standbyOf(t, primary)
		dir := t.TempDir()
		r := receive(t, open(t, serverOf(standby), `{"status_interval": "200ms"}`), dir, false)
		standby.Wait("SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'")
		written(primary, 3000)
		position := pgtest.One[string](primary, "SELECT pg_current_wal_flush_lsn()::text")
		standby.Wait("SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", position)
		ahead := t.TempDir()
		if err := os.WriteFile(filepath.Join(ahead, "000000070000000000000001"+partialSuffix), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		err := open(t, serverOf(standby), `{}`).Receive(t.Context(), sdk.ReceiveRequest{Directory: ahead, SegmentSize: segmentSize}, nil)
		if sdk.KindOf(err) != sdk.Unavailable {
			t.Errorf("a standby that may come to a timeline yet: kind %v of %v", sdk.KindOf(err), err)
		}
		standby.Promote()
		written(standby, 3000)
		standby.SwitchWAL()
		waitFlushed(standby)
		r.finish(t)
		checkFollowed(t, standby, dir)

		// The same for a receiver that was away when it happened.
		late := t.TempDir()
		oldest := finished(t, dir)[0]
		if err := os.WriteFile(filepath.Join(late, oldest+partialSuffix), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r = receive(t, open(t, serverOf(standby), `{"status_interval": "200ms"}`), late, false)
		waitFlushed(standby)
		r.finish(t)
		checkFollowed(t, standby, late)

		// And for one that had received all of the old timeline.
		again := receive(t, open(t, serverOf(standby), `{"status_interval": "200ms"}`), dir, false)
		standby.Wait("SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'")
		again.finish(t)
	})
}

func checkFollowed(t *testing.T, c *pgtest.Cluster, dir string) {
	t.Helper()
	checkGapless(t, c, dir, 4)
	names := finished(t, dir)
	if !strings.HasPrefix(names[0], "00000001") || !strings.HasPrefix(names[len(names)-1], "00000002") {
		t.Errorf("received %q", names)
	}
	got, err := os.ReadFile(filepath.Join(dir, "00000002.history"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(c.DataDir, "pg_wal/00000002.history"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("history %q, expected %q", got, want)
	}
}

// standbyOf copies a cluster while nothing is written to it.
func standbyOf(t *testing.T, primary *pgtest.Cluster) *pgtest.Cluster {
	t.Helper()
	primary.Exec("CHECKPOINT")
	primary.Stop(pgtest.Fast)
	data := filepath.Join(pgtest.Scratch(t), "standby")
	if out, err := exec.Command("cp", "-a", primary.DataDir, data).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"postmaster.pid", "postmaster.opts"} {
		if err := os.Remove(filepath.Join(data, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(data, "standby.signal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	primary.Restart()
	return pgtest.StartExisting(t, primary.Major, data, map[string]string{"primary_conninfo": primary.ReplicationConninfo("postgres")})
}

// TestKilledReceiverGoesOnWithoutAGap kills receiving processes at random
// moments; what they leave behind is always enough to go on.
func TestKilledReceiverGoesOnWithoutAGap(t *testing.T) {
	c := start(t, 15, map[string]string{"wal_keep_size": "500MB"})
	dir := t.TempDir()
	writing, stop := context.WithCancel(t.Context())
	idle := make(chan struct{})
	conn := c.Connect()
	c.Exec("CREATE TABLE busy (t text)")
	go func() {
		defer close(idle)
		for writing.Err() == nil {
			_, _ = conn.Exec(context.Background(), "INSERT INTO busy SELECT repeat(md5(i::text), 20) FROM generate_series(1, 500) i")
		}
	}()
	for range 15 {
		child := exec.Command(os.Args[0], "-test.run=TestMain")
		child.Env = append(os.Environ(), "RECEIVE_INTO="+dir, "RECEIVE_FROM="+c.ReplicationConninfo("postgres"))
		child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(20+rand.IntN(180)) * time.Millisecond) // the moment is what is varied
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
	}
	stop()
	<-idle
	c.SwitchWAL()
	c.Wait("SELECT count(*) = 0 FROM pg_stat_replication")
	r := receive(t, open(t, serverOf(c), withSlot), dir, false)
	waitFlushed(c)
	r.finish(t)
	checkGapless(t, c, dir, 3)
}

// TestMain is also the receiving process of TestKilledReceiverGoesOnWithoutAGap.
func TestMain(m *testing.M) {
	dir := os.Getenv("RECEIVE_INTO")
	if dir == "" {
		os.Exit(m.Run())
	}
	config := new(Config)
	if err := schema.Decode(json.RawMessage(withSlot), config); err != nil {
		panic(err)
	}
	source, err := Open(context.Background(), sdk.Server{Name: "main", StreamingConninfo: sdk.Secret(os.Getenv("RECEIVE_FROM"))}, config)
	if err != nil {
		panic(err)
	}
	for {
		_ = source.Receive(context.Background(), sdk.ReceiveRequest{Directory: dir, SegmentSize: segmentSize, Synchronous: true}, nil)
		time.Sleep(10 * time.Millisecond)
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	c := start(t, 15, map[string]string{"wal_keep_size": "0", "max_wal_size": "2MB", "min_wal_size": "2MB"})
	c.Exec("CREATE ROLE plain LOGIN")
	once := func(source *Source, dir string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return source.Receive(ctx, sdk.ReceiveRequest{Directory: dir, SegmentSize: segmentSize}, nil)
	}
	check := func(t *testing.T, err error, kind sdk.ErrorKind, advice string) {
		t.Helper()
		if sdk.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), advice) {
			t.Errorf("kind %v of %v", sdk.KindOf(err), err)
		}
	}
	t.Run("no slot", func(t *testing.T) {
		check(t, once(open(t, serverOf(c), `{"slot": "missing"}`), t.TempDir()), sdk.NotFound, "barman receive-wal --create-slot main")
	})
	t.Run("no privilege", func(t *testing.T) {
		server := sdk.Server{Name: "main", StreamingConninfo: sdk.Secret(c.ReplicationConninfo("plain"))}
		check(t, once(open(t, server, `{}`), t.TempDir()), sdk.Denied, "ALTER ROLE")
	})
	t.Run("slot in use", func(t *testing.T) {
		r := receive(t, open(t, serverOf(c), withSlot), t.TempDir(), false)
		c.Wait("SELECT count(*) > 0 FROM pg_replication_slots WHERE active")
		check(t, once(open(t, serverOf(c), withSlot), t.TempDir()), sdk.Busy, "pg_replication_slots.active_pid")
		r.finish(t)
	})
	t.Run("directory in use", func(t *testing.T) {
		dir := t.TempDir()
		r := receive(t, open(t, serverOf(c), `{}`), dir, false)
		c.Wait("SELECT count(*) > 0 FROM pg_stat_replication")
		check(t, once(open(t, serverOf(c), `{}`), dir), sdk.Busy, "another process")
		r.finish(t)
	})
	t.Run("other segment size", func(t *testing.T) {
		err := open(t, serverOf(c), `{}`).Receive(t.Context(), sdk.ReceiveRequest{Directory: t.TempDir(), SegmentSize: wal.DefaultSegmentSize}, nil)
		check(t, err, sdk.Invalid, "1MB")
	})
	t.Run("WAL removed", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.SwitchWAL()+partialSuffix), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		c.Exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
		for range 8 {
			written(c, 3000)
			c.Exec("CHECKPOINT")
		}
		check(t, once(open(t, serverOf(c), `{}`), dir), sdk.NotFound, "barman receive-wal --reset main")
	})
	t.Run("ahead of the server", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000100000009000000AA.partial"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, once(open(t, serverOf(c), `{}`), dir), sdk.Unavailable, "--reset main")
	})
	t.Run("timeline unknown to the server", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "000000070000000000000001.partial"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, once(open(t, serverOf(c), `{}`), dir), sdk.Invalid, "timeline 7")
	})
	t.Run("another server", func(t *testing.T) {
		dir := t.TempDir()
		r := receive(t, open(t, serverOf(c), `{"status_interval": "200ms"}`), dir, true)
		c.Wait("SELECT count(*) > 0 FROM pg_stat_replication")
		waitFlushed(c)
		r.finish(t)
		check(t, once(open(t, serverOf(start(t, 15, nil)), `{}`), dir), sdk.Invalid, "system identifier")
	})
}

func TestSilentServerIsUnavailable(t *testing.T) {
	c := start(t, 15, nil)
	r := receive(t, open(t, serverOf(c), `{"status_interval": "100ms", "receiver_timeout": "1s"}`), t.TempDir(), false)
	c.Wait("SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'")
	pid := pgtest.One[int32](c, "SELECT pid FROM pg_stat_replication")
	if err := syscall.Kill(int(pid), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(int(pid), syscall.SIGCONT) }()
	if err := <-r.done; sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(fmt.Sprint(err), "said nothing") {
		t.Errorf("kind %v of %v", sdk.KindOf(err), err)
	}
}

// TestReceivingGoesOnWhateverAKilledReceiverLeftOfTheSegment: its file may be
// missing, empty, cut anywhere, of zeros, or have bytes behind what was reported.
func TestReceivingGoesOnWhateverAKilledReceiverLeftOfTheSegment(t *testing.T) {
	c := start(t, 15, map[string]string{"wal_keep_size": "500MB"})
	dir := t.TempDir()
	again := func() {
		t.Helper()
		r := receive(t, open(t, serverOf(c), withSlot), dir, true)
		c.Wait("SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'")
		written(c, 50)
		waitFlushed(c)
		r.finish(t)
		c.Wait("SELECT count(*) = 0 FROM pg_stat_replication")
		checkPartial(t, c, dir, r.durable())
	}
	again()
	unfinished := func() string {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, "*"+partialSuffix))
		if err != nil || len(names) != 1 {
			t.Fatalf("%q, %v", names, err)
		}
		return names[0]
	}
	for name, leave := range map[string]func(path string) error{
		"zeros":            func(path string) error { return os.WriteFile(path, make([]byte, segmentSize), 0o600) },
		"nothing":          func(path string) error { return os.Truncate(path, 0) },
		"one byte":         func(path string) error { return os.Truncate(path, 1) },
		"half a page":      func(path string) error { return os.Truncate(path, 4096) },
		"all but one byte": func(path string) error { return os.Truncate(path, int64(segmentSize)-1) },
		"the next one, empty": func(path string) error {
			segment, err := wal.ParseSegment(strings.TrimSuffix(filepath.Base(path), partialSuffix), segmentSize)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, segment.Next().Name(segmentSize)+partialSuffix), nil, 0o600)
		},
	} {
		if err := leave(unfinished()); err != nil {
			t.Fatal(err)
		}
		again()
		c.SwitchWAL() // which finishes it, and uses up an empty next one
		again()
		t.Logf("left: %s", name)
	}
	checkGapless(t, c, dir, 6)

	path := unfinished()
	oversize := bytes.Repeat([]byte("x"), int(segmentSize)+1)
	if err := os.WriteFile(path, oversize, 0o600); err != nil {
		t.Fatal(err)
	}
	err := open(t, serverOf(c), withSlot).Receive(t.Context(), sdk.ReceiveRequest{Directory: dir, SegmentSize: segmentSize}, nil)
	if sdk.KindOf(err) != sdk.Corrupt || !strings.Contains(fmt.Sprint(err), "move it away") {
		t.Errorf("a file that is too long: kind %v of %v", sdk.KindOf(err), err)
	}
	if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, oversize) {
		t.Errorf("a file that is too long was touched: %v", err)
	}
}

func TestFullDiskAcknowledgesNothingAndReceivingGoesOnLater(t *testing.T) {
	c := start(t, 15, map[string]string{"wal_keep_size": "200MB"})
	dir := filepath.Join(pgtest.Tmpfs(t, 5<<20), "streaming")
	server := serverOf(c)
	r := receive(t, open(t, server, withSlot), dir, true)
	c.Wait("SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'")
	written(c, 12000)
	err := <-r.done
	if sdk.KindOf(err) != sdk.Unavailable || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("kind %v of %v", sdk.KindOf(err), err)
	}
	seen := r.progress()
	durable := seen[len(seen)-1].Flushed
	c.Wait("SELECT NOT active FROM pg_replication_slots")
	if kept := pgtest.One[string](c, "SELECT restart_lsn::text FROM pg_replication_slots"); kept > durable.String() && len(kept) >= len(durable.String()) {
		t.Errorf("the server was told %s, durable is %s", kept, durable)
	}
	archive := t.TempDir()
	for range 20 { // until there is nothing left to receive
		for _, name := range finished(t, dir) {
			if out, err := exec.Command("mv", filepath.Join(dir, name), archive).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		r = receive(t, open(t, server, withSlot), dir, true)
		if pgtest.One[bool](c, "SELECT pg_sleep(0.3) IS NOT NULL AND count(*) > 0 FROM pg_stat_replication WHERE flush_lsn >= pg_current_wal_flush_lsn()") {
			r.finish(t)
			break
		}
		r.stop()
		<-r.done
	}
	for _, name := range finished(t, dir) {
		if out, err := exec.Command("mv", filepath.Join(dir, name), archive).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	checkGapless(t, c, archive, 6)
}
