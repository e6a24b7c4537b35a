package bench

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
	"github.com/barman-go/barman/test/storetest"
)

// cloudSite is a site beside a store that speaks TLS, which pgbackrest insists on.
type cloudSite struct {
	*site
	bucket  *storetest.Bucket
	segment string // the path of one that is full of WAL
}

// cloudPrograms are the programs of one origin.
type cloudPrograms struct{ name, directory string }

func (s *cloudSite) ours() cloudPrograms { return cloudPrograms{"barman", pgtest.BarmanBin(s.B)} }

var debians = cloudPrograms{"barman-cli-cloud", "/usr/bin"}

// emptied is the URL of a place of a name in the bucket, where nothing is left.
func (s *cloudSite) emptied(name string) string {
	s.bucket.Delete(s.bucket.Keys(name + "/")...)
	return s.bucket.URL + "/" + name
}

// stored is how many bytes a place has.
func (s *cloudSite) stored(name string) int64 {
	var bytes int64
	for _, key := range s.bucket.Keys(name + "/") {
		bytes += int64(len(s.bucket.Read(key)))
	}
	return bytes
}

// environment lets a command into the bucket and the server.
func (s *cloudSite) environment(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(os.Environ(), s.bucket.Env...)
	cmd.Env = append(cmd.Env, "PGHOST="+s.cluster.SocketDir, "PGPORT="+strconv.Itoa(s.cluster.Port), "PGUSER=postgres",
		// Options that not every command of pgbackrest has are no mistake in its environment.
		"PGBACKREST_PG1_PORT="+strconv.Itoa(s.cluster.Port), "PGBACKREST_PG1_SOCKET_PATH="+s.cluster.SocketDir, "PGBACKREST_PG1_USER=postgres",
		"PGBACKREST_REPO1_S3_KEY="+s.bucket.Var("AWS_ACCESS_KEY_ID"), "PGBACKREST_REPO1_S3_KEY_SECRET="+s.bucket.Var("AWS_SECRET_ACCESS_KEY"))
	return cmd
}

// cloud is one of the barman-cloud programs. The place and server "main" follow
// the options, then the rest.
func (s *cloudSite) cloud(by cloudPrograms, command string, options []string, place string, rest ...string) *exec.Cmd {
	args := append([]string{"--endpoint-url", s.bucket.Endpoint}, options...)
	return s.environment(exec.Command(filepath.Join(by.directory, "barman-cloud-"+command), append(append(args, place, "main"), rest...)...))
}

// pgbackrestInBucket is pgbackrest with a repository in the bucket, for a data
// directory.
func (s *cloudSite) pgbackrestInBucket(directory string, args ...string) *exec.Cmd {
	store, err := url.Parse(s.bucket.Endpoint)
	if err != nil {
		s.Fatal(err)
	}
	options := []string{
		"--stanza=bench", "--pg1-path=" + directory, "--repo1-type=s3", "--repo1-path=/pgbackrest", "--repo1-s3-bucket=" + s.bucket.Name, "--repo1-s3-endpoint=" + store.Hostname(),
		"--repo1-storage-port=" + store.Port(), "--repo1-s3-uri-style=path", "--repo1-s3-region=" + s.bucket.Var("AWS_REGION"),
		// It knows no certificate of an address.
		"--no-repo1-storage-verify-tls", "--lock-path=" + filepath.Join(s.scratch, "pgbackrest-lock"),
		"--log-level-console=warn", "--log-level-file=off",
	}
	return s.environment(exec.Command("pgbackrest", append(options, args...)...))
}

