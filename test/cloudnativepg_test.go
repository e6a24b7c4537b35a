package test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
	"github.com/barman-go/barman/test/storetest"
)

// sidecar is a container as CloudNativePG runs the barman-cloud programs in:
// nothing but the programs and the server's directories, all read-only where
// nothing else is said, and Kubernetes' /dev/shm of 64 MB; a user without a name, a
// home or capabilities.
type sidecar struct {
	t      *testing.T
	server *pgtest.Cluster
	bucket *storetest.Bucket
	root   string
	uid    string
	gid    string
}

// container mounts what a sidecar sees below a directory, in a namespace of its
// own, and runs a program there. Its arguments: that directory, the directory of
// the programs, the user, then pairs of ro or rw and a directory, "--", and the
// command.
const container = `PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=$1 programs=$2 user=$3; shift 3
mount -t tmpfs -o mode=755 sidecar "$root" || exit 99
mkdir "$root/proc" "$root/dev" "$root/barman" || exit 99
mount --bind "$programs" "$root/barman" || exit 99
mount --rbind /proc "$root/proc" || exit 99
mkdir "$root/dev/shm" && mount -t tmpfs -o size=64m,mode=1777 shm "$root/dev/shm" || exit 99
for device in null zero urandom; do
	: >"$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device" || exit 99
done
while [ "$1" != -- ]; do
	mkdir -p "$root$2" && mount --bind "$2" "$root$2" && mount -o "remount,bind,$1" "$root$2" || exit 99
	shift 2
done
shift
mount -o remount,bind,ro "$root/barman" && mount -o remount,ro "$root" || exit 99
exec chroot --userspec="$user" --groups= "$root" "$@"`

func newSidecar(t *testing.T, server *pgtest.Cluster, bucket *storetest.Bucket) sidecar {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test runs programs in a container of its own: run it as root")
	}
	postgres, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	return sidecar{t: t, server: server, bucket: bucket, root: pgtest.Scratch(t), uid: postgres.Uid, gid: postgres.Gid}
}

// command is a program in the container. The directories in writable may be
// written, the server's can be read.
func (s sidecar) command(writable []string, program string, args ...string) *exec.Cmd {
	s.t.Helper()
	mounts := []string{"ro", s.server.SocketDir}
	for _, directory := range writable {
		mounts = append(mounts, "rw", directory)
	}
	words := slices.Concat(
		[]string{"--mount", "--propagation", "private", "/bin/sh", "-c", container, "sh", s.root, pgtest.EveryonesBin(s.t), s.uid + ":" + s.gid},
		mounts, []string{"--", "/barman/" + program}, args)
	cmd := exec.CommandContext(s.t.Context(), "/usr/bin/unshare", words...)
	cmd.Env = []string{"PGHOST=" + s.server.SocketDir, fmt.Sprintf("PGPORT=%d", s.server.Port), "PGUSER=postgres", "PGDATA=" + s.server.DataDir}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"} {
		cmd.Env = append(cmd.Env, name+"="+s.bucket.Var(name))
	}
	return cmd
}

// writable is a new directory that the sidecar's user may write.
func (s sidecar) writable() string {
	s.t.Helper()
	directory := filepath.Join(pgtest.Scratch(s.t), "writable")
	mkdir(s.t, directory, 0o700)
	run(s.t, "chown", s.uid+":"+s.gid, directory)
	return directory
}

// empty fails the test if anything is left in a directory.
func (s sidecar) empty(directory string) {
	s.t.Helper()
	if left, err := os.ReadDir(directory); err != nil || len(left) > 0 {
		s.t.Errorf("%s holds %v, error %v; want nothing", directory, left, err)
	}
}

// document decodes the one JSON document that a program may print.
func (s sidecar) document(stdout string, into any) {
	s.t.Helper()
	decoder := json.NewDecoder(strings.NewReader(stdout))
	if err := decoder.Decode(into); err != nil {
		s.t.Fatalf("%v in %q", err, stdout)
	}
	if _, err := decoder.Token(); err != io.EOF {
		s.t.Errorf("there is more than one document in %q", stdout)
	}
}

// backupOfCloudNativePG is what CloudNativePG's library decodes of a backup. A
// field of another type fails it.
type backupOfCloudNativePG struct {
	Label     *string `json:"backup_label"`
	BeginTime string  `json:"begin_time"`
	EndTime   string  `json:"end_time"`
	BeginISO  string  `json:"begin_time_iso"`
	EndISO    string  `json:"end_time_iso"`
	Name      *string `json:"backup_name"`
	BeginWAL  string  `json:"begin_wal"`
	EndWAL    string  `json:"end_wal"`
	BeginLSN  string  `json:"begin_xlog"`
	EndLSN    string  `json:"end_xlog"`
	SystemID  string  `json:"systemid"`
	ID        string  `json:"backup_id"`
	Error     *string `json:"error"`
	Timeline  int     `json:"timeline"`
}

