package bench

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// BenchmarkVerify measures how fast a backup is held against its manifest. The
// files are in the page cache: from a disk both are as fast as that is.
func BenchmarkVerify(b *testing.B) {
	c := pgtest.Start(b, pgtest.Options{Major: major, Config: map[string]string{"max_wal_size": "8GB", "shared_buffers": "256MB", "autovacuum": "off"}})
	c.PgbenchInit(scaleWanted(b))
	s := &site{B: b, cluster: c, scratch: pgtest.Scratch(b)}
	var parts []part
	var servers string
	for _, algorithm := range []string{"CRC32C", "SHA256"} {
		servers += fmt.Sprintf(`
server %q {
  conninfo = %q
  backup {
    layout = "plain"
    source "pgbasebackup" {
      checkpoint         = "fast"
      manifest_checksums = %q
    }
    sink "posix" {
      fsync = false
    }
  }
}
`, algorithm, c.Conninfo(), algorithm)
		parts = append(parts, part{algorithm, "Verification of a backup, checksums " + algorithm, func(s *site, r *report) {
			s.home.Must("-q", "backup", algorithm)
			r.versus("`barman verify-backup -n` of plain files that are in the page cache; beside `pg_verifybackup -n`. "+s.database(), 0.67,
				[2]string{"barman", "pg_verifybackup"}, compare(s.B, s.verifyBackup(algorithm), s.pgVerifybackup(algorithm)))
		}})
	}
	s.home = pgtest.NewHome(b, servers)
	s.runParts(b, parts...)
}

func (s *site) verifyBackup(server string) contender {
	return contender{name: "barman verify-backup", run: func() sample {
		return run(s.B, s.home.Command("-q", "verify-backup", "-n", server, "latest"), 0)
	}}
}

func (s *site) pgVerifybackup(server string) contender {
	return contender{name: "pg_verifybackup", run: func() sample {
		found, err := filepath.Glob(filepath.Join(s.base(server), "*", "data"))
		if err != nil || len(found) != 1 {
			s.Fatal(found, err)
		}
		return run(s.B, exec.Command(pgtest.Tool(s.B, major, "pg_verifybackup"), "-n", "-q", found[0]), 0)
	}}
}
