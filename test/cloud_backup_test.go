package test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
	"github.com/barman-go/barman/test/storetest"
)

// cloudServer is a PostgreSQL server whose WAL goes into a bucket.
func cloudServer(t *testing.T, c cloud, o pgtest.Options) *pgtest.Cluster {
	t.Helper()
	o.Major, o.SegmentSizeMB, o.Config = 15, 1, map[string]string{
		"archive_mode": "on", "archive_command": c.executable("wal-archive", []string{"--lz4"}) + " %p",
	}
	return pgtest.Start(t, o)
}

// executable is a file that runs one of our commands with the bucket's environment
// and the arguments that it gets, for PostgreSQL's settings.
func (c cloud) executable(command string, options []string) string {
	c.t.Helper()
	cmd := oursCloud.command(c, command, options)
	text := "#!/bin/sh\nexec env -i"
	for _, word := range slices.Concat(cmd.Env, cmd.Args) {
		text += " '" + strings.Replace(word, pgtest.BarmanBin(c.t), pgtest.EveryonesBin(c.t), 1) + "'"
	}
	path := filepath.Join(pgtest.Scratch(c.t), command)
	if err := os.WriteFile(path, []byte(text+" \"$@\"\n"), 0o755); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// starts starts a restored data directory, which fetches its WAL from the bucket.
func (c cloud) starts(t *testing.T, directory string) *pgtest.Cluster {
	t.Helper()
	if err := os.WriteFile(filepath.Join(directory, "recovery.signal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	restored := pgtest.StartExisting(t, 15, directory, map[string]string{
		"archive_mode": "off", "restore_command": c.executable("wal-restore", nil) + " %f %p",
	})
	restored.WaitRecovered()
	return restored
}

func TestABackupStraightIntoABucketRestoresTheRightRows(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	server := cloudServer(t, c, pgtest.Options{Tablespaces: []string{"fast"}})
	server.BarmanRoles() // barman may not use the replication protocol
	server.Exec("CREATE TABLE padding AS SELECT i, repeat('x', 500) FROM generate_series(1, 30000) i")
	standbyData := filepath.Join(pgtest.Scratch(t), "standby")
	if out, err := exec.CommandContext(t.Context(), pgtest.Tool(t, 15, "pg_basebackup"), "-d", server.ReplicationConninfo("postgres"), "-D", standbyData, "-c", "fast", "-R",
		"-T", server.Tablespaces["fast"]+"="+standbyData+".fast").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	standby := pgtest.StartExisting(t, 15, standbyData, map[string]string{"archive_mode": "off"})
	w := pgtest.StartWriter(t, server, pgtest.WriterOptions{Tablespace: "fast"})
	standby.Wait("SELECT to_regclass('written') IS NOT NULL")

	type taken struct {
		way, id string
	}
	var backups []taken
	for _, b := range []struct {
		way     string
		server  *pgtest.Cluster
		user    string
		options []string
		says    string
	}{
		{"primary", server, "postgres", []string{"-v", "--zstd", "-S", "4MB"}, "over the replication protocol"},
		{"data directory", server, "barman", []string{"-v", "--lz4", "-S", "4MB", "-J", "3"}, "data directory is read on this host"},
		{"standby", standby, "postgres", []string{"-v", "--xz"}, "over the replication protocol"},
		{"data directory of a standby", standby, "barman", []string{"-v", "--snappy", "-S", "1MB"}, "data directory is read on this host"},
	} {
		scratch := t.TempDir()
		of := c.connected(b.server).with("PGUSER="+b.user, "PGPASSWORD=barman", "TMPDIR="+scratch, "BARMAN_RUN_DIR="+t.TempDir())
		r := of.run(oursCloud, "backup", append([]string{"--immediate-checkpoint", "--name", "by " + b.way}, b.options...))
		if r.Code != 0 || r.Stdout != "" || !strings.Contains(r.Stderr, b.says) {
			t.Fatalf("%s: exit code %d, %q\n%s", b.way, r.Code, r.Stdout, r.Stderr)
		}
		if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
			t.Errorf("%s: TMPDIR holds %v (%v)", b.way, left, err)
		}
		ids := c.ids()
		backups = append(backups, taken{b.way, ids[len(ids)-1]})
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // Python's IDs are those of a second
	}
	w.WaitRows(20)
	last := w.Stop()
	server.Wait("SELECT last_archived_wal >= $1 FROM pg_stat_archiver", server.SwitchWAL())

	for _, b := range backups {
		t.Run(b.way, func(t *testing.T) {
			of := c.in(t)
			if split := len(c.bucket.Keys(c.key("base/"+b.id+"/data_"))) > 0; split != (b.way != "standby") {
				t.Errorf("split: %v: %q", split, c.keys())
			}
			directory := of.restore(oursCloud, "by "+b.way, filepath.Join(pgtest.Scratch(t), "data"))
			if out, err := exec.CommandContext(t.Context(), pgtest.Tool(t, 15, "pg_verifybackup"), "--no-parse-wal", directory).CombinedOutput(); err != nil {
				t.Errorf("pg_verifybackup: %v\n%s", err, out)
			}
			last.Check(t, of.starts(t, directory))
		})
	}
	t.Run("the newest one that ended by a moment is found", func(t *testing.T) {
		of := c.in(t)
		directory := filepath.Join(pgtest.Scratch(t), "data")
		of.must(oursCloud, "restore", []string{"--target-lsn", fmt.Sprint(of.show(oursCloud, backups[1].id)["cloud"]["end_xlog"]), "--tablespace", "fast:" + directory + ".fast"}, "auto", directory)
		label, err := os.ReadFile(filepath.Join(directory, "backup_label"))
		if err != nil || !bytes.Contains(label, []byte(backups[1].id)) {
			t.Errorf("%s (%v), not backup %s", label, err, backups[1].id)
		}
		if r := of.run(oursCloud, "restore", []string{"--target-time", "2020-01-01 00:00:00"}, "auto", directory+"2"); r.Code != 1 {
			t.Errorf("a moment before all backups: exit code %d\n%s", r.Code, r.Stderr)
		}
	})
}

