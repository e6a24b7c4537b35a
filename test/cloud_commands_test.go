package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
	"github.com/barman-go/barman/test/storetest"
)

// exits runs one of our commands and compares the exit code.
func (c cloud) exits(want int, command string, options []string, rest ...string) pgtest.Result {
	c.t.Helper()
	r := c.run(oursCloud, command, options, rest...)
	if r.Code != want {
		c.t.Errorf("barman-cloud-%s %q %q ends with %d, want %d\n%s%s", command, options, rest, r.Code, want, r.Stdout, r.Stderr)
	}
	return r
}

// dayID is the ID of a backup of a day of January 2026.
func dayID(day int) string { return fmt.Sprintf("202601%02dT000000", day) }

// cloudSegment is a segment of timeline 1.
func cloudSegment(n int) string { return fmt.Sprintf("0000000100000000%08X", n) }

// stores puts a backup of a day into the bucket that needs two segments, and
// returns its objects.
func (c cloud) stores(day, begin int, change ...string) []string {
	c.t.Helper()
	info := fmt.Sprintf(`backup_label=None
backup_name=None
begin_offset=40
begin_time=2026-01-%02[1]d 00:00:00+00:00
begin_wal=%[2]s
begin_xlog=0/%[4]X000028
compression=None
config_file=/etc/postgresql.conf
copy_stats={'copy_time': 5.5, 'total_time': 6.5}
deduplicated_size=None
end_offset=80
end_time=2026-01-%02[1]d 01:00:00+00:00
end_wal=%[3]s
end_xlog=0/%[5]X000050
error=None
hba_file=/etc/pg_hba.conf
ident_file=/etc/pg_ident.conf
included_files=None
mode=None
pgdata=/srv/pg
server_name=cloud
size=None
status=DONE
systemid=7000000000000000001
tablespaces=[('fast', 16400, '/fast')]
timeline=1
version=150004
xlog_segment_size=16777216
`, day, cloudSegment(begin), cloudSegment(begin+1), begin, begin+1)
	info = strings.NewReplacer(change...).Replace(info)
	objects := []string{"16400.tar.gz", "backup.info", "data.tar.gz", "data_0001.tar.gz"}
	for i, name := range objects {
		objects[i] = "base/" + dayID(day) + "/" + name
		c.bucket.Put(c.key(objects[i]), []byte(info))
	}
	return objects
}

// archives puts segments into the bucket.
func (c cloud) archives(from, to int) []string {
	c.t.Helper()
	var objects []string
	for n := from; n <= to; n++ {
		objects = append(objects, "wals/0000000100000000/"+cloudSegment(n)+".gz")
		c.bucket.Put(c.key(objects[len(objects)-1]), []byte("x"))
	}
	return objects
}

// has checks which objects of the server there are.
func (c cloud) has(lists ...[]string) {
	c.t.Helper()
	want := slices.Sorted(slices.Values(slices.Concat(lists...)))
	if diff := cmp.Diff(want, c.keys()); diff != "" {
		c.t.Errorf("objects (-want +got):\n%s", diff)
	}
}