func TestCloudNativePGBacksUpAndRestoresInItsContainer(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	server := pgtest.Start(t, pgtest.Options{Major: 17, HBA: []string{"local replication all reject", "host replication all all reject"}, Config: map[string]string{
		"archive_mode": "on", "archive_command": c.archiveCommand(oursCloud, "wal-archive", []string{"--gzip"}, "%p"),
	}})
	server.Exec("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
	s := newSidecar(t, server, c.bucket)
	run := func(writable []string, tmpdir, program string, args ...string) pgtest.Result {
		t.Helper()
		cmd := s.command(writable, program, args...)
		if tmpdir != "" {
			cmd.Env = append(cmd.Env, "TMPDIR="+tmpdir)
		}
		return pgtest.Run(t, cmd)
	}
	endpoint, provider := []string{"--endpoint-url", c.bucket.Endpoint}, []string{"--cloud-provider", "aws-s3"}
	place := []string{c.url(), c.server}

	name := "backup-" + time.Now().Format("20060102150405")
	scratch := s.writable()
	took := run([]string{scratch}, scratch, "barman-cloud-backup", slices.Concat(
		[]string{"--user", "postgres", "--name", name, "--gzip", "--encryption", "AES256", "--immediate-checkpoint", "--jobs", "2", "--min-chunk-size=5MB", "--tags", "a,b", "c,d"},
		endpoint, provider, place)...)
	if took.Code != 0 || took.Stdout != "" {
		t.Fatalf("barman-cloud-backup: %+v", took)
	}
	s.empty(scratch)

	shown := run(nil, "", "barman-cloud-backup-show", slices.Concat([]string{"--format", "json"}, endpoint, provider, place, []string{name})...)
	if shown.Code != 0 {
		t.Fatalf("barman-cloud-backup-show: %+v", shown)
	}
	var show map[string]backupOfCloudNativePG
	s.document(shown.Stdout, &show)
	backup, ok := show["cloud"]
	if !ok || len(show) != 1 || backup.Name == nil || *backup.Name != name || backup.SystemID == "" || backup.Timeline != 1 {
		t.Errorf("barman-cloud-backup-show: %s", shown.Stdout)
	}
	for _, at := range []string{backup.BeginISO, backup.EndISO} {
		if _, err := time.Parse(time.RFC3339, at); err != nil {
			t.Errorf("a time of the backup: %v", err)
		}
	}
	for _, at := range []string{backup.BeginTime, backup.EndTime} {
		if _, err := time.Parse(time.ANSIC, at); err != nil {
			t.Errorf("a time of the backup: %v", err)
		}
	}
	for _, key := range c.bucket.Keys(c.key("base/" + backup.ID + "/")) {
		object := c.bucket.Look(key)
		if diff := cmp.Diff(map[string]string{"a": "b", "c": "d"}, object.Tags); diff != "" || object.Encryption != "AES256" {
			t.Errorf("%s: encryption %q, tags %v", key, object.Encryption, object.Tags)
		}
	}

	deleted := run(nil, "", "barman-cloud-backup-delete", slices.Concat(endpoint, provider, []string{"--retention-policy", "RECOVERY WINDOW OF 7 DAYS"}, place)...)
	if deleted.Code != 0 {
		t.Errorf("barman-cloud-backup-delete: %+v", deleted)
	}
	listed := run(nil, "", "barman-cloud-backup-list", slices.Concat([]string{"--format", "json"}, endpoint, provider, place)...)
	var list struct {
		Backups []backupOfCloudNativePG `json:"backups_list"`
	}
	s.document(listed.Stdout, &list)
	if listed.Code != 0 || len(list.Backups) != 1 || list.Backups[0].ID != backup.ID {
		t.Errorf("barman-cloud-backup-list: %+v", listed)
	}

	server.Exec("INSERT INTO kept VALUES (1001)")
	last := server.SwitchWAL()
	server.Wait("SELECT last_archived_wal >= $1 FROM pg_stat_archiver", last)
	volume := s.writable()
	fetched := filepath.Join(volume, "barman-test")
	if r := run([]string{volume}, "", "barman-cloud-wal-restore", slices.Concat(endpoint, provider, place, []string{backup.BeginWAL, fetched})...); r.Code != 0 || !exists(fetched) {
		t.Errorf("barman-cloud-wal-restore: %+v", r)
	}
	pgdata := filepath.Join(volume, "pgdata")
	if r := run([]string{volume}, "", "barman-cloud-restore", slices.Concat(provider, endpoint, place, []string{backup.ID, pgdata})...); r.Code != 0 || r.Stdout != "" {
		t.Fatalf("barman-cloud-restore: %+v", r)
	}
	if err := os.WriteFile(filepath.Join(pgdata, "recovery.signal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	restored := pgtest.StartExisting(t, 17, pgdata, map[string]string{
		"archive_mode": "off", "restore_command": c.archiveCommand(oursCloud, "wal-restore", nil, "%f", "%p"),
	})
	restored.WaitRecovered()
	if rows := pgtest.One[int](restored, "SELECT count(*)::int FROM kept"); rows != 1001 {
		t.Errorf("%d rows were restored, want 1001", rows)
	}
}

func TestCloudNativePGArchivesSeveralFilesAtOnceInItsContainer(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	server := pgtest.Start(t, pgtest.Options{Major: 17, SegmentSizeMB: 1})
	s := newSidecar(t, server, c.bucket)
	spool := s.writable()
	options := []string{"--endpoint-url", c.bucket.Endpoint, "--cloud-provider", "aws-s3"}
	var files []string
	for _, name := range []string{"000000010000000000000001", "000000010000000000000002", "00000002.history", "000000010000000000000003.partial"} {
		files = append(files, walFile(t, server.SocketDir, name))
		run(t, "chown", s.uid, files[len(files)-1])
	}
	// together runs one process for each file, at the same time, and compares how
	// they end.
	together := func(want int, command func(file string) *exec.Cmd) {
		t.Helper()
		var all sync.WaitGroup
		for _, file := range files {
			all.Go(func() {
				if r := pgtest.Run(t, command(file)); r.Code != want || r.Stdout != "" {
					t.Errorf("%s ends with %d, want %d:\n%s%s", filepath.Base(file), r.Code, want, r.Stdout, r.Stderr)
				}
			})
		}
		all.Wait()
	}
	check := func(want int) {
		t.Helper()
		if r := pgtest.Run(t, s.command(nil, "barman-cloud-check-wal-archive", append(options, c.url(), c.server)...)); r.Code != want {
			t.Errorf("barman-cloud-check-wal-archive ends with %d, want %d: %+v", r.Code, want, r)
		}
	}
	archive := func(file string) *exec.Cmd {
		return s.command(nil, "barman-cloud-wal-archive", slices.Concat(
			[]string{"--gzip", "-e", "AES256", "--endpoint-url", c.bucket.Endpoint, "--tags", "kind,wal", "--history-tags", "kind,history", "--cloud-provider", "aws-s3", c.url(), c.server, file})...)
	}

	check(0)
	together(0, archive)
	together(0, archive) // as after a crash
	check(1)
	for _, tagged := range []struct{ key, kind string }{{"wals/0000000100000000/000000010000000000000001.gz", "wal"}, {"wals/00000002.history.gz", "history"}} {
		if object := c.bucket.Look(c.key(tagged.key)); object.Tags["kind"] != tagged.kind || object.Encryption != "AES256" {
			t.Errorf("%s: %+v", tagged.key, object)
		}
	}

	fetch := func(place []string) func(file string) *exec.Cmd {
		return func(file string) *exec.Cmd {
			name := filepath.Base(file)
			return s.command([]string{spool}, "barman-cloud-wal-restore", slices.Concat(options, place, []string{"--read-timeout=60", name, filepath.Join(spool, name+".tmp")})...)
		}
	}
	together(0, fetch([]string{c.url(), c.server}))
	for _, file := range files {
		got, err := os.ReadFile(filepath.Join(spool, filepath.Base(file)+".tmp"))
		if want, _ := os.ReadFile(file); err != nil || string(got) != string(want) {
			t.Errorf("%s: %d bytes, error %v; want the %d that were archived", filepath.Base(file), len(got), err, len(want))
		}
	}
	together(1, fetch([]string{c.url(), "unknown"}))
	// Only "not found" may end a recovery.
	together(4, fetch([]string{"s3://no-such-bucket/some/path", c.server}))

	if r := pgtest.Run(t, s.command([]string{spool}, "barman-cloud-wal-restore", append(options, c.url(), c.server, "nonsense", spool+"/x")...)); r.Code != 3 {
		t.Errorf("a name that is none of WAL: %+v", r)
	}
	if r := pgtest.Run(t, s.command([]string{spool}, "barman-cloud-wal-restore", "--endpoint-url", "http://127.0.0.1:9", "--cloud-provider", "aws-s3", c.url(), c.server, "000000010000000000000001", spool+"/x")); r.Code != 2 {
		t.Errorf("a store out of reach: %+v", r)
	}
	if r := pgtest.Run(t, s.command(nil, "barman-cloud-backup-list", append([]string{"--format", "json"}, append(options, c.url(), "unknown")...)...)); r.Code != 0 || strings.TrimSpace(r.Stdout) != `{"backups_list":[]}` {
		t.Errorf("the list of an unknown server: %+v", r)
	}
	if r := pgtest.Run(t, s.command(nil, "barman-cloud-backup-show", append([]string{"--format", "json"}, append(options, c.url(), c.server, "backup-20260101000000")...)...)); r.Code != 4 || r.Stdout != "" {
		t.Errorf("a backup of an unknown name: %+v", r)
	}
	for _, program := range []string{"backup", "backup-delete", "backup-list", "backup-show", "check-wal-archive", "restore", "wal-archive", "wal-restore"} {
		r := pgtest.Run(t, s.command(nil, "barman-cloud-"+program, "--version"))
		if r.Code != 0 || r.Stdout != "barman-cloud-"+program+" 3.17.0\n" || r.Stderr != "" {
			t.Errorf("barman-cloud-%s --version: %+v", program, r)
		}
	}
}