func TestTwoBackupsThatBeginAtOnceAreTwoBackups(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	of := c.connected(pgtest.Start(t, pgtest.Options{Major: 15}))
	var group sync.WaitGroup
	var results [3]pgtest.Result
	for i := range results {
		group.Go(func() { results[i] = of.run(oursCloud, "backup", []string{"--immediate-checkpoint"}) })
	}
	group.Wait()
	for _, r := range results {
		if r.Code != 0 {
			t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
		}
	}
	if ids := c.ids(); len(ids) != len(results) {
		t.Errorf("backups: %q", ids)
	}
}

// failed checks that the only backup is FAILED, without an end and without data.
func (c cloud) failed(reason string) {
	c.t.Helper()
	for _, b := range c.listed(oursCloud) {
		if b["status"] != "FAILED" || b["end_time"] != nil || !strings.Contains(fmt.Sprint(b["error"]), "failure uploading data (") || !strings.Contains(fmt.Sprint(b["error"]), reason) {
			c.t.Errorf("%v", b)
		}
	}
	for _, key := range c.keys() {
		if !strings.HasSuffix(key, "/backup.info") {
			c.t.Errorf("%s is left", key)
		}
	}
}

func TestABackupSurvivesAStoreThatIsAwayAndSaysWhyItFailed(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	server := pgtest.Start(t, pgtest.Options{Major: 15})
	through, proxy := storetest.NewProxy(t, c.bucket)
	of := c.connected(server)
	of.bucket = through

	proxy.Fail(storetest.Fault{Method: "PUT", Path: "data", For: 2 * time.Second, Does: storetest.Reset})
	of.must(oursCloud, "backup", []string{"--immediate-checkpoint", "--gzip"})
	if len(c.ids()) != 1 {
		t.Fatalf("%q", c.keys())
	}
	c.bucket.Delete(c.bucket.Keys("")...)

	proxy.Heal()
	proxy.Fail(storetest.Fault{Method: "PUT", Path: "data.tar", Does: storetest.Answer(403, "AccessDenied")})
	if r := of.run(oursCloud, "backup", []string{"--immediate-checkpoint"}); r.Code != 1 || !strings.Contains(r.Stderr, "AccessDenied") {
		t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
	}
	c.failed("AccessDenied")
	if r := c.run(oursCloud, "restore", nil, c.ids()[0], filepath.Join(t.TempDir(), "x")); r.Code != 1 {
		t.Errorf("a failed backup is restored with exit code %d\n%s", r.Code, r.Stderr)
	}
	c.must(oursCloud, "backup-delete", []string{"--backup-id", c.ids()[0]})
	if keys := c.keys(); len(keys) > 0 {
		t.Errorf("%q are left", keys)
	}
}