func TestCloudListAndShowHavePythonsLayout(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	c.stores(1, 2, "backup_name=None", "backup_name=weekly")
	c.stores(2, 4)
	c.stores(3, 6, "status=DONE", "status=FAILED", "end_time=2026-01-03 01:00:00+00:00", "end_time=None", "error=None", "error=failure uploading data (x)")
	c.exits(0, "backup-keep", []string{"--target", "standalone"}, "weekly")
	list := "Backup ID           End Time                 Begin Wal                     Archival Status  Name                \n" +
		"20260101T000000     2026-01-01 01:00:00      000000010000000000000002      KEEP:STANDALONE  weekly              \n" +
		"20260102T000000     2026-01-02 01:00:00      000000010000000000000004                                           \n"
	if diff := cmp.Diff(list, c.must(oursCloud, "backup-list", nil)); diff != "" {
		t.Errorf("backup-list (-want +got):\n%s", diff)
	}
	show := `Backup 20260101T000000:
  Backup Name            : weekly
  Server Name            : cloud
  System Id              : 7000000000000000001
  Status                 : DONE
  PostgreSQL Version     : 150004
  PGDATA directory       : /srv/pg

  Tablespaces:
    fast                 : /fast (oid: 16400)

  Base backup information:
    Timeline             : 1
    Begin WAL            : 000000010000000000000002
    End WAL              : 000000010000000000000003
    Begin time           : 2026-01-01 00:00:00+00:00
    End time             : 2026-01-01 01:00:00+00:00
    Copy time            : 5 seconds
    Begin Offset         : 40
    End Offset           : 80
    Begin LSN            : 0/2000028
    End LSN              : 0/3000050
`
	for _, reference := range []string{"weekly", "first", "oldest", dayID(1)} {
		if diff := cmp.Diff(show, c.must(oursCloud, "backup-show", nil, reference)); diff != "" {
			t.Errorf("backup-show %s (-want +got):\n%s", reference, diff)
		}
	}
	failed := decoded[map[string]map[string]any](t, c.must(oursCloud, "backup-show", []string{"--format", "json"}, "last-failed"))
	if b := failed["cloud"]; len(failed) != 1 || b["backup_id"] != dayID(3) || b["end_time"] != nil || b["systemid"] != "7000000000000000001" || b["timeline"] != 1.0 {
		t.Errorf("%v", failed)
	}
	c.exits(1, "backup-show", nil, dayID(9))
	c.exits(4, "backup-show", nil, "nobody")
	// A damaged backup.info does not hide the others.
	c.bucket.Put(c.key("base/20260104T000000/backup.info"), []byte("what is this"))
	r := c.exits(0, "backup-list", []string{"--format", "json"})
	if listed := decoded[map[string][]any](t, r.Stdout); len(listed) != 1 || len(listed["backups_list"]) != 3 || !strings.Contains(r.Stderr, dayID(4)) {
		t.Errorf("%+v", r)
	}
	r = c.of("nobody").exits(0, "backup-list", []string{"--format", "json"})
	if diff := cmp.Diff("{\"backups_list\":[]}\n", r.Stdout); diff != "" {
		t.Error(diff)
	}
}

func TestCloudCommandsRefuseWhatMustStay(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	kept, other := c.stores(1, 2), c.stores(2, 4, "status=DONE", "status=FAILED")
	wal := c.archives(1, 6)
	c.exits(0, "backup-keep", []string{"--target", "full"}, "latest")
	c.exits(1, "backup-keep", []string{"--target", "full"}, dayID(2))
	c.exits(3, "backup-keep", []string{"--status", "--release"}, "latest")
	c.exits(3, "backup-keep", []string{"--target", "some"}, "latest")
	c.exits(1, "backup-delete", []string{"--backup-id", dayID(1)})
	c.exits(1, "backup-delete", []string{"--backup-id", dayID(2), "--minimum-redundancy", "2"})
	c.exits(0, "backup-delete", []string{"--backup-id", dayID(9)})
	c.exits(3, "backup-delete", []string{"--retention-policy", "REDUNDANCY"})
	c.exits(3, "backup-delete", nil)
	c.exits(3, "backup-delete", []string{"--retention-policy", "REDUNDANCY 1", "--backup-id", dayID(1)})
	mine := []string{"base/notes.txt", "wals/0000000100000000/mine", "wals/strange"}
	for _, name := range mine {
		c.bucket.Put(c.key(name), []byte("not to be touched"))
	}
	c.of("main2").stores(1, 2)
	c.has(kept, other, wal, mine, []string{"base/20260101T000000/annotations/keep"})
	c.exits(0, "backup-delete", []string{"--backup-id", dayID(2), "--batch-size", "1"})
	c.has(kept, wal, mine, []string{"base/20260101T000000/annotations/keep"})
	c.exits(0, "backup-keep", []string{"--release"}, dayID(1))
	c.exits(0, "backup-delete", []string{"--backup-id", dayID(1)})
	c.has(wal[1:], mine)
	if left := c.of("main2").keys(); len(left) != 4 {
		t.Errorf("of another server there is %q", left)
	}
}

