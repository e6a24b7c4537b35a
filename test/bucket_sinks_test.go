package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
	"github.com/barman-go/barman/test/storetest"
)

// s3Sink is the block of a sink in a bucket.
func s3Sink(b *storetest.Bucket, more string) string {
	return fmt.Sprintf("    sink \"s3\" {\n      url      = \"%s/some/path\"\n      endpoint = %q\n      region   = %q\n      access_key_id     = %q\n      secret_access_key = %q\n%s    }\n",
		b.URL, b.Endpoint, b.Var("AWS_REGION"), b.Var("AWS_ACCESS_KEY_ID"), b.Var("AWS_SECRET_ACCESS_KEY"), more)
}

func azureSink(b *storetest.Bucket, more string) string {
	return fmt.Sprintf("    sink \"azure\" {\n      url = \"%s/some/path\"\n      connection_string = %q\n%s    }\n", b.URL, b.Var("AZURE_STORAGE_CONNECTION_STRING"), more)
}

const posixSink = "    sink \"posix\" {}\n"

// into are the pipelines of a server that stores in these sinks.
func into(sinks ...string) string { return intoWith("", sinks...) }

// intoWith is into with settings of the backup block.
func intoWith(backup string, sinks ...string) string {
	all := strings.Join(sinks, "")
	return "  backup {\n    source \"pgbasebackup\" { checkpoint = \"fast\" }\n    transform \"compress\" { codec = \"gzip\" }\n" + backup + all + "  }\n" +
		strings.Replace(receiveLZ4, posixSink, all, 1)
}

// inBucket are the names of a server's objects in a bucket, without what they are
// named after.
func inBucket(b *storetest.Bucket) []string {
	var names []string
	for _, key := range b.Keys("some/path/main/") {
		names = append(names, strings.TrimPrefix(key, "some/path/main/"))
	}
	return names
}

// saysInBucket fails the test unless the backup.info in a bucket says this.
func saysInBucket(t *testing.T, b *storetest.Bucket, id, what string) {
	t.Helper()
	if info := string(b.Read("some/path/main/base/" + id + "/backup.info")); !strings.Contains(info, what+"\n") {
		t.Errorf("backup.info of %s in %s does not say %s:\n%s", id, b.URL, what, info)
	}
}

// walIn are the names of the WAL files in a bucket, without suffixes.
func walIn(b *storetest.Bucket) []string {
	var names []string
	for _, name := range inBucket(b) {
		if strings.HasPrefix(name, "wals/") {
			base, _, _ := strings.Cut(filepath.Base(name), ".lz4")
			names = append(names, base)
		}
	}
	slices.Sort(names)
	return names
}

// archivedHere are the names of the WAL files in the server's directory.
func (s *site) archivedHere() []string {
	s.t.Helper()
	var names []string
	for path := range files(s.t, s.path("wals")) {
		if base := filepath.Base(path); !strings.HasPrefix(base, ".") && base != "xlog.db" {
			names = append(names, base)
		}
	}
	slices.Sort(names)
	return names
}

// loseData takes a backup's data out of the server's directory.
func (s *site) loseData(id string) {
	s.t.Helper()
	if err := os.RemoveAll(s.path("base", id, "data")); err != nil {
		s.t.Fatal(err)
	}
}

