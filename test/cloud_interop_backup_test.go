package test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
	"github.com/barman-go/barman/test/storetest"
)

// backup takes a backup and returns its ID.
func (c cloud) backup(by cloudProgram, options ...string) string {
	c.t.Helper()
	eventually(c.t, "the second of the last backup is over", func() bool {
		return len(c.bucket.Keys(c.key("base/"+time.Now().UTC().Format("20060102T150405")))) == 0
	})
	c.must(by, "backup", append([]string{"--immediate-checkpoint"}, options...))
	ids := c.ids()
	return ids[len(ids)-1]
}

// ids are those of the server's backups, oldest first.
func (c cloud) ids() []string {
	c.t.Helper()
	var ids []string
	for _, key := range c.keys() {
		if id, ok := strings.CutSuffix(strings.TrimPrefix(key, "base/"), "/backup.info"); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// listed are the backups that a program lists, as JSON.
func (c cloud) listed(by cloudProgram) []object {
	c.t.Helper()
	var list struct {
		Backups []object `json:"backups_list"`
	}
	decode(c.t, c.must(by, "backup-list", []string{"--format", "json"}), &list)
	return list.Backups
}

// show is what a program shows of a backup as JSON.
func (c cloud) show(by cloudProgram, id string) map[string]object {
	c.t.Helper()
	var shown map[string]object
	decode(c.t, c.must(by, "backup-show", []string{"--format", "json"}, id), &shown)
	return shown
}

// restore restores a backup with its tablespace beside it.
func (c cloud) restore(by cloudProgram, id, below string) string {
	c.t.Helper()
	c.must(by, "restore", []string{"--tablespace", "fast:" + below + ".fast"}, id, below)
	return below
}

// programOnly tells what the programs do not store alike: what names a time or a
// place, PostgreSQL's own manifest, which Debian's has none of, WAL, which Debian's
// reads from the directory that it copies, and the links to tablespaces.
var programOnly = regexp.MustCompile(`^(backup_label|backup_manifest|tablespace_map|pg_wal/.+|pg_tblspc/\d+|postmaster\.(pid|opts))$`).MatchString

// withoutNewer are backups of a list without the keys that Debian's version has not.
func withoutNewer(backups []object, known []object) []object {
	var reduced []object
	for i, backup := range backups {
		if i < len(known) {
			backup = shared(backup, known[i])
		}
		reduced = append(reduced, backup)
	}
	return reduced
}

// sameCloudAnswers compares what both programs list and show of a server.
func (c cloud) sameCloudAnswers() {
	c.t.Helper()
	theirs, ours := c.listed(debiansCloud), c.listed(oursCloud)
	if len(theirs) == 0 {
		c.t.Fatal("there is nothing to compare")
	}
	if diff := cmp.Diff(theirs, withoutNewer(ours, theirs)); diff != "" {
		c.t.Errorf("backup-list of server %s in JSON by Debian's (-) and ours (+):\n%s", c.server, diff)
	}
	if diff := cmp.Diff(c.must(debiansCloud, "backup-list", nil), c.must(oursCloud, "backup-list", nil)); diff != "" {
		c.t.Errorf("backup-list of server %s by Debian's (-) and ours (+):\n%s", c.server, diff)
	}
	id := c.ids()[0]
	shown := c.show(oursCloud, id)
	for key, want := range c.show(debiansCloud, id) {
		if diff := cmp.Diff(want, shared(shown[key], want)); diff != "" {
			c.t.Errorf("backup-show of %s in JSON by Debian's (-) and ours (+):\n%s", id, diff)
		}
	}
}

func TestEachCloudProgramRestoresTheBackupsOfTheOther(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	theirs, ours := c.of("theirs"), c.of("ours")
	archive := theirs.archiveCommand(debiansCloud, "wal-archive", []string{"--gzip"}, "%p") + " && " + ours.archiveCommand(oursCloud, "wal-archive", []string{"--snappy"}, "%p")
	server := pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1, Tablespaces: []string{"fast"}, Config: map[string]string{
		"archive_mode": "on", "archive_command": archive,
	}})
	w := pgtest.StartWriter(t, server, pgtest.WriterOptions{Tablespace: "fast", Every: 50 * time.Millisecond})
	type backup struct {
		of     cloud
		by     cloudProgram
		reader cloudProgram
		codec  string
		id     string
	}
	var backups []backup
	for _, codec := range cloudCodecs {
		for _, b := range []backup{{of: theirs, by: debiansCloud, reader: oursCloud}, {of: ours, by: oursCloud, reader: debiansCloud}} {
			b.of = b.of.connected(server)
			options := codecOptions(codec.option)
			if codec.name == "gzip" {
				options = append(options, "--name", "named")
			}
			b.codec, b.id = codec.name, b.of.backup(b.by, options...)
			if data := "base/" + b.id + "/data.tar" + codec.suffix; !slices.Contains(b.of.keys(), data) {
				t.Errorf("%s has no %s but %q", b.by.name, data, b.of.keys())
			}
			backups = append(backups, b)
		}
	}
	w.WaitRows(20)
	last := w.Stop()
	server.SwitchWAL()
	server.Wait("SELECT last_archived_wal >= $1 FROM pg_stat_archiver", pgtest.One[string](server, "SELECT pg_walfile_name(pg_switch_wal())"))

	theirs.sameCloudAnswers()
	ours.sameCloudAnswers()
	if shown := theirs.show(oursCloud, "named")["cloud"]; shown["backup_id"] != backups[2].id {
		t.Errorf("backup-show by name shows %v", shown)
	}

	for _, b := range backups {
		t.Run(b.codec+" by "+b.by.name, func(t *testing.T) {
			at := pgtest.Scratch(t)
			of := b.of.in(t)
			directory := of.restore(b.reader, b.id, filepath.Join(at, "one"))
			if diff := cmp.Diff(tree(t, of.restore(b.by, b.id, filepath.Join(at, "two")), programOnly), tree(t, directory, programOnly)); diff != "" {
				t.Errorf("what Debian's and ours restore of one backup differs:\n%s", diff)
			}
			if b.codec != "none" {
				return
			}
			if err := os.WriteFile(filepath.Join(directory, "recovery.signal"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			restored := pgtest.StartExisting(t, 15, directory, map[string]string{
				"archive_mode": "off", "restore_command": of.archiveCommand(b.reader, "wal-restore", nil, "%f", "%p"),
			})
			restored.WaitRecovered()
			last.Check(t, restored)
		})
	}
}

func TestEachCloudProgramRestoresTheBackupsOfTheOtherFromAzure(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.Azure)
	server := pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1, Tablespaces: []string{"fast"}})
	for _, b := range []struct {
		server     string
		by, reader cloudProgram
	}{{"theirs", debiansCloud, oursCloud}, {"ours", oursCloud, debiansCloud}} {
		of := c.of(b.server).connected(server)
		id := of.backup(b.by, "--gzip")
		at := pgtest.Scratch(t)
		directory := of.restore(b.reader, id, filepath.Join(at, "one"))
		if diff := cmp.Diff(tree(t, of.restore(b.by, id, filepath.Join(at, "two")), programOnly), tree(t, directory, programOnly)); diff != "" {
			t.Errorf("what Debian's and ours restore of %s by %s differs:\n%s", id, b.by.name, diff)
		}
		of.sameCloudAnswers()
		// Debian's cannot: its library for Azure and Azurite do not agree about batches.
		of.must(oursCloud, "backup-delete", []string{"--backup-id", id})
		if left := of.keys(); len(left) > 0 {
			t.Errorf("a deletion leaves %q", left)
		}
	}
}