func TestADeletionThatIsKilledIsFinishedByTheNextOne(t *testing.T) {
	t.Parallel()
	direct := newCloud(t, storetest.S3)
	killed := true
	for request := 0; killed; request++ {
		c := direct
		var proxy *storetest.Proxy
		c.bucket, proxy = storetest.NewProxy(t, direct.bucket)
		whole := map[int][]string{1: c.stores(1, 2), 2: c.stores(2, 4)}
		wal := c.archives(1, 6)
		policy := []string{"--retention-policy", "REDUNDANCY 1"}
		cmd := oursCloud.command(c, "backup-delete", policy)
		killed = false
		proxy.Fail(storetest.Fault{Skip: request, Times: 1, Does: storetest.Then(func() {
			killed = true
			_ = cmd.Process.Kill()
		})})
		if r := pgtest.Run(t, cmd); killed != (r.Code == -1) {
			t.Fatalf("killed at request %d: %t, %+v", request, killed, r)
		}
		proxy.Heal()
		left := direct.keys()
		listed := direct.must(oursCloud, "backup-list", nil)
		for day, objects := range whole {
			for _, name := range objects {
				if strings.Contains(listed, dayID(day)) && !slices.Contains(left, name) {
					t.Errorf("killed at request %d: backup %s is listed without %s", request, dayID(day), name)
				}
			}
		}
		if direct.must(oursCloud, "backup-delete", policy); !t.Failed() {
			direct.has(whole[2], wal[3:])
		}
	}
}

func TestTwoDeletionsAtOnceDoWhatOneDoes(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	for day := 1; day <= 4; day++ {
		c.stores(day, 2*day)
	}
	c.archives(1, 10)
	together(t, 2, func(int) { c.exits(0, "backup-delete", []string{"--retention-policy", "REDUNDANCY 1"}) })
	c.has(c.stores(4, 8), c.archives(8, 10))
}

// together calls do so many times side by side.
func together(t *testing.T, n int, do func(i int)) {
	t.Helper()
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { do(i) })
	}
	group.Wait()
}

