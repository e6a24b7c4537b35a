package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// standbyName is what synchronous_standby_names says, and what both receivers
// call themselves.
const standbyName = "barman_receive_wal"

// commits is how many transactions a round has, for each client.
const commits = 3000

// newSynchronousSite has a server whose commits wait for a receiver.
func newSynchronousSite(b *testing.B) *site {
	c := pgtest.Start(b, pgtest.Options{Major: major, Config: map[string]string{
		"max_wal_size": "8GB", "checkpoint_timeout": "1h", "shared_buffers": "256MB", "autovacuum": "off", "fsync": "on",
	}})
	c.PgbenchInit(10)
	c.Exec("SELECT pg_create_physical_replication_slot('pg_receivewal', true), pg_create_physical_replication_slot('barman', true)")
	s := &site{B: b, cluster: c, scratch: pgtest.Scratch(b)}
	s.home = pgtest.NewHome(b, fmt.Sprintf(`
server "main" {
  conninfo = %q
  wal {
    source "pgreceivewal" { slot = "barman" }
    sink "posix" {}
  }
}
`, c.Conninfo()))
	c.CommitsWaitFor(standbyName)
	return s
}

// commit is a contender: pgbench, every commit of which waits for a receiver.
func (s *site) commit(clients int, name string, receiver func(context.Context) *exec.Cmd) contender {
	return contender{name: name, run: func() sample {
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		cmd := receiver(ctx)
		if err := cmd.Start(); err != nil {
			s.Fatal(err)
		}
		s.cluster.Wait("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming')")
		s.cluster.Exec("CHECKPOINT")
		load := s.cluster.PgbenchCommand("-n", "-c", strconv.Itoa(clients), "-j", "2", "-t", strconv.Itoa(commits), "-b", "simple-update")
		measured := run(s.B, load, 0)
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			s.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			s.Fatalf("%s: %v", name, err)
		}
		measured.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		s.cluster.Wait("SELECT NOT EXISTS (SELECT FROM pg_replication_slots WHERE active)")
		return measured
	}}
}

func (s *site) pgReceivewal(ctx context.Context) *exec.Cmd {
	to := filepath.Join(s.scratch, "pg_receivewal")
	if err := os.MkdirAll(to, 0o700); err != nil {
		s.Fatal(err)
	}
	return exec.CommandContext(ctx, pgtest.Tool(s.B, major, "pg_receivewal"), "-d", s.cluster.Conninfo()+" application_name="+standbyName,
		"-D", to, "-S", "pg_receivewal", "--synchronous")
}

func (s *site) barmanReceives(context.Context) *exec.Cmd {
	cmd := s.home.Command("-q", "receive-wal", "main")
	return cmd
}

// BenchmarkSynchronous measures commits that wait for the receiver.
func BenchmarkSynchronous(b *testing.B) {
	s := newSynchronousSite(b)
	measure := func(clients int) func(*site, *report) {
		return func(inside *site, r *report) {
			r.versus(fmt.Sprintf("`pgbench -b simple-update` of %d transactions for each of %d clients, every commit waiting for `barman receive-wal`, named in "+
				"`synchronous_standby_names`, to have the WAL on its disk; beside `pg_receivewal --synchronous`. A ratio of time below 1 is a throughput above 1. "+
				"CPU is the receiver's.", commits, clients), 1.0, [2]string{"barman receive-wal", "pg_receivewal"},
				compare(inside.B, inside.commit(clients, "barman receive-wal", inside.barmanReceives), inside.commit(clients, "pg_receivewal", inside.pgReceivewal)))
		}
	}
	s.runParts(b,
		part{"one", "Synchronous commits of one client", measure(1)},
		part{"many", "Synchronous commits of eight clients", measure(8)},
	)
}