// stored are the server's objects by key, without what only ours stores and
// Debian's leaves behind.
func (c cloud) stored() map[string]string {
	c.t.Helper()
	stored := map[string]string{}
	for _, key := range c.keys() {
		if !strings.HasSuffix(key, "/barman-objects.jsonl") && !strings.HasSuffix(key, "/backup_manifest") {
			stored[key] = fmt.Sprint(len(c.bucket.Read(c.key(key))), " bytes")
		}
	}
	return stored
}

// copied is a copy of the server's objects under the name of another server.
func (c cloud) copied(server string) cloud {
	c.t.Helper()
	to := c.of(server)
	for _, key := range c.keys() {
		c.bucket.Put(to.key(key), c.bucket.Read(c.key(key)))
	}
	return to
}

// aged moves the times of a backup by some days into the past.
func (c cloud) aged(id string, days int) {
	c.t.Helper()
	key := c.key("base/" + id + "/backup.info")
	times := regexp.MustCompile(`(?m)^(begin|end)_time=(\S+ \S+)$`)
	c.bucket.Put(key, times.ReplaceAllFunc(c.bucket.Read(key), func(line []byte) []byte {
		name, value, _ := strings.Cut(string(line), "=")
		at, err := time.Parse("2006-01-02 15:04:05.999999-07:00", value)
		if err != nil {
			c.t.Fatal(err)
		}
		return []byte(name + "=" + at.AddDate(0, 0, -days).Format("2006-01-02 15:04:05.000000-07:00"))
	}))
}

