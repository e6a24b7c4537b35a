package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

const (
	memoryLimit = 128 << 20
	manyFiles   = 200_000
	smallFile   = 1024
)

// smallMemory measures backup and recovery within a small memory cgroup.
func (s *site) smallMemory(r *report) {
	r.printf("Backup in plain files and recovery, core and plugins together in a memory cgroup of %d MiB; *of unlimited* is the speed\n", memoryLimit>>20)
	r.printf("within the limit over that without, target ≥ 0.9. *Resident* is the most that could not be given back.\n\n")
	r.printf("| | s | unlimited s | of unlimited | resident MB | |\n|---|---:|---:|---:|---:|---|\n")
	s.within(r, s.cluster, "pgbench cluster")
	many := pgtest.Start(s.B, pgtest.Options{Major: major})
	writeManyFiles(s.B, many.DataDir)
	s.within(r, many, fmt.Sprintf("%d small files", manyFiles))
}

func (s *site) within(r *report, c *pgtest.Cluster, what string) {
	limit := pgtest.LimitMemory(s.B, memoryLimit)
	inside := *s
	inside.cluster = c
	inside.home = pgtest.NewHome(s.B, inside.servers(c))
	inside.postmaster = 0
	limited := inside
	limited.limit = limit

	backup := compare(s.B, limited.backup("plain"), inside.backup("plain"))
	usage := limit.Usage()
	s.memoryRow(r, "backup, "+what, backup, usage)
	recovery := compare(s.B, limited.recover("plain"), inside.recover("plain"))
	s.memoryRow(r, "recovery, "+what, recovery, limit.Usage())
}

func (s *site) memoryRow(r *report, what string, samples [][]sample, usage pgtest.Usage) {
	speed := 1 / pairedRatio(samples[0], samples[1], wallOf)
	r.printf("| %s | %.2f | %.2f | %.2f | %.0f | %s |\n", what, wall(samples[0]), wall(samples[1]), speed, float64(usage.Resident)/1e6,
		verdict(speed >= 0.9 && usage.Kills == 0))
}

// writeManyFiles puts small files into a data directory, which a base backup
// copies with the rest.
func writeManyFiles(b *testing.B, data string) {
	b.Helper()
	content := make([]byte, smallFile)
	for i := range manyFiles {
		directory := filepath.Join(data, "many", fmt.Sprint(i/1000))
		if i%1000 == 0 {
			if err := os.MkdirAll(directory, 0o700); err != nil {
				b.Fatal(err)
			}
		}
		copy(content, fmt.Sprint(i))
		if err := os.WriteFile(filepath.Join(directory, fmt.Sprint(i)), content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	pgtest.Own(b, data)
}
