//go:build linux && amd64

package chaos_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/chaos"
)

// deleting is "barman delete" of the oldest of three backups.
type deleting struct {
	place
	// meta is true for a catalogue that Barman 3.13 or later has written to.
	meta bool
	// spared is true when the last run has said that it deletes no WAL: what it
	// could not read might need it.
	spared bool
}

const (
	oldest, middle, newest = "20260101T000000", "20260102T000000", "20260103T000000"
	// before are the segments that go with the oldest backup, of all.
	before, allSegments = 5, 12
)

const deletingServer = `
server "main" {
  conninfo = "host=127.0.0.1 port=1 user=barman dbname=postgres"
}
`

const doneBackup = `begin_time=2026-01-01 00:00:00+00:00
begin_wal=%[1]s
compression=None
copy_stats={'copy_time': 1.5, 'total_time': 1.5}
end_time=2026-01-01 00:01:00+00:00
end_wal=%[2]s
mode=postgres
server_name=main
size=30
status=DONE
systemid=7300000000000000001
tablespaces=[('fast', 16400, '/srv/fast')]
timeline=1
version=150018
xlog_segment_size=16777216
`

func deletedSegment(n int) string { return fmt.Sprintf("0000000100000000%08X", n) }

// xlogDB is the index in the form of the catalogue's age.
func (d *deleting) xlogDB() (name, rest string) {
	if d.meta {
		return "wals/main-xlog.db", "\t24\t1767225600.0\tNone\tNone\n"
	}
	return "wals/xlog.db", "\t24\t1767225600.0\tNone\n"
}

// info is where a backup's backup.info is.
func (d *deleting) info(id string) string {
	if d.meta {
		return "meta/" + id + "-backup.info"
	}
	return "base/" + id + "/backup.info"
}

// files are all files of a backup, by name below the server's directory.
func (d *deleting) files(id string, first, end int) map[string]string {
	files := map[string]string{d.info(id): fmt.Sprintf(doneBackup, deletedSegment(first), deletedSegment(first+1))}
	for _, name := range []string{"data/PG_VERSION", "data/base/1/1259", "data/base/1/1260", "16400/PG_15_202209061/1/2"} {
		files["base/"+id+"/"+name] = name
	}
	for n := first; n < end; n++ {
		files["wals/0000000100000000/"+deletedSegment(n)] = deletedSegment(n)
	}
	files["wals/0000000100000000/"+deletedSegment(first)+".00000028.backup"] = deletedSegment(first)
	return files
}

// others are the files that have nothing to do with the oldest backup.
func (d *deleting) others() map[string]string {
	files := d.files(middle, before+1, 9)
	maps.Copy(files, d.files(newest, 9, allSegments+1))
	files["wals/00000002.history"] = "1\t0/5000000\tno recovery target specified"
	return files
}

func (d *deleting) prepare() error {
	d.spared = false
	if err := d.clear(deletingServer); err != nil {
		return err
	}
	all := d.files(oldest, 1, before+1)
	maps.Copy(all, d.others())
	index, rest := d.xlogDB()
	for n := range allSegments {
		all[index] += deletedSegment(n+1) + rest
	}
	for name, content := range all {
		path := d.path("home/main", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (d *deleting) command() chaos.Command { return d.barman("delete", "main", oldest) }

func (d *deleting) check(o chaos.Outcome) error {
	d.spared = d.spared || strings.Contains(o.Output, "no WAL goes with a backup")
	if err := d.has(d.others()); err != nil {
		return fmt.Errorf("of what should stay: %w", err)
	}
	if err := d.indexed(); err != nil {
		return err
	}
	info, err := os.ReadFile(d.path("home/main", d.info(oldest)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if left := d.left(); o.Code == 0 && len(left) > 0 {
			return fmt.Errorf("it says that the backup is deleted, and there is still %v", left)
		}
		return nil
	case err != nil:
		return err
	case o.Code == 0:
		return errors.New("it says that the backup is deleted, and it is still listed")
	case bytes.Contains(info, []byte("status=DONE")):
		if err := d.has(d.files(oldest, 1, before+1)); err != nil {
			return fmt.Errorf("a backup that is listed as good has lost something: %w", err)
		}
	}
	return nil
}

// has compares files with what they should be.
func (d *deleting) has(want map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		content, err := os.ReadFile(d.path("home/main", name))
		if err != nil {
			return err
		}
		if string(content) != want[name] {
			return fmt.Errorf("%s has changed: %q", name, content)
		}
	}
	return nil
}

// indexed checks that the index lists what stays, and nothing that is gone.
func (d *deleting) indexed() error {
	name, rest := d.xlogDB()
	content, err := os.ReadFile(d.path("home/main", name))
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		segment, ok := strings.CutSuffix(line, rest)
		if !ok {
			return fmt.Errorf("%s has the line %q", name, line)
		}
		if _, err := os.Stat(d.path("home/main/wals/0000000100000000", segment)); err != nil {
			return fmt.Errorf("%s lists what is gone: %w", name, err)
		}
		listed[segment] = true
	}
	for n := before + 1; n <= allSegments; n++ {
		if !listed[deletedSegment(n)] {
			return fmt.Errorf("%s does not list %s", name, deletedSegment(n))
		}
	}
	return nil
}

// left is what there is beside the files that should stay.
func (d *deleting) left() []string {
	stays := d.others()
	index, _ := d.xlogDB()
	var left []string
	root := d.path("home/main")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root+"/")
		if _, ok := stays[name]; ok || name == index || entry.IsDir() && !strings.Contains(name, oldest) || d.spared && strings.HasPrefix(name, "wals/") {
			return nil
		}
		left = append(left, name)
		return nil
	})
	if err != nil {
		d.t.Error(err)
	}
	return left
}

// next is what cron does: it finishes a deletion that has begun. One that has
// not can be repeated.
func (d *deleting) next() error {
	if err := d.run("retention", "--enforce", "main"); err != nil {
		return err
	}
	if err := d.check(chaos.Outcome{Code: 1}); err != nil {
		return fmt.Errorf("by the policy: %w", err)
	}
	if _, err := os.Stat(d.path("home/main", d.info(oldest))); err == nil {
		if err := d.has(d.files(oldest, 1, before+1)); err != nil {
			return fmt.Errorf("a deletion has begun and was not finished: %w", err)
		}
		if err := d.run("delete", "main", oldest); err != nil {
			return err
		}
	}
	if left := d.left(); len(left) > 0 {
		return fmt.Errorf("left over: %v", left)
	}
	return d.check(chaos.Outcome{Code: 1})
}

func TestChaosOfDelete(t *testing.T) {
	for name, meta := range map[string]bool{"layout of 3.4": false, "layout of 3.13": true} {
		t.Run(name, func(t *testing.T) { walk(t, &deleting{place: newPlace(t), meta: meta}) })
	}
}
