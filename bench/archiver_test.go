package bench

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk/wal"
	"github.com/barman-go/barman/test/pgtest"
)

const (
	// waiting is how many segments wait to be archived, and manyWaiting how many
	// small files.
	waiting, manyWaiting = 1000, 200_000
	// archived is how many files a large archive has.
	archived = 100_000
	// firstWithin is how soon the first of many files must be archived.
	firstWithin = 2 * time.Second
	// rebuiltWithin is how long the index of a large archive may take.
	rebuiltWithin = 5 * time.Second
)

// copies makes so many segments of those that pgbench wrote, each with the
// position of its own name in its first page.
func (s *walSite) copies(n int) []string {
	directory := s.place("waiting")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		s.Fatal(err)
	}
	var made []string
	for i := range n {
		content, err := os.ReadFile(s.written[i%len(s.written)])
		if err != nil {
			s.Fatal(err)
		}
		size := wal.SegmentSize(len(content))
		segment := wal.Segment{Timeline: 1, Number: uint64(i + 1)}
		binary.LittleEndian.PutUint64(content[8:], uint64(segment.Start(size))) // xlp_pageaddr
		made = append(made, filepath.Join(directory, segment.Name(size)))
		if err := os.WriteFile(made[i], content, 0o600); err != nil {
			s.Fatal(err)
		}
	}
	return made
}

// archiveWAL archives files that wait, which are linked into the incoming
// directory of a server whose archive is empty.
func (s *walSite) archiveWAL(files []string) contender {
	return contender{name: "barman archive-wal", run: func() sample {
		s.begin(files)
		measured := run(s.B, s.limited(s.home.Command("-q", "archive-wal", "main")), 0)
		measured.stored = size(s.B, s.archive())
		return measured
	}}
}

// begin empties the server's directory and links files into the incoming one.
func (s *walSite) begin(files []string) {
	server := filepath.Join(s.home.Dir, "main")
	if err := os.RemoveAll(server); err != nil {
		s.Fatal(err)
	}
	s.deliver(files)
}

func (s *walSite) deliver(files []string) {
	incoming := filepath.Join(s.home.Dir, "main", "incoming")
	if err := os.MkdirAll(incoming, 0o700); err != nil {
		s.Fatal(err)
	}
	for _, file := range files {
		if err := os.Link(file, filepath.Join(incoming, filepath.Base(file))); err != nil {
			s.Fatal(err)
		}
	}
}

// zstdLoop compresses the same files with the tool, each made durable.
func (s *walSite) zstdLoop(files []string) contender {
	return contender{name: "zstd -3 -T2, sync", run: func() sample {
		to := s.place("compressed")
		if err := os.MkdirAll(to, 0o700); err != nil {
			s.Fatal(err)
		}
		loop := exec.Command("sh", "-c", `zstd -q -3 -T2 -o "$0/${1##*/}.zst" "$1" && sync "$0/${1##*/}.zst"`, to)
		measured := run(s.B, each(loop, files), 0)
		measured.stored = size(s.B, to)
		return measured
	}}
}

