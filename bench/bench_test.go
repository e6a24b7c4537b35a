package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// scale is the pgbench scale of the cluster, unless BARMAN_BENCH_SCALE says
// otherwise: about 1.5 GB.
const scale = 100

const major = 15

// site is the cluster and the places that the contenders work in.
type site struct {
	*testing.B
	cluster    *pgtest.Cluster
	postmaster int
	home       *pgtest.Home
	scratch    string
	noop       string         // the binary of the transform that does nothing
	limit      *pgtest.Memory // within which barman runs; may be nil
}

func scaleWanted(b *testing.B) int {
	b.Helper()
	text := os.Getenv("BARMAN_BENCH_SCALE")
	if text == "" {
		return scale
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatalf("BARMAN_BENCH_SCALE=%q is no number", text)
	}
	return n
}

func newSite(b *testing.B) *site {
	c := pgtest.Start(b, pgtest.Options{Major: major, Config: map[string]string{
		"max_wal_size": "8GB", "checkpoint_timeout": "1h", "shared_buffers": "256MB", "autovacuum": "off",
	}})
	c.PgbenchInit(scaleWanted(b))
	c.Exec("CHECKPOINT")
	s := &site{B: b, cluster: c, scratch: pgtest.Scratch(b)}
	content, err := os.ReadFile(filepath.Join(c.DataDir, "postmaster.pid"))
	if err != nil {
		b.Fatal(err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	if s.postmaster, err = strconv.Atoi(first); err != nil {
		b.Fatal(err)
	}
	s.noop = filepath.Join(s.scratch, "barman-plugin-transform-noop")
	build := exec.Command("go", "build", "-o", s.noop, "github.com/barman-go/barman/test/plugins/noop")
	if output, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build the plugin that does nothing: %v\n%s", err, output)
	}
	s.home = pgtest.NewHome(b, s.servers(c))
	return s
}

// servers has one server for each pipeline that is measured.
func (s *site) servers(c *pgtest.Cluster) string {
	var hcl strings.Builder
	fmt.Fprintf(&hcl, "plugin \"transform\" \"noop\" {\n path = %q\n}\n", s.noop)
	add := func(name, transforms, layout string) {
		fmt.Fprintf(&hcl, `
server %q {
  conninfo = %q
  backup {
    layout = %q
    source "pgbasebackup" { checkpoint = "fast" }
    %s
    sink "posix" {}
  }
}
`, name, c.Conninfo(), layout, transforms)
	}
	add("plain", "", "plain")
	add("tar", "", "tar")
	add("noop", `transform "noop" {}`, "tar")
	add("zstd", "transform \"compress\" {\n codec = \"zstd\"\n level = 3\n }", "tar")
	add("lz4", `transform "compress" { codec = "lz4" }`, "tar")
	return hcl.String()
}

// place is an empty place of a name.
func (s *site) place(name string) string {
	path := filepath.Join(s.scratch, name)
	if err := os.RemoveAll(path); err != nil {
		s.Fatal(err)
	}
	return path
}

// backup is a contender that backs up a server of the configuration; the
// backups of earlier rounds are removed.
func (s *site) backup(server string, environment ...string) contender {
	return contender{name: "barman, " + server, run: func() sample {
		base := s.base(server)
		if err := os.RemoveAll(base); err != nil {
			s.Fatal(err)
		}
		cmd := s.home.Command("-q", "backup", server)
		cmd.Env = append(cmd.Environ(), environment...)
		measured := run(s.B, s.limited(cmd), s.postmaster)
		measured.stored = size(s.B, base)
		return measured
	}}
}

// limited runs a command within the site's memory limit, if it has one.
func (s *site) limited(cmd *exec.Cmd) *exec.Cmd {
	if s.limit == nil {
		return cmd
	}
	return s.limit.Wrap(cmd)
}

func (s *site) base(server string) string { return filepath.Join(s.home.Dir, server, "base") }

func (s *site) pgBasebackup() contender {
	return contender{name: "pg_basebackup", run: func() sample {
		to := s.place("pg_basebackup")
		cmd := exec.Command(pgtest.Tool(s.B, major, "pg_basebackup"), "-d", s.cluster.Conninfo(), "-D", to, "-c", "fast", "-X", "none", "--no-slot")
		measured := run(s.B, cmd, s.postmaster)
		measured.stored = size(s.B, to)
		return measured
	}}
}

// pgbackrest prepares a repository with a codec and returns a function that
// makes commands for it.
func (s *site) pgbackrest(codec string, level int) func(args ...string) *exec.Cmd {
	root := s.place("pgbackrest-" + codec)
	for _, directory := range []string{"repo", "log", "lock", "spool"} {
		if err := os.MkdirAll(filepath.Join(root, directory), 0o755); err != nil {
			s.Fatal(err)
		}
	}
	options := []string{
		"--stanza=bench", "--pg1-path=" + s.cluster.DataDir, "--pg1-port=" + strconv.Itoa(s.cluster.Port), "--pg1-socket-path=" + s.cluster.SocketDir,
		"--pg1-user=postgres", "--repo1-path=" + filepath.Join(root, "repo"), "--log-path=" + filepath.Join(root, "log"),
		"--lock-path=" + filepath.Join(root, "lock"), "--log-level-console=warn", "--log-level-file=off",
	}
	command := func(args ...string) *exec.Cmd {
		return exec.Command("pgbackrest", append(append([]string{}, options...), args...)...)
	}
	run(s.B, command("stanza-create", "--online"), 0)
	return func(args ...string) *exec.Cmd {
		extra := []string{"--process-max=2"}
		if args[0] == "backup" {
			extra = append(extra, "--compress-type="+codec, "--compress-level="+strconv.Itoa(level), "--start-fast", "--no-archive-check",
				"--type=full", "--repo1-retention-full=1", "--no-expire-auto")
		}
		return command(append(extra, args...)...)
	}
}

func (s *site) pgbackrestBackup(codec string, level int) contender {
	return contender{name: "pgbackrest, " + codec, run: func() sample {
		command := s.pgbackrest(codec, level)
		measured := run(s.B, command("backup"), s.postmaster)
		measured.stored = size(s.B, filepath.Join(s.scratch, "pgbackrest-"+codec, "repo", "backup", "bench"))
		return measured
	}}
}

// part is a piece of the benchmarks that can run alone and has a section of its
// own in the document.
type part struct {
	name, title string
	run         func(*site, *report)
}

// runParts runs parts one after the other; each writes its section.
func (s *site) runParts(b *testing.B, parts ...part) {
	for _, part := range parts {
		b.Run(part.name, func(b *testing.B) {
			inside := *s
			inside.B = b
			r := newReport(part.title)
			part.run(&inside, r)
			r.write(b)
		})
	}
}

// BenchmarkBesideTheAlternatives measures base backups and recovery.
func BenchmarkBesideTheAlternatives(b *testing.B) {
	s := newSite(b)
	s.runParts(b,
		part{"plain", "Base backup into a plain directory", func(s *site, r *report) {
			r.versus("Over the replication protocol, every file by itself, fsynced; beside `pg_basebackup -D`. "+s.database(), 1.1,
				[2]string{"barman", "pg_basebackup"}, compare(s.B, s.backup("plain"), s.pgBasebackup()))
		}},
		part{"zstd", "Base backup to zstd, level 3", func(s *site, r *report) {
			r.versus("Beside `pgbackrest backup`, process-max 2, posix repository, `zst` level 3. "+s.database(), 0.8,
				[2]string{"barman", "pgbackrest"}, compare(s.B, s.backup("zstd"), s.pgbackrestBackup("zst", 3)))
		}},
		part{"restore", "Restore of the zstd backup", func(s *site, r *report) {
			s.backup("zstd").run()
			s.pgbackrestBackup("zst", 3).run()
			r.versus("Into an empty directory, fsynced; beside `pgbackrest restore`, process-max 2. "+s.database(), 1.0,
				[2]string{"barman", "pgbackrest"}, compare(s.B, s.recover("zstd"), s.pgbackrestRestore("zst")))
		}},
		part{"lz4", "Base backup to lz4", func(s *site, r *report) {
			r.versus("Beside `pgbackrest backup`, process-max 2, posix repository, `lz4` level 1. "+s.database(), 1.0,
				[2]string{"barman", "pgbackrest"}, compare(s.B, s.backup("lz4"), s.pgbackrestBackup("lz4", 1)))
		}},
		part{"stage", "One more stage", (*site).oneMoreStage},
		part{"start", "Start", (*site).startUp},
		part{"memory", "Memory", (*site).smallMemory},
	)
}

// database tells what is backed up.
func (s *site) database() string {
	bytes := size(s.B, s.cluster.DataDir) - size(s.B, filepath.Join(s.cluster.DataDir, "pg_wal"))
	return fmt.Sprintf("A pgbench cluster of %.2f GB, in the page cache.", float64(bytes)/1e9)
}

// recover is a contender that restores a server's latest backup.
func (s *site) recover(server string) contender {
	return contender{name: "barman recover", run: func() sample {
		to := s.place("recovered")
		measured := run(s.B, s.limited(s.home.Command("-q", "recover", server, "last", to)), 0)
		measured.stored = size(s.B, to)
		return measured
	}}
}

func (s *site) pgbackrestRestore(codec string) contender {
	return contender{name: "pgbackrest restore", run: func() sample {
		to := s.place("restored")
		if err := os.MkdirAll(to, 0o700); err != nil {
			s.Fatal(err)
		}
		root := filepath.Join(s.scratch, "pgbackrest-"+codec)
		cmd := exec.Command("pgbackrest", "--stanza=bench", "--pg1-path="+to, "--repo1-path="+filepath.Join(root, "repo"), "--log-level-console=warn",
			"--log-level-file=off", "--lock-path="+filepath.Join(root, "lock"), "--process-max=2", "--type=none", "restore")
		measured := run(s.B, cmd, 0)
		measured.stored = size(s.B, to)
		return measured
	}}
}

// oneMoreStage measures a transform that only copies.
func (s *site) oneMoreStage(r *report) {
	samples := compare(s.B, s.backup("noop"), s.backup("tar"), s.backup("noop", "BARMAN_NO_RING=1"), s.backup("tar", "BARMAN_NO_RING=1"))
	gigabytes := stored(samples[1]) / 1e9
	r.printf("An uncompressed backup in tar files, with and without a transform that copies its input to its output.\n\n")
	r.printf("| | s | range | CPU s |\n|---|---:|---:|---:|\n")
	for i, name := range []string{"with it", "without", "with it, no shared memory", "without, no shared memory"} {
		r.printf("| %s | %.2f | %s | %.2f |\n", name, wall(samples[i]), span(samples[i]), cpu(samples[i]))
	}
	ratio := pairedRatio(samples[0], samples[1], wallOf)
	ring, sockets := (cpu(samples[0])-cpu(samples[1]))/gigabytes, (cpu(samples[2])-cpu(samples[3]))/gigabytes
	r.printf("\nWall time ratio **%.2f** (target ≤ 1.05: %s); **%.2f** CPU s per GB (target ≤ 0.2: %s), without the ring **%.2f** (target ≤ 0.5: %s).\n\n",
		ratio, verdict(ratio <= 1.05), ring, verdict(ring <= 0.2), sockets, verdict(sockets <= 0.5))
}

// startUp measures what a command costs before it does anything.
func (s *site) startUp(r *report) {
	listing := contender{name: "list-servers", run: func() sample { return run(s.B, s.home.Command("list-servers"), 0) }}
	lists := compare(s.B, listing)[0]
	r.printf("`barman list-servers`: **%.0f ms** (target ≤ 30 ms: %s).\n", wall(lists)*1000, verdict(wall(lists) <= 0.030))
	first := s.firstByte()
	r.printf("A pipeline of three plugins, from its start to the first byte in the sink: **%.0f ms** (target ≤ 60 ms: %s).\n\n",
		float64(first.Microseconds())/1000, verdict(first <= 60*time.Millisecond))
}