// fillSegment has transactions fill a segment with WAL, as where there is a load, and
// returns its path. Nothing archives, so nothing waits for that.
func (s *cloudSite) fillSegment() string {
	s.cluster.SwitchWAL()
	s.cluster.Exec("SELECT pg_create_restore_point('beginning of segment')")
	segment := pgtest.One[string](s.cluster, "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
	for pgtest.One[bool](s.cluster, "SELECT pg_walfile_name(pg_current_wal_insert_lsn()) = $1", segment) {
		s.cluster.Pgbench("-n", "-c", "4", "-j", "2", "-t", "1000")
	}
	return filepath.Join(s.cluster.DataDir, "pg_wal", segment)
}

// archives is a contender that archives one segment.
func (s *cloudSite) archives(by cloudPrograms, options ...string) contender {
	return contender{name: by.name, run: func() sample {
		place := s.emptied("wal")
		measured := run(s.B, s.cloud(by, "wal-archive", options, place, s.segment), 0)
		measured.stored = s.stored("wal")
		return measured
	}}
}

func (s *cloudSite) pushes() contender {
	return contender{name: "pgbackrest archive-push", run: func() sample {
		s.emptied("pgbackrest")
		run(s.B, s.pgbackrestInBucket(s.cluster.DataDir, "--no-online", "stanza-create"), 0)
		measured := run(s.B, s.pgbackrestInBucket(s.cluster.DataDir, "--compress-type=zst", "--compress-level=3", "archive-push", s.segment), 0)
		measured.stored = s.stored("pgbackrest/archive/bench")
		return measured
	}}
}

// fetches is a contender that fetches the segment that was archived last.
func (s *cloudSite) fetches(by cloudPrograms) contender {
	return contender{name: by.name, run: func() sample {
		to := s.place("fetched")
		return run(s.B, s.cloud(by, "wal-restore", nil, s.bucket.URL+"/wal", filepath.Base(s.segment), to), 0)
	}}
}

func (s *cloudSite) gets() contender {
	return contender{name: "pgbackrest archive-get", run: func() sample {
		to := s.place("fetched")
		return run(s.B, s.pgbackrestInBucket(s.cluster.DataDir, "archive-get", filepath.Base(s.segment), to), 0)
	}}
}

// backsUp is a contender that takes a backup into the bucket.
func (s *cloudSite) backsUp(by cloudPrograms, options ...string) contender {
	return contender{name: by.name, run: func() sample {
		place := s.emptied(by.name)
		measured := run(s.B, s.cloud(by, "backup", append([]string{"--immediate-checkpoint"}, options...), place), s.postmaster)
		measured.stored = s.stored(by.name)
		return measured
	}}
}

func (s *cloudSite) pgbackrestBacksUp(codec string, level int) contender {
	return contender{name: "pgbackrest, " + codec, run: func() sample {
		s.emptied("pgbackrest")
		run(s.B, s.pgbackrestInBucket(s.cluster.DataDir, "stanza-create", "--online"), 0)
		measured := run(s.B, s.pgbackrestInBucket(s.cluster.DataDir, "--process-max=2", "backup", "--compress-type="+codec, "--compress-level="+strconv.Itoa(level), "--start-fast",
			"--no-archive-check", "--type=full", "--repo1-retention-full=1", "--no-expire-auto"), s.postmaster)
		measured.stored = s.stored("pgbackrest/backup/bench")
		return measured
	}}
}

// restores is a contender that restores the backup that was taken last.
func (s *cloudSite) restores(by cloudPrograms) contender {
	return contender{name: by.name, run: func() sample {
		list := s.cloud(by, "backup-list", nil, s.bucket.URL+"/"+by.name)
		out, err := list.Output()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if err != nil || len(lines) < 2 {
			s.Fatalf("there is no backup to restore: %v\n%s", err, out)
		}
		id, _, _ := strings.Cut(lines[len(lines)-1], " ")
		to := s.place("restored")
		measured := run(s.B, s.cloud(by, "restore", nil, s.bucket.URL+"/"+by.name, id, to), 0)
		measured.stored = size(s.B, to)
		return measured
	}}
}

func (s *cloudSite) pgbackrestRestores() contender {
	return contender{name: "pgbackrest restore", run: func() sample {
		to := s.place("restored")
		if err := os.MkdirAll(to, 0o700); err != nil {
			s.Fatal(err)
		}
		measured := run(s.B, s.pgbackrestInBucket(to, "--process-max=2", "--type=none", "restore"), 0)
		measured.stored = size(s.B, to)
		return measured
	}}
}

// BenchmarkCloud measures the barman-cloud programs beside Debian's and
// pgbackrest, all of them with the same store.
func BenchmarkCloud(b *testing.B) {
	s := &cloudSite{site: newSite(b), bucket: storetest.NewSecureS3(b)}
	s.segment = s.fillSegment()
	beside, besidePgbackrest := [2]string{"barman", debians.name}, [2]string{"barman", "pgbackrest"}
	const store = "MinIO on this host, over TLS, which all of them speak to; processes and plugins started for each run."
	measure := func(name, title string, with func(at *cloudSite, r *report)) part {
		return part{name, title, func(inside *site, r *report) { with(&cloudSite{inside, s.bucket.In(inside.B), s.segment}, r) }}
	}
	s.runParts(b,
		measure("wal-archive", "One segment into a bucket", func(at *cloudSite, r *report) {
			r.versus("`barman-cloud-wal-archive` of a 16 MB segment, uncompressed. "+store, 1.0/6, beside, compare(at.B, at.archives(at.ours()), at.archives(debians)))
			r.versus("With `--gzip`.", 1.0/15, beside, compare(at.B, at.archives(at.ours(), "--gzip"), at.archives(debians, "--gzip")))
			r.versus("With `--zstd`, beside `pgbackrest archive-push`, `zst` 3.", 1.0, besidePgbackrest, compare(at.B, at.archives(at.ours(), "--zstd"), at.pushes()))
		}),
		measure("wal-restore", "One segment out of a bucket", func(at *cloudSite, r *report) {
			at.archives(at.ours(), "--gzip").run()
			r.versus("`barman-cloud-wal-restore` of a 16 MB segment, gzip. "+store, 1.0/6, beside, compare(at.B, at.fetches(at.ours()), at.fetches(debians)))
			at.archives(at.ours(), "--zstd").run()
			at.pushes().run()
			r.versus("Of zstd, beside `pgbackrest archive-get`.", 1.0, besidePgbackrest, compare(at.B, at.fetches(at.ours()), at.gets()))
		}),
		measure("backup", "Base backup into a bucket", func(at *cloudSite, r *report) {
			r.versus("`barman-cloud-backup`, uncompressed. "+at.database()+" "+store, 1.0/2, beside, compare(at.B, at.backsUp(at.ours()), at.backsUp(debians)))
			r.versus("With `--gzip`.", 1.0/10, beside, compare(at.B, at.backsUp(at.ours(), "--gzip"), at.backsUp(debians, "--gzip")))
			for _, codec := range []struct {
				option, theirs string
				level          int
			}{{"--zstd", "zst", 3}, {"--lz4", "lz4", 1}} {
				r.versus(fmt.Sprintf("With `%s`, beside `pgbackrest backup`, process-max 2, `%s` level %d.", codec.option, codec.theirs, codec.level), 1/1.2,
					besidePgbackrest, compare(at.B, at.backsUp(at.ours(), codec.option), at.pgbackrestBacksUp(codec.theirs, codec.level)))
			}
		}),
		measure("restore", "Restore out of a bucket", func(at *cloudSite, r *report) {
			at.backsUp(at.ours()).run()
			at.backsUp(debians).run()
			r.versus("`barman-cloud-restore`, uncompressed. "+at.database()+" "+store, 1.0/2, beside, compare(at.B, at.restores(at.ours()), at.restores(debians)))
			at.backsUp(at.ours(), "--gzip").run()
			at.backsUp(debians, "--gzip").run()
			r.versus("Of gzip.", 1.0/2, beside, compare(at.B, at.restores(at.ours()), at.restores(debians)))
			at.backsUp(at.ours(), "--zstd").run()
			at.pgbackrestBacksUp("zst", 3).run()
			r.versus("Of zstd, beside `pgbackrest restore`, process-max 2.", 1/1.2, besidePgbackrest, compare(at.B, at.restores(at.ours()), at.pgbackrestRestores()))
		}),
	)
}