func TestABackupGoesToADirectoryAndTwoBucketsInOnePass(t *testing.T) {
	t.Parallel()
	s3, azure := storetest.NewS3(t), storetest.NewAzure(t)
	s := newSite(t, pgtest.Options{Major: 17, Tablespaces: []string{"fast"}}, into(posixSink, s3Sink(s3, ""), azureSink(azure, "      required = false\n")))
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "fast"})
	s.receive()
	first := s.backup()
	id := s.backup()
	last := w.Stop()
	s.streamed(last.LSN)
	s.SwitchWAL()
	eventually(t, "the last segment is archived", func() bool {
		s.home.Must("archive-wal", "main")
		return len(ids(t, s.path("streaming"))) == 0 && len(walIn(s3)) == len(s.archivedHere())
	})
	for _, b := range []*storetest.Bucket{s3, azure} {
		saysInBucket(t, b, id, "status=DONE")
		if diff := cmp.Diff(s.archivedHere(), walIn(b)); diff != "" {
			t.Errorf("WAL in %s (-directory +bucket):\n%s", b.URL, diff)
		}
		if names := inBucket(b); !slices.Contains(names, "base/"+id+"/data.tar.gz") {
			t.Errorf("the bucket has no archive of the data directory: %q", names)
		}
	}
	for _, by := range []cloudProgram{debiansCloud, oursCloud} {
		if out := (cloud{t: t, bucket: s3, server: "main"}).must(by, "backup-list", nil); !strings.Contains(out, first) || !strings.Contains(out, id) {
			t.Errorf("%s barman-cloud-backup-list:\n%s", by.name, out)
		}
	}
	if out := s.home.Must("show-backup", "main", id); !strings.Contains(out, "azure") || strings.Contains(out, "lacks") {
		t.Errorf("show-backup does not tell that all sinks have it:\n%s", out)
	}

	s.home.Must("keep", "main", first, "--target", "standalone")
	if got := string(s3.Read("some/path/main/base/" + first + "/annotations/keep")); got != "standalone" {
		t.Errorf("the note in the bucket says %q", got)
	}
	s.home.Must("keep", "main", first, "--release")
	s.home.Must("delete", "main", first)
	for _, b := range []*storetest.Bucket{s3, azure} {
		for _, name := range inBucket(b) {
			if strings.HasPrefix(name, "base/"+first) {
				t.Errorf("%s is left of a deleted backup in %s", name, b.URL)
			}
		}
		if diff := cmp.Diff(s.archivedHere(), walIn(b)); diff != "" {
			t.Errorf("WAL in %s after a deletion (-directory +bucket):\n%s", b.URL, diff)
		}
	}

	// The directory is lost: the buckets have it.
	s.loseData(id)
	s.home.Must("verify-backup", "main", id)
	c := pgtest.StartExisting(t, s.Major, s.restore(id), nil)
	c.WaitRecovered()
	last.Check(t, c)

	// And now all of it.
	s.loseEverything()
	s.home.Must("rebuild-catalogue", "main", "--sink", "s3")
	if out := s.home.Must("sync-sink", "main", "--sink", "posix", "--from", "s3"); !strings.Contains(out, "copied from s3") {
		t.Errorf("sync-sink does not bring the data back:\n%s", out)
	}
	if diff := cmp.Diff(walIn(s3), s.archivedHere()); diff != "" {
		t.Errorf("WAL that was brought back (-bucket +directory):\n%s", diff)
	}
	s.home.Must("rebuild-xlogdb", "main")
	s.home.Must("wal-gaps", "main")
	s.home.Must("verify-backup", "main", id)
	s.wantStatuses("DONE")
}

