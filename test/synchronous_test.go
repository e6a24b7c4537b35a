package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/barman-go/barman/test/pgtest"
)

// disasters is how often the server is lost in TestChaosOfASynchronousStandby,
// and manyDisasters how often with BARMAN_CHAOS=all.
const (
	disasters     = 20
	manyDisasters = 200
	// freshBackup is after how many disasters a new base backup is taken: until
	// then every recovery replays all that was written since the last one.
	freshBackup = 20
)

// synchronousReceiver is a receiver whose flush position commits wait for.
const synchronousReceiver = `
  wal {
    source "pgreceivewal" {
      slot        = "barman"
      create_slot = "auto"
    }
    transform "compress" { codec = "lz4" }
    sink "posix" {}
  }
`

// TestChaosOfASynchronousStandby loses a server again and again, disk and all,
// while clients write to it: each time what barman recovers is the next server,
// and it must hold every row whose commit had returned to its client.
func TestChaosOfASynchronousStandby(t *testing.T) {
	t.Parallel()
	rounds := disasters
	if mode := os.Getenv("BARMAN_CHAOS"); mode == "all" || mode == "every" {
		rounds = manyDisasters
	}
	s := newSite(t, pgtest.Options{Major: 15, SegmentSizeMB: 1, Config: map[string]string{"autovacuum": "off", "shared_buffers": "8MB"}}, zstdTar+synchronousReceiver)
	l := newLedger(s.Cluster)
	s.CommitsWaitFor("barman_receive_wal")
	receiver := s.receive()
	random := rand.New(rand.NewPCG(uint64(rounds), 0))
	for round := range rounds {
		s.Wait("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')")
		if round%freshBackup == 0 {
			s.backup()
		}
		load := l.write(t, s.Cluster)
		load.until(100 + random.IntN(400))
		archiving := func() {}
		if round%3 == 1 { // what was received is on its way into the archive
			archiver := start(t, s.home.Command("archive-wal", "main"))
			archiving = func() { archiver.end() }
			time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond) // the moment is what is varied
		}
		killed := round%8 == 2
		if round%4 == 2 { // commits wait from now on
			if killed {
				receiver.signal(syscall.SIGKILL)
			} else {
				kill(t, receiver.plugins()["source-pgreceivewal"][0], syscall.SIGKILL)
			}
			time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		}
		s.Kill9()
		load.end()
		if err := os.RemoveAll(s.DataDir); err != nil {
			t.Fatal(err)
		}
		archiving()
		switch {
		case killed:
			receiver.end()
		case round%2 == 0: // it is stopped before the recovery, or looks for its server meanwhile
			receiver.stop()
			killed = true
		}
		s.Cluster = pgtest.StartExisting(t, s.Major, s.restore("latest"), map[string]string{"port": fmt.Sprint(s.Port)})
		s.WaitRecovered()
		l.check(t, s.Cluster, round)
		if killed {
			receiver = s.receive()
		}
	}
}

// clients is how many write at once.
const clients = 4

// ledger is a table in which every client counts upwards, and what the clients
// know of it.
type ledger struct {
	// returned is, for each client, the last row whose commit has returned.
	returned [clients]int64
}

func newLedger(c *pgtest.Cluster) *ledger {
	c.Exec("CREATE TABLE ledger (client int, n bigint, payload text NOT NULL, PRIMARY KEY (client, n))")
	return &ledger{}
}

// load is clients at work.
type load struct {
	t       *testing.T
	cancel  context.CancelFunc
	clients sync.WaitGroup
	commits atomic.Int64
}

// write lets all clients go on where they were, each committing one row after
// the other, until the server is gone.
func (l *ledger) write(t *testing.T, c *pgtest.Cluster) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &load{t: t, cancel: cancel}
	t.Cleanup(cancel)
	for client := range clients {
		conn, err := pgx.Connect(ctx, c.Conninfo())
		if err != nil {
			t.Fatal(err)
		}
		w.clients.Go(func() {
			defer conn.Close(context.WithoutCancel(ctx))
			for n := l.returned[client] + 1; ; n++ {
				if _, err := conn.Exec(ctx, "INSERT INTO ledger VALUES ($1, $2, repeat(md5($2::bigint::text), 1 + $2::int % 64))", client, n); err != nil {
					return // whether this one was committed nobody knows
				}
				l.returned[client] = n
				w.commits.Add(1)
			}
		})
	}
	return w
}

// until waits for a number of commits.
func (w *load) until(commits int) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%d commits return", commits), func() bool { return w.commits.Load() >= int64(commits) })
}

// end waits for the clients of a server that is gone.
func (w *load) end() {
	w.clients.Wait()
	w.cancel()
}

// check holds a recovered server against what the clients know, and lets them
// go on with what it holds: a row whose commit was under way may be there.
func (l *ledger) check(t *testing.T, c *pgtest.Cluster, round int) {
	t.Helper()
	for client := range clients {
		held := pgtest.One[int64](c, "SELECT coalesce(max(n), 0) FROM ledger WHERE client = $1", client)
		if held < l.returned[client] || held > l.returned[client]+1 {
			t.Fatalf("disaster %d: %d commits had returned to client %d, it holds rows up to %d", round+1, l.returned[client], client, held)
		}
		intact := pgtest.One[int64](c, "SELECT count(*) FROM ledger WHERE client = $1 AND payload = repeat(md5(n::text), 1 + n::int % 64)", client)
		if intact != held {
			t.Fatalf("disaster %d: of the %d rows of client %d only %d are intact", round+1, held, client, intact)
		}
		l.returned[client] = held
	}
}