// deletions calls both programs with the same arguments on copies of a place, and
// compares how they end and what they leave.
func (c cloud) deletions(what string, want int, options ...string) {
	c.t.Helper()
	theirs, ours := c.copied("theirs"), c.copied("ours")
	defer func() {
		for _, copied := range []cloud{theirs, ours} {
			for _, key := range copied.keys() {
				c.bucket.Delete(copied.key(key))
			}
		}
	}()
	for by, copied := range map[*cloudProgram]cloud{&debiansCloud: theirs, &oursCloud: ours} {
		if r := copied.run(*by, "backup-delete", options); r.Code != want {
			c.t.Errorf("%s: %s ends with %d, want %d\n%s%s", what, by.name, r.Code, want, r.Stdout, r.Stderr)
		}
	}
	if diff := cmp.Diff(theirs.stored(), ours.stored()); diff != "" {
		c.t.Errorf("%s: Debian's leaves (-) and ours (+):\n%s", what, diff)
	}
	if before := c.stored(); want == 0 && maps.Equal(before, ours.stored()) && !slices.Contains(options, "--dry-run") {
		c.t.Errorf("%s deletes nothing", what)
	}
}

func TestBothCloudProgramsDeleteAlike(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	server := pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1, Tablespaces: []string{"fast"}, Config: map[string]string{
		"archive_mode": "on", "archive_command": c.archiveCommand(oursCloud, "wal-archive", []string{"--gzip"}, "%p"),
	}})
	on := c.connected(server)
	var ids []string
	for _, by := range []cloudProgram{debiansCloud, oursCloud, debiansCloud, oursCloud} {
		ids = append(ids, on.backup(by, "--gzip"))
		server.Exec("SELECT pg_create_restore_point('between')")
		server.SwitchWAL()
	}
	server.Wait("SELECT last_archived_wal >= $1 FROM pg_stat_archiver", pgtest.One[string](server, "SELECT pg_walfile_name(pg_switch_wal())"))
	// Only the names count from here on.
	for _, key := range c.keys() {
		if strings.Contains(key, ".tar") {
			c.bucket.Put(c.key(key), []byte("x"))
		}
	}
	for i, id := range ids {
		c.aged(id, 40-10*i)
	}

	c.deletions("the oldest, by Debian's", 0, "--backup-id", ids[0])
	c.deletions("one in the middle, by ours", 0, "--backup-id", ids[1])
	c.deletions("all but two", 0, "--retention-policy", "REDUNDANCY 2")
	c.deletions("what a window does not need", 0, "--retention-policy", "RECOVERY WINDOW OF 2 WEEKS")
	c.deletions("a rehearsal", 0, "--retention-policy", "REDUNDANCY 1", "--dry-run")
	c.deletions("a policy that is none", 3, "--retention-policy", "REDUNDANCY")

	on.must(debiansCloud, "backup-keep", []string{"--target", "standalone"}, ids[0])
	on.must(oursCloud, "backup-keep", []string{"--target", "full"}, ids[1])
	for _, by := range []cloudProgram{debiansCloud, oursCloud} {
		for i, want := range []string{"Keep: standalone", "Keep: full", "Keep: nokeep"} {
			if got := strings.TrimSpace(on.must(by, "backup-keep", []string{"--status"}, ids[i])); got != want {
				t.Errorf("%s says %q of backup %d, want %q", by.name, got, i, want)
			}
		}
	}
	c.sameCloudAnswers()
	c.deletions("one that is kept", 1, "--backup-id", ids[0])
	c.deletions("all but one, with kept ones", 0, "--retention-policy", "REDUNDANCY 1")
	on.must(debiansCloud, "backup-keep", []string{"--release"}, ids[1])
	on.must(oursCloud, "backup-keep", []string{"--release"}, ids[0])
	c.deletions("all but one, released", 0, "--retention-policy", "REDUNDANCY 1")
}