func TestAKilledBackupIsNoBackupAndTheNextOneWorks(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	through, proxy := storetest.NewProxy(t, c.bucket)
	server := pgtest.Start(t, pgtest.Options{Major: 15})
	for _, at := range []storetest.Fault{
		{Method: "PUT", Path: "data_0001.tar", Times: 1}, {Method: "PUT", Path: "backup_manifest", Times: 1}, {Method: "PUT", Path: "backup.info", Times: 1},
	} {
		of := c.connected(server)
		of.bucket = through
		cmd := oursCloud.command(of, "backup", []string{"--immediate-checkpoint", "-S", "4MB"})
		at.Does = func(p *storetest.Passing) {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			storetest.Reset(p)
		}
		proxy.Fail(at)
		if r := pgtest.Run(t, cmd); r.Code != -1 {
			t.Fatalf("%s: exit code %d\n%s", at.Path, r.Code, r.Stderr)
		}
		proxy.Heal()
		if list := c.listed(oursCloud); len(list) > 0 {
			t.Errorf("killed at %s: %v is listed", at.Path, list)
		}
		server.Wait("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'barman_cloud_backup'")
	}
	of := c.connected(server)
	id := of.backup(oursCloud)
	c.must(oursCloud, "restore", nil, id, filepath.Join(t.TempDir(), "data"))
}

func TestAnInterruptedRestoreStartsNoServerAndBeginsAnew(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	through, proxy := storetest.NewProxy(t, c.bucket)
	server := cloudServer(t, c, pgtest.Options{Tablespaces: []string{"fast"}})
	w := pgtest.StartWriter(t, server, pgtest.WriterOptions{Tablespace: "fast"})
	w.WaitRows(50)
	id := c.connected(server).backup(oursCloud, "--zstd", "-S", "4MB")
	w.WaitRows(20)
	last := w.Stop()
	server.Wait("SELECT last_archived_wal >= $1 FROM pg_stat_archiver", server.SwitchWAL())

	directory := filepath.Join(pgtest.Scratch(t), "data")
	of := c
	of.bucket = through
	cmd := oursCloud.command(of, "restore", []string{"--tablespace", "fast:" + directory + ".fast"}, id, directory)
	proxy.Fail(storetest.Fault{Method: "GET", Path: "data_0002.tar", Times: 1, Does: func(p *storetest.Passing) {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		storetest.Reset(p)
	}})
	if r := pgtest.Run(t, cmd); r.Code != -1 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}
	proxy.Heal()
	if content, err := os.ReadFile(filepath.Join(directory, "postmaster.pid")); err != nil || !strings.Contains(string(content), "not complete") {
		t.Errorf("a server can be started from a half-restored directory: %q, %v", content, err)
	}

	// A damaged object is noticed, and leaves the guard, too.
	name := c.key("base/" + id + "/data_0001.tar.zst")
	whole := c.bucket.Read(name)
	damaged := slices.Clone(whole)
	damaged[len(damaged)/2] ^= 1
	c.bucket.Put(name, damaged)
	if r := c.run(oursCloud, "restore", []string{"--tablespace", "fast:" + directory + ".fast"}, id, directory); r.Code != 1 {
		t.Errorf("a damaged object: exit code %d\n%s", r.Code, r.Stderr)
	}
	c.bucket.Delete(name)
	if r := c.run(oursCloud, "restore", []string{"--tablespace", "fast:" + directory + ".fast"}, id, directory); r.Code != 1 || !strings.Contains(r.Stderr, "base_0001.tar") {
		t.Errorf("a missing object: exit code %d\n%s", r.Code, r.Stderr)
	}
	if _, err := os.Stat(filepath.Join(directory, "postmaster.pid")); err != nil {
		t.Error(err)
	}
	c.bucket.Put(name, whole)

	last.Check(t, c.starts(t, c.restore(oursCloud, id, directory)))
	if r := c.run(oursCloud, "restore", nil, id, directory); r.Code != 1 || !strings.Contains(r.Stderr, "not empty") {
		t.Errorf("onto a server: exit code %d\n%s", r.Code, r.Stderr)
	}
	small := pgtest.Tmpfs(t, 4*mebibyte)
	if r := c.run(oursCloud, "restore", []string{"--tablespace", "fast:" + small + "/fast"}, id, filepath.Join(small, "data")); r.Code != 1 || !strings.Contains(r.Stderr, diskFull) {
		t.Errorf("onto a full disk: exit code %d\n%s", r.Code, r.Stderr)
	}
}