func TestWALInABucketIsNeverReplaced(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	archived := walFile(t, t.TempDir(), cloudSegment(1))
	for _, options := range [][]string{nil, nil, {"--gzip"}, {"--zstd", "--compression-level", "high"}} {
		c.exits(0, "wal-archive", options, archived)
	}
	key := "wals/0000000100000000/" + cloudSegment(1)
	c.has([]string{key})
	other := filepath.Join(t.TempDir(), cloudSegment(1))
	if err := os.WriteFile(other, []byte("other bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, options := range [][]string{nil, {"--gzip"}} {
		if r := c.exits(4, "wal-archive", options, other); !strings.Contains(r.Stderr, "other bytes") {
			t.Errorf("it says %s", r.Stderr)
		}
	}
	c.fetches(oursCloud, archived)
}

func TestAKilledArchiveCommandLeavesNothingHalf(t *testing.T) {
	t.Parallel()
	direct := newCloud(t, storetest.S3)
	archived := walFile(t, t.TempDir(), cloudSegment(1))
	for name, fault := range map[string]storetest.Fault{"before the store has it": {Method: "PUT"}, "while it lists": {Method: "GET"}} {
		c := direct.of(strings.ReplaceAll(name, " ", "-"))
		var proxy *storetest.Proxy
		c.bucket, proxy = storetest.NewProxy(t, c.bucket)
		cmd := oursCloud.command(c, "wal-archive", []string{"--gzip"}, archived)
		fault.Does = func(p *storetest.Passing) {
			_ = cmd.Process.Kill()
			storetest.Reset(p)
		}
		proxy.Fail(fault)
		if r := pgtest.Run(t, cmd); r.Code != -1 {
			t.Errorf("%s: %+v", name, r)
		}
		proxy.Heal()
		c.exits(1, "wal-restore", nil, cloudSegment(1), filepath.Join(t.TempDir(), "RECOVERYXLOG"))
		c.exits(0, "wal-archive", nil, archived)
		c.fetches(oursCloud, archived)
	}
}

func TestRestoringWALTellsNotFoundFromEverythingElse(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	archived := walFile(t, t.TempDir(), cloudSegment(1))
	c.exits(0, "wal-archive", []string{"--gzip"}, archived)
	c.exits(0, "wal-archive", nil, walFile(t, t.TempDir(), cloudSegment(2)+".partial"))
	to := filepath.Join(t.TempDir(), "RECOVERYXLOG")
	missing := c
	missing.bucket = new(storetest.Bucket)
	*missing.bucket = *c.bucket
	missing.bucket.URL = "s3://no-such-bucket"
	for name, test := range map[string]struct {
		at      cloud
		want    int
		options []string
		rest    []string
	}{
		"a segment that is not there":     {c, 1, nil, []string{cloudSegment(9), to}},
		"only an unfinished one":          {c, 1, []string{"--no-partial"}, []string{cloudSegment(2), to}},
		"another server":                  {c.of("nobody"), 1, nil, []string{cloudSegment(1), to}},
		"no bucket":                       {missing, 4, nil, []string{cloudSegment(1), to}},
		"the test of no bucket":           {missing, 1, []string{"--test"}, []string{cloudSegment(1), to}},
		"a wrong key":                     {c.with("AWS_SECRET_ACCESS_KEY=wrong"), 4, nil, []string{cloudSegment(9), to}},
		"no permission":                   {cloud{t, c.bucket.Restricted(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}]}`), "main", nil}, 4, nil, []string{cloudSegment(1), to}},
		"a directory that does not exist": {c, 4, nil, []string{cloudSegment(1), filepath.Join(to, "x")}},
	} {
		if test.at.exits(test.want, "wal-restore", test.options, test.rest...); t.Failed() {
			t.Fatal(name)
		}
	}
	var proxy *storetest.Proxy
	through := c
	through.bucket, proxy = storetest.NewProxy(t, c.bucket)
	for name, fault := range map[string]storetest.Fault{
		"a store that is overloaded for a moment": {Times: 2, Does: storetest.Answer(503, "SlowDown")},
		"an answer that is cut off":               {Method: "GET", Path: cloudSegment(1), Times: 1, Does: storetest.Cut(100)},
	} {
		proxy.Fail(fault)
		through.fetches(oursCloud, archived)
		proxy.Heal()
		if t.Failed() {
			t.Fatal(name)
		}
	}
	key := c.key("wals/0000000100000000/" + cloudSegment(1) + ".gz")
	stored := c.bucket.Read(key)
	for _, damaged := range [][]byte{stored[:len(stored)/2], {}, append(slices.Clone(stored[:len(stored)-6]), 1, 2, 3, 4, 5, 6)} {
		c.bucket.Put(key, damaged)
		c.exits(4, "wal-restore", nil, cloudSegment(1), to)
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v", left, err)
	}
}

func TestAStoreThatIsAwayIsOutOfReach(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	c.bucket.Endpoint = "http://127.0.0.1:9"
	archived := walFile(t, t.TempDir(), cloudSegment(1))
	calls := []func(){
		func() { c.exits(2, "wal-archive", nil, archived) },
		func() { c.exits(2, "wal-restore", nil, cloudSegment(1), filepath.Join(t.TempDir(), "x")) },
		func() { c.exits(2, "backup-list", []string{"--test"}) },
		func() { c.exits(2, "check-wal-archive", nil) },
	}
	together(t, len(calls), func(i int) { calls[i]() })
}

func TestRecoveryDoesNotEndWhereTheBucketCannotBeRead(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	data := t.TempDir()
	for _, name := range []string{"PG_VERSION", "recovery.signal"} {
		if err := os.WriteFile(filepath.Join(data, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// PostgreSQL runs it through a shell; who else does has a name of his own.
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	postgres := filepath.Join(pgtest.Scratch(t), "postgres")
	if err := os.WriteFile(postgres, shell, 0o755); err != nil {
		t.Fatal(err)
	}
	recovering := func(c cloud, options ...string) (postgreSQLs, others int) {
		cmd := oursCloud.command(c, "wal-restore", options, cloudSegment(1), "RECOVERYXLOG")
		cmd.Dir = data
		through := exec.Command(postgres, append([]string{"-c", `sh -c '"$0" "$@"; exit $?' "$0" "$@"; exit $?`}, cmd.Args...)...)
		through.Dir, through.Env = cmd.Dir, cmd.Env
		return pgtest.Run(t, through).Code, pgtest.Run(t, cmd).Code
	}
	for _, tc := range []struct {
		what                string
		c                   cloud
		options             []string
		postgreSQLs, others int
	}{
		{"a segment that is not there", c, nil, 1, 1},
		{"a wrong key", c.with("AWS_SECRET_ACCESS_KEY=wrong"), nil, 204, 4},
		{"a wrong option", c, []string{"--nonsense"}, 203, 3},
	} {
		if postgreSQLs, others := recovering(tc.c, tc.options...); postgreSQLs != tc.postgreSQLs || others != tc.others {
			t.Errorf("%s: PostgreSQL gets %d, want %d; another program %d, want %d", tc.what, postgreSQLs, tc.postgreSQLs, others, tc.others)
		}
	}
}

func TestTheWALArchiveOfANewClusterMayMakeTheBucket(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	c.bucket.URL += "-new"
	archived := walFile(t, t.TempDir(), "000000020000000000000001")
	c.exits(4, "wal-archive", nil, archived)
	c.exits(4, "backup-list", nil)
	if r := c.exits(0, "check-wal-archive", nil); r.Stdout != "" {
		t.Errorf("it says %q", r.Stdout)
	}
	c.exits(0, "wal-archive", nil, archived)
	c.exits(1, "check-wal-archive", nil)
	c.exits(1, "check-wal-archive", []string{"--timeline", "2"})
	c.exits(0, "check-wal-archive", []string{"--timeline", "3"})
	c.exits(3, "check-wal-archive", []string{"--timeline", "0"})
}

func TestCloudCommandsAsHooksArchiveWhatTheServerSays(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	archived := walFile(t, t.TempDir(), cloudSegment(1))
	if out, err := exec.Command("gzip", "-k", archived).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Rename(archived+".gz", archived); err != nil {
		t.Fatal(err)
	}
	hook := c.with("BARMAN_HOOK=archive_retry_script", "BARMAN_PHASE=pre", "BARMAN_FILE="+archived)
	hook.exits(0, "wal-archive", []string{"--zstd"})
	c.has([]string{"wals/0000000100000000/" + cloudSegment(1) + ".gz"})
	c.exits(3, "wal-archive", nil)
	hook.with("BARMAN_PHASE=post").exits(3, "wal-archive", nil)
	hook.with("BARMAN_HOOK=backup_script").exits(3, "wal-archive", nil)
}

func TestTagsAndNamesReachTheBucketAsTheyAre(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3).of("näme +%41&x=1?#")
	directory := t.TempDir()
	segment, history := walFile(t, directory, cloudSegment(1)), walFile(t, directory, "00000002.history")
	options := []string{"-e", "AES256", "--tags", "key1,value 1", "key2,a=b+c", "--history-tags", "what,history", "--read-timeout=60", "-vv"}
	for _, path := range []string{segment, history} {
		// As CloudNativePG does: the option behind the tags ends them.
		cmd := oursCloud.command(c, "wal-archive", nil, path)
		cmd.Args = slices.Concat(cmd.Args[:1], options, cmd.Args[1:])
		if r := pgtest.Run(t, cmd); r.Code != 0 {
			t.Fatalf("%+v", r)
		}
	}
	for key, want := range map[string]map[string]string{
		"wals/0000000100000000/" + cloudSegment(1): {"key1": "value 1", "key2": "a=b+c"}, "wals/00000002.history": {"what": "history"},
	} {
		got := c.bucket.Look(c.key(key))
		if !maps.Equal(got.Tags, want) || got.Encryption != "AES256" {
			t.Errorf("%s: %+v", key, got)
		}
	}
	c.fetches(oursCloud, segment)
	c.stores(1, 2)
	if listed := c.must(oursCloud, "backup-list", nil); !strings.Contains(listed, dayID(1)) {
		t.Errorf("%s", listed)
	}
	c.exits(0, "backup-delete", []string{"--backup-id", "latest"})
	c.exits(3, "wal-archive", []string{"--tag", "novalue"}, segment)
	c.exits(3, "wal-archive", []string{"--sse-kms-key-id", "key"}, segment)
	c.exits(3, "wal-archive", []string{"--gzip", "--xz"}, segment)
}

func TestManyCloudCommandsAtOnceDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	directory := t.TempDir()
	same := walFile(t, directory, cloudSegment(0))
	together(t, 6, func(i int) {
		c.exits(0, "wal-archive", []string{"--gzip"}, same)
		mine := walFile(t, directory, cloudSegment(i+1))
		c.exits(0, "wal-archive", []string{"--lz4"}, mine)
		c.fetches(oursCloud, mine)
	})
	c.fetches(oursCloud, same)
}

func TestSecretsOfTheBucketStayOutOfArgumentsAndLogs(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	var proxy *storetest.Proxy
	c.bucket, proxy = storetest.NewProxy(t, c.bucket)
	secret := c.bucket.Var("AWS_SECRET_ACCESS_KEY")
	var seen bytes.Buffer
	var once sync.Once
	proxy.Fail(storetest.Fault{Does: storetest.Then(func() {
		once.Do(func() {
			processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
			if err != nil {
				t.Error(err)
			}
			for _, path := range processes {
				if line, err := os.ReadFile(path); err == nil {
					seen.Write(line)
				}
			}
		})
	})})
	for _, options := range [][]string{{"-vvv"}, {"-vvv", "--gzip"}} {
		r := c.with("AWS_SESSION_TOKEN=").exits(0, "wal-archive", options, walFile(t, t.TempDir(), cloudSegment(len(options))))
		if strings.Contains(r.Stderr+r.Stdout, secret) {
			t.Errorf("it says %s", r.Stderr)
		}
	}
	if !bytes.Contains(seen.Bytes(), []byte("barman-cloud-wal-archive")) || bytes.Contains(seen.Bytes(), []byte(secret)) {
		t.Errorf("the arguments of all processes, %d bytes, hold the secret or not the command", seen.Len())
	}
	r := c.with("AWS_ACCESS_KEY_ID=nobody", "AWS_SECRET_ACCESS_KEY=not-to-be-told").exits(4, "backup-list", []string{"-vvv"})
	if strings.Contains(r.Stderr, "not-to-be-told") {
		t.Errorf("it says %s", r.Stderr)
	}
}

func TestCloudProgramsSayWhoTheyAre(t *testing.T) {
	t.Parallel()
	bin := pgtest.BarmanBin(t)
	for _, command := range []string{"backup-delete", "backup-keep", "backup-list", "backup-show", "check-wal-archive", "wal-archive", "wal-restore"} {
		for _, line := range [][]string{{"barman-cloud-" + command, "--version"}, {"barman", "cloud", command, "-V"}} {
			cmd := exec.Command(filepath.Join(bin, line[0]), line[1:]...)
			cmd.Env = []string{} // as bare as a container can be
			if r := pgtest.Run(t, cmd); r.Code != 0 || r.Stdout != "barman-cloud-"+command+" 3.17.0\n" || r.Stderr != "" {
				t.Errorf("%q: %+v", line, r)
			}
		}
	}
}

func TestABackupThatTheStoreDoesNotLetGoStaysABackup(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	objects := c.stores(1, 2)
	wal := c.archives(1, 3)
	may := c
	may.bucket = c.bucket.Restricted(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject","s3:ListBucket"],"Resource":"*"}]}`)
	may.exits(1, "backup-delete", []string{"--backup-id", dayID(1)})
	c.has(objects, wal)
	if listed := c.must(oursCloud, "backup-list", nil); !strings.Contains(listed, dayID(1)) {
		t.Errorf("it is listed no more: %s", listed)
	}
}

// decoded is a JSON document.
func decoded[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}