// loseEverything removes all that this machine knows of backups and WAL.
func (s *site) loseEverything() {
	s.t.Helper()
	for _, part := range []string{"base", "wals", "sinks", ".wal-archive", "identity.json"} {
		if err := os.RemoveAll(s.path(part)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func TestAServerWithNothingButABucketIsRecoveredFromIt(t *testing.T) {
	t.Parallel()
	b := storetest.NewS3(t)
	s := newSite(t, pgtest.Options{Major: 18, Tablespaces: []string{"fast"}}, intoWith("    archive_size = \"4MiB\"\n", s3Sink(b, ""))+"  retention {\n    policy = \"REDUNDANCY 1\"\n  }\n")
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "fast"})
	s.receive()
	first := s.backup()
	id := s.backup()
	w.WaitRows(50)
	middle := w.Moment("middle")
	last := w.Stop()
	s.streamed(last.LSN)
	s.SwitchWAL()
	s.allStreamed()
	s.home.Must("archive-wal", "main")
	if names := inBucket(b); !slices.Contains(names, "base/"+id+"/data_0001.tar.gz") {
		t.Fatalf("the archive was not split: %q", names)
	}
	if left := bytesBelow(t, s.path("wals")); left > 64<<10 {
		t.Errorf("%d bytes of WAL are in the server's directory", left)
	}
	s.home.Must("check", "main")
	s.home.Must("wal-gaps", "main")
	s.home.Must("retention", "main", "--enforce")
	if names := inBucket(b); slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "base/"+first) }) {
		t.Errorf("the obsolete backup is in the bucket still: %q", names)
	}
	if out := s.home.Must("list-files", "main", id, "--target", "full"); !strings.Contains(out, "data/16") && !strings.Contains(out, "base.tar.gz") || !strings.Contains(out, "wals/") {
		t.Errorf("list-files:\n%s", out)
	}
	recovered := func(moment pgtest.Moment, args ...string) {
		t.Helper()
		c := pgtest.StartExisting(t, s.Major, s.restore(id, args...), nil)
		c.WaitRecovered()
		moment.Check(t, c)
	}
	recovered(middle, "--target-lsn", middle.LSN)
	s.home.Must("get-wal", "main", walIn(b)[0], "-o", t.TempDir())
	if r := s.home.Run("get-wal", "main", "0000000100000000000000F0"); r.Code != 1 {
		t.Errorf("get-wal of a segment that does not exist: exit code %d\n%s", r.Code, r.Stderr)
	}

	s.loseEverything()
	if out := s.home.Must("rebuild-catalogue", "main"); !strings.Contains(out, id) {
		t.Fatalf("rebuild-catalogue:\n%s", out)
	}
	s.wantStatuses("DONE")
	s.home.Must("verify-backup", "main", id)
	recovered(last)
	s.backup()
	s.home.Must("delete", "main", "latest")
	s.home.Must("delete", "main", id)
	if names := inBucket(b); slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "base/") }) {
		t.Errorf("something is left of deleted backups: %q", names)
	}
}