// pythonsArchive is an archive as Barman in Python may make it: with extended
// headers, and directories that come after what is in them.
func pythonsArchive(t *testing.T, members ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		content := []byte(strings.Repeat("x", int(m.Size)))
		m.Format, m.Mode = tar.FormatPAX, 0o700
		m.PAXRecords = map[string]string{"mtime": "1767323045.123456"}
		if err := w.WriteHeader(&m); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const pythonsInfo = `begin_wal=000000010000000000000002
begin_time=2026-01-02 03:04:05.000000+00:00
begin_xlog=0/2000028
end_wal=000000010000000000000002
end_time=2026-01-02 03:04:06.000000+00:00
end_xlog=0/2000100
server_name=cloud
status=DONE
systemid=7000000000000000001
timeline=1
version=150004
xlog_segment_size=16777216
tablespaces=[('far', 16400, '/nonexistent/far')]
`

func TestArchivesInAnyOrderAreRestoredAndHostileOnesAreNot(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	const id = "20260102T030405"
	put := func(name string, content []byte) { c.bucket.Put(c.key("base/"+id+"/"+name), content) }
	put("backup.info", []byte(pythonsInfo))
	put("data.tar", pythonsArchive(t,
		tar.Header{Name: "base/5/1259", Typeflag: tar.TypeReg, Size: 9000}, tar.Header{Name: "base/5/", Typeflag: tar.TypeDir}, tar.Header{Name: "./", Typeflag: tar.TypeDir},
		tar.Header{Name: "./PG_VERSION", Typeflag: tar.TypeReg, Size: 3}, tar.Header{Name: strings.Repeat("long/", 40) + "name", Typeflag: tar.TypeReg, Size: 1},
		tar.Header{Name: "tablespace_map", Typeflag: tar.TypeReg, Size: 10}))
	put("data_0001.tar", pythonsArchive(t, tar.Header{Name: "base/5/1260", Typeflag: tar.TypeReg, Size: 1}, tar.Header{Name: "base/", Typeflag: tar.TypeDir},
		tar.Header{Name: "global/pg_control", Typeflag: tar.TypeReg, Size: 8192}))
	put("16400.tar", pythonsArchive(t, tar.Header{Name: "PG_15_202209061/5/1", Typeflag: tar.TypeReg, Size: 2}))
	put("data.tar.gpg", []byte("somebody else's"))

	at := t.TempDir()
	moved := []string{"--tablespace", "far:" + at + "/far"}
	c.must(oursCloud, "restore", moved, id, filepath.Join(at, "data"))
	for name, size := range map[string]int64{"data/base/5/1259": 9000, "data/base/5/1260": 1, "data/global/pg_control": 8192, "far/PG_15_202209061/5/1": 2, "data/pg_tblspc/16400/PG_15_202209061/5/1": 2} {
		if info, err := os.Stat(filepath.Join(at, name)); err != nil || info.Size() != size {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, there := range map[string]bool{"data/pg_wal": true, "data/tablespace_map": false, "data/postmaster.pid": false, "data/backup.info": false} {
		if _, err := os.Lstat(filepath.Join(at, name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}

	for what, hostile := range map[string]tar.Header{
		"a name above":        {Name: "../outside", Typeflag: tar.TypeReg, Size: 1},
		"an absolute name":    {Name: "/tmp/outside", Typeflag: tar.TypeReg, Size: 1},
		"a link":              {Name: "base/6", Typeflag: tar.TypeSymlink, Linkname: "/etc"},
		"a file over another": {Name: "PG_VERSION", Typeflag: tar.TypeReg, Size: 1},
	} {
		put("data_0001.tar", pythonsArchive(t, hostile))
		below := t.TempDir()
		r := c.run(oursCloud, "restore", []string{"--tablespace", "far:" + below + "/in/far"}, id, filepath.Join(below, "in/data"))
		if r.Code != 1 {
			t.Errorf("%s: exit code %d\n%s", what, r.Code, r.Stderr)
		}
		if found, err := os.ReadDir(below); err != nil || len(found) != 1 {
			t.Errorf("%s: %v, %v", what, found, err)
		}
	}
}

func TestMistakesOfUsageAreToldApart(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	nobody := c.with("PGHOST=/nonexistent", "PGUSER=postgres")
	for _, m := range []struct {
		command string
		options []string
		rest    []string
		code    int
		says    string
	}{
		{"backup", []string{"--snapshot-instance", "vm", "--snapshot-disk", "disk"}, nil, 3, "snapshots of volumes are not supported"},
		{"backup", []string{"--gzip", "--lz4"}, nil, 3, "choose one compression"},
		{"backup", []string{"--name", "latest"}, nil, 3, "reserved"},
		{"backup", []string{"-J", "0"}, nil, 3, "--jobs"},
		{"backup", []string{"--tag", "k"}, nil, 3, "KEY,VALUE"},
		{"backup", nil, []string{"more"}, 3, "takes DESTINATION_URL SERVER_NAME"},
		{"backup", nil, nil, 2, "/nonexistent"},
		{"restore", []string{"--target-time", "2026-01-01", "--target-lsn", "0/1"}, []string{"auto", "/tmp/x"}, 3, "exclude each other"},
		{"restore", []string{"--target-tli", "current"}, []string{"auto", "/tmp/x"}, 3, "current"},
		{"restore", nil, []string{"auto", "/tmp/x"}, 3, "needs a target"},
		{"restore", []string{"--tablespace", "x"}, []string{"latest", "/tmp/x"}, 3, "NAME:LOCATION"},
		{"restore", nil, []string{"20260102T030405", "/tmp/x"}, 1, "20260102T030405"},
	} {
		r := nobody.run(oursCloud, m.command, m.options, m.rest...)
		if r.Code != m.code || !strings.Contains(r.Stderr, m.says) {
			t.Errorf("%s %q %q: exit code %d, expected %d with %q\n%s", m.command, m.options, m.rest, r.Code, m.code, m.says, r.Stderr)
		}
	}
}

func TestABackupOfABarmanServerIsCopiedByItsHook(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	s := newSite(t, pgtest.Options{Major: 15, Tablespaces: []string{"fast"}}, plainFiles)
	s.Exec("CREATE TABLE there TABLESPACE fast AS SELECT i FROM generate_series(1, 1000) i")
	s.home.Must("backup", "main")
	found, err := filepath.Glob(filepath.Join(s.home.Dir, "main", "base", "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q, %v", found, err)
	}
	directory, id := found[0], filepath.Base(found[0])
	hook := func(status string, more ...string) cloud {
		return c.with(append([]string{
			"BARMAN_HOOK=backup_retry_script", "BARMAN_PHASE=post", "BARMAN_STATUS=" + status, "BARMAN_BACKUP_ID=" + id,
			"BARMAN_BACKUP_DIR=" + directory, "BARMAN_BACKUP_INFO_PATH=" + filepath.Join(directory, "backup.info"),
		}, more...)...)
	}
	for _, refused := range []struct {
		of   cloud
		code int
	}{{hook("WAITING_FOR_WALS"), 63}, {hook("DONE", "BARMAN_PHASE=pre"), 4}, {hook("DONE", "BARMAN_HOOK=archive_script"), 4}, {hook("DONE", "BARMAN_BACKUP_DIR="), 3}} {
		if r := refused.of.run(oursCloud, "backup", nil); r.Code != refused.code {
			t.Errorf("exit code %d, expected %d\n%s", r.Code, refused.code, r.Stderr)
		}
	}
	c.bucket.Put(c.key("base/"+id+"/data.tar.gz"), []byte("an upload that failed"))
	for range 2 { // the second one finds it there
		hook("DONE").must(oursCloud, "backup", []string{"--gzip", "-S", "4MB"})
	}
	want, err := os.ReadFile(filepath.Join(directory, "backup.info"))
	if err != nil || !bytes.Equal(want, c.bucket.Read(c.key("base/"+id+"/backup.info"))) {
		t.Errorf("backup.info differs (%v)", err)
	}
	restored := c.restore(oursCloud, id, filepath.Join(pgtest.Scratch(t), "data"))
	if out, err := exec.CommandContext(t.Context(), pgtest.Tool(t, 15, "pg_verifybackup"), "--no-parse-wal", restored).CombinedOutput(); err != nil {
		t.Errorf("pg_verifybackup: %v\n%s", err, out)
	}
}