// smallFiles makes so many files that are archived as WAL is and are small:
// backup history files.
func (s *walSite) smallFiles(n int) []string {
	directory := s.place("small")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		s.Fatal(err)
	}
	var made []string
	for i := range n {
		name := wal.Segment{Timeline: 1, Number: uint64(i + 1)}.Name(wal.DefaultSegmentSize)
		made = append(made, filepath.Join(directory, name+".00000028.backup"))
		content := fmt.Sprintf("START WAL LOCATION: 0/28 (file %s)\nSTOP WAL LOCATION: 0/100 (file %s)\n", name, name)
		if err := os.WriteFile(made[i], []byte(content), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	return made
}

// first is how long the archiver takes until the first of all files is recorded.
func (s *walSite) first(files []string) time.Duration {
	s.begin(files)
	sync(s.B)
	cmd := s.home.Command("-q", "archive-wal", "main")
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	for {
		info, err := os.Stat(filepath.Join(s.archive(), "xlog.db"))
		if err == nil && info.Size() > 0 {
			break
		}
		if time.Since(begun) > time.Minute {
			s.Fatal("nothing was archived within a minute")
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(begun)
	if err := cmd.Process.Kill(); err != nil {
		s.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	return took
}

// many measures the archiver with a directory full of small files, with half of
// them, and with few. Each run is long enough to stand for itself.
func (s *walSite) many(r *report) {
	files := s.smallFiles(manyWaiting)
	limit := pgtest.LimitMemory(s.B, memoryLimit)
	limited := *s
	limited.site = &site{B: s.B, home: s.home, scratch: s.scratch, limit: limit}
	few := limited.archiveWAL(files[:manyWaiting/20]).run()
	resident := limit.Usage().Resident
	half := limited.archiveWAL(files[:manyWaiting/2]).run()
	all := limited.archiveWAL(files).run()
	usage := limit.Usage()
	first := s.first(files)
	linear := all.wall.Seconds() / half.wall.Seconds()
	r.printf("`barman archive-wal` with so many small files in the incoming directory, core and plugins together in a memory cgroup of %d MiB.\n\n", memoryLimit>>20)
	r.printf("| files | s | resident MB, at most |\n|---:|---:|---:|\n")
	r.printf("| %d | %s | %.0f |\n", manyWaiting/20, seconds(few.wall.Seconds()), float64(resident)/1e6)
	r.printf("| %d | %s | |\n", manyWaiting/2, seconds(half.wall.Seconds()))
	r.printf("| %d | %s | %.0f |\n\n", manyWaiting, seconds(all.wall.Seconds()), float64(usage.Resident)/1e6)
	r.printf("Twice as many take **%.2f** times as long (target ≤ 2.2: %s); memory is flat (target ≤ 1.25 times: %s). The first file of all is archived after\n"+
		"**%d ms** (target ≤ %s: %s).\n", linear, verdict(linear <= 2.2), verdict(usage.Kills == 0 && float64(usage.Resident) <= 1.25*float64(resident)),
		first.Milliseconds(), firstWithin, verdict(first <= firstWithin))
}

// large measures what is done with an archive of many files.
func (s *walSite) large(r *report) {
	s.begin(nil)
	stored := s.fillArchive(archived)
	rebuilt := compare(s.B, contender{name: "barman rebuild-xlogdb", run: func() sample {
		return run(s.B, s.home.Command("-q", "rebuild-xlogdb", "main"), 0)
	}})[0]
	r.printf("`barman rebuild-xlogdb` of an archive of %d segments: **%s s** (%s), target ≤ %s: %s.\n\n",
		len(stored), seconds(wall(rebuilt)), span(rebuilt), rebuiltWithin, verdict(wall(rebuilt) <= rebuiltWithin.Seconds()))

	one := func(server string) contender {
		next := 0
		return contender{name: "one more, " + server, run: func() sample {
			next++
			name := wal.Segment{Timeline: 1, Number: uint64(archived + next)}.Name(wal.DefaultSegmentSize)
			path := filepath.Join(s.home.Dir, server, "incoming", name+".00000028.backup")
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				s.Fatal(err)
			}
			content := fmt.Sprintf("START WAL LOCATION: 0/28 (file %s)\n", name)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				s.Fatal(err)
			}
			return run(s.B, s.home.Command("-q", "archive-wal", server), 0)
		}}
	}
	samples := compare(s.B, one("main"), one("empty"))
	r.versus("`barman archive-wal` of one more file, into that archive and into an empty one.", 1.1, [2]string{fmt.Sprintf("%d files", archived), "empty"}, samples)
}

// fillArchive stores so many files as the archiver would have.
func (s *walSite) fillArchive(n int) []string {
	content := []byte("stands for a compressed segment")
	var made []string
	for i := range n {
		name := wal.Segment{Timeline: 1, Number: uint64(i + 1)}.Name(wal.DefaultSegmentSize)
		made = append(made, filepath.Join(s.archive(), name[:16], name))
		if err := os.MkdirAll(filepath.Dir(made[i]), 0o700); err != nil {
			s.Fatal(err)
		}
		if err := os.WriteFile(made[i], content, 0o600); err != nil {
			s.Fatal(err)
		}
	}
	return made
}

// archivers are two servers that archive to zstd, level 3.
func archivers(c *pgtest.Cluster) string {
	var hcl strings.Builder
	for _, name := range []string{"main", "empty"} {
		fmt.Fprintf(&hcl, "server %q {\n  conninfo = %q\n  wal {\n    transform \"compress\" {\n      codec = \"zstd\"\n      level = 3\n    }\n    sink \"posix\" {}\n  }\n}\n", name, c.Conninfo())
	}
	return hcl.String()
}

// BenchmarkArchiver measures the archiver.
func BenchmarkArchiver(b *testing.B) {
	s := newWALSite(b)
	s.home.Configure(archivers(s.cluster))
	on := func(inside *site) *walSite { return &walSite{site: inside, written: s.written} }
	s.runParts(b,
		part{"thousand", "A thousand segments that wait", func(inside *site, r *report) {
			at := on(inside)
			files := at.copies(waiting)
			r.versus("`barman archive-wal` of a thousand 16 MB segments of pgbench's WAL to zstd, level 3, on a local disk; beside a loop of `zstd -3 -T2` and `sync` "+
				"over the same files. 90 % of its speed is a ratio of 1.11.", 1.11, [2]string{"barman", "zstd"},
				compare(inside.B, at.archiveWAL(files), at.zstdLoop(files)))
		}},
		part{"many", "Two hundred thousand files that wait", func(inside *site, r *report) { on(inside).many(r) }},
		part{"large", "An archive of a hundred thousand files", func(inside *site, r *report) { on(inside).large(r) }},
	)
}