func TestAnOptionalBucketThatWasAwayCatchesUp(t *testing.T) {
	t.Parallel()
	real := storetest.NewS3(t)
	b, proxy := storetest.NewProxy(t, real)
	s := newSite(t, pgtest.Options{Major: 17}, into(posixSink, s3Sink(b, "      required = false\n      patience = \"300ms\"\n")))
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	s.receive()
	doomed := s.backup()
	proxy.Fail(storetest.Fault{Does: storetest.Answer(503, "ServiceUnavailable")})
	r := s.home.Run("backup", "main", "--wait")
	if r.Code != 0 || !strings.Contains(r.Stderr, "sink s3") || !strings.Contains(r.Stderr, "sync-sink") {
		t.Fatalf("backup without the bucket: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	s.wantStatuses("DONE", "DONE")
	id := s.backups()[1].ID
	s.home.Must("delete", "main", doomed)
	last := w.Stop()
	s.streamed(last.LSN)
	s.SwitchWAL()
	s.home.Must("archive-wal", "main")
	if r := s.home.Run("check", "main"); r.Code == 0 || !strings.Contains(r.Stdout, "sinks: FAILED (s3 is behind with 1 backup and WAL") {
		t.Errorf("check does not tell: exit code %d\n%s", r.Code, r.Stdout)
	}
	if out := s.home.Must("show-backup", "main", id); !strings.Contains(out, "lacks data") {
		t.Errorf("show-backup does not tell:\n%s", out)
	}
	if r := s.home.Run("sync-sink", "main"); r.Code != exitUnavailable {
		t.Errorf("sync-sink without the bucket: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}

	// It is back, and the process that makes up for it is killed in the middle.
	proxy.Heal()
	proxy.Fail(storetest.Fault{Method: "PUT", Does: storetest.Wait(500 * time.Millisecond)})
	syncing := start(t, s.home.Command("sync-sink", "main"))
	eventually(t, "something is being copied", func() bool {
		return slices.ContainsFunc(proxy.Requests(), func(r storetest.Request) bool { return r.Method == "PUT" && strings.Contains(r.Path, id) })
	})
	syncing.signal(syscall.SIGKILL)
	syncing.end()
	syncing.noOrphans()
	for _, name := range inBucket(real) {
		if name == "base/"+id+"/backup.info" {
			t.Errorf("the half of a backup is listed")
		}
	}
	proxy.Heal()
	if out := s.home.Must("cron"); !strings.Contains(out, "Starting sync-sink for server main") {
		t.Fatalf("cron does not bring the bucket up to date:\n%s", out)
	}
	eventually(t, "the bucket is up to date", func() bool {
		return slices.Contains(inBucket(real), "base/"+id+"/backup.info") && s.home.Run("check", "main").Code == 0
	})
	eventually(t, "what cron started has ended", func() bool {
		out := s.home.Must("list-processes", "main")
		return !strings.Contains(out, "archive-wal") && !strings.Contains(out, "sync-sink")
	})
	saysInBucket(t, real, id, "status=DONE")
	for _, name := range inBucket(real) {
		if strings.HasPrefix(name, "base/"+doomed) {
			t.Errorf("%s of a deleted backup is left", name)
		}
	}
	if diff := cmp.Diff(s.archivedHere(), walIn(real)); diff != "" {
		t.Errorf("WAL (-directory +bucket):\n%s", diff)
	}
	if out := s.home.Must("sync-sink", "main"); strings.Count(out, "nothing is missing") != 2 {
		t.Errorf("a second sync-sink finds something to do:\n%s", out)
	}

	// What is there with other bytes is told of, and not replaced.
	name := "some/path/main/base/" + id + "/backup_manifest"
	real.Put(name, []byte("something else"))
	if r := s.home.Run("sync-sink", "main", "--sink", "s3"); r.Code == 0 || !strings.Contains(r.Stderr, "not replaced") {
		t.Errorf("sync-sink over other bytes: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if got := string(real.Read(name)); got != "something else" {
		t.Errorf("it was replaced by %q", got)
	}
}

func TestAFailedBackupLeavesNothingUsableInABucket(t *testing.T) {
	t.Parallel()
	b := storetest.NewS3(t)
	through, proxy := storetest.NewProxy(t, b)
	slow := strings.Replace(into(s3Sink(through, "      patience = \"300ms\"\n")), `checkpoint = "fast"`, "\n      checkpoint = \"fast\"\n      max_rate   = \"4MiB\"\n    ", 1)
	s := newSite(t, pgtest.Options{Major: 15}, slow)
	s.receive()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		backup := start(t, s.home.Command("backup", "main"))
		eventually(t, "the copy has begun", func() bool {
			backup.mustRun()
			return len(backup.plugins()["sink-s3"]) == 1 && pgtest.One[bool](s.Cluster, "SELECT EXISTS (SELECT FROM pg_stat_progress_basebackup WHERE backup_streamed > 1000000)")
		})
		backup.signal(sig)
		backup.end()
		backup.noOrphans()
	}
	s.wantStatuses("FAILED", "FAILED")
	s.home.Must("sync-sink", "main", "--noted")
	for _, failed := range s.backups() {
		saysInBucket(t, b, failed.ID, "status=FAILED")
	}
	if names := inBucket(b); slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, ".tar") }) {
		t.Errorf("data of failed backups is left: %q", names)
	}
	proxy.Fail(storetest.Fault{Does: storetest.Answer(503, "ServiceUnavailable")})
	if r := s.home.Run("backup", "main"); r.Code != exitUnavailable {
		t.Errorf("backup without its only sink: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	s.SwitchWAL()
	s.allStreamed()
	if r := s.home.Run("archive-wal", "main"); r.Code != exitUnavailable {
		t.Errorf("archive-wal without its only sink: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	before := walIn(b)
	proxy.Heal()
	s.home.Must("archive-wal", "main")
	if after := walIn(b); len(after) <= len(before) {
		t.Errorf("the bucket had %q and has %q", before, after)
	}
	s.home.Must("sync-sink", "main", "--noted")
	if uploads := b.Uploads(); len(uploads) > 0 {
		t.Errorf("uploads that nobody ends: %q", uploads)
	}
}
