package bench

import (
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// checkedWithin is how long a check of one server may take beyond what the server
// takes to answer.
const checkedWithin = 300 * time.Millisecond

// BenchmarkCheck measures 'barman check', which starts all plugins, beside psql,
// which asks the server for about the same.
func BenchmarkCheck(b *testing.B) {
	c := pgtest.Start(b, pgtest.Options{Major: major})
	s := &site{B: b, cluster: c, scratch: pgtest.Scratch(b)}
	s.home = pgtest.NewHome(b, fmt.Sprintf(`
server "main" {
  conninfo = %q
  backup {
    source "pgbasebackup" { checkpoint = "fast" }
    transform "compress" { codec = "zstd" }
    sink "posix" {}
  }
  wal {
    source "pgreceivewal" {
      slot        = "barman"
      create_slot = "auto"
    }
    transform "compress" { codec = "lz4" }
    sink "posix" {}
  }
}
`, c.Conninfo()))
	receiver := s.home.Command("-q", "receive-wal", "main")
	if err := receiver.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := receiver.Process.Signal(syscall.SIGINT); err != nil {
			b.Error(err)
		}
		_ = receiver.Wait() // however it ended, nothing depends on it
	}()
	c.Wait("SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'barman' AND active)")
	s.home.Must("-q", "backup", "main", "--wait")
	s.runParts(b, part{"check", "Check of a server", func(s *site, r *report) {
		samples := compare(s.B, s.checking(), s.asking())
		beyond := wall(samples[0]) - wall(samples[1])
		r.printf("`barman check` of one server, all of whose six stages are started; beside `psql` over both connections, one after the other.\n\n")
		r.printf("| | s | range | CPU s |\n|---|---:|---:|---:|\n")
		for i, name := range []string{"barman check", "psql, twice"} {
			r.printf("| %s | %s | %s | %.2f |\n", name, seconds(wall(samples[i])), span(samples[i]), cpu(samples[i]))
		}
		r.printf("\nThat is **%s s** beyond the server's own answers; target ≤ %s: %s.\n\n", seconds(beyond), checkedWithin, verdict(beyond <= checkedWithin.Seconds()))
	}})
}

func (s *site) checking() contender {
	return contender{name: "barman check", run: func() sample { return run(s.B, s.home.Command("-q", "check", "main"), 0) }}
}

// asking is what the server is asked for at least: its settings over one
// connection, its identity over the other.
func (s *site) asking() contender {
	psql := pgtest.Tool(s.B, major, "psql")
	return contender{name: "psql", run: func() sample {
		settings := run(s.B, exec.Command(psql, "-XAtq", s.cluster.Conninfo(), "-c", "SELECT count(*) FROM pg_settings"), 0)
		identity := run(s.B, exec.Command(psql, "-XAtq", s.cluster.Conninfo()+" replication=true", "-c", "IDENTIFY_SYSTEM"), 0)
		return sample{wall: settings.wall + identity.wall, cpu: settings.cpu + identity.cpu}
	}}
}
