package test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// left is what is below the server's directory: by relative path, the content of
// what tells about backups and WAL, and the size of other files. What only our
// barman knows is left out.
func (c catalogue) left() map[string]string {
	c.t.Helper()
	left := map[string]string{}
	err := filepath.WalkDir(c.path(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "barman-objects.jsonl" || entry.Name() == ".wal-archive" {
			return err
		}
		relative, err := filepath.Rel(c.path(), path)
		if err != nil {
			return err
		}
		switch entry.Name() {
		case "backup.info", "keep", "xlog.db", "identity.json":
			content, err := os.ReadFile(path)
			left[relative] = string(content)
			return err
		}
		info, err := entry.Info()
		if err == nil {
			left[relative] = fmt.Sprint(info.Size(), " bytes")
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, id := range c.ids() {
		left["base/"+id+"/"] = ""
	}
	return left
}

// twins are two copies of a catalogue, one for each program to change.
type twins struct {
	t            *testing.T
	theirs, ours made
}

func newTwins(t *testing.T, m made) twins {
	t.Helper()
	return twins{t: t, theirs: m.copied(t), ours: m.copied(t)}
}

// each runs a command, which must succeed or fail with both programs. The options
// are those of catalogue.with.
func (w twins) each(succeeds bool, options []string, args ...string) {
	w.t.Helper()
	for _, is := range []struct {
		name string
		by   program
		on   made
	}{{"Debian's", catalogue.debians, w.theirs}, {"our", catalogue.ours, w.ours}} {
		if r := is.by(is.on.with(options...), args...); (r.Code == 0) != succeeds {
			w.t.Errorf("%s barman %v: %+v", is.name, args, r)
		}
	}
}

// both is each, and compares what is left afterwards.
func (w twins) both(succeeds bool, options []string, args ...string) {
	w.t.Helper()
	w.each(succeeds, options, args...)
	if diff := cmp.Diff(w.theirs.left(), w.ours.left()); diff != "" {
		w.t.Fatalf("after %v, left by Debian's barman (-) and ours (+):\n%s", args, diff)
	}
}

// sameDeletions compares what deletions leave and what they refuse.
func sameDeletions(t *testing.T, m made) {
	w := newTwins(t, m)
	deletes := func(id string) {
		t.Helper()
		before := len(w.ours.ids())
		w.both(true, nil, "delete", "main", id)
		if after := len(w.ours.ids()); after != before-1 {
			t.Errorf("%d backups, and %d after a deletion", before, after)
		}
	}
	keeps := func(id string, options ...string) {
		t.Helper()
		before := len(w.ours.ids())
		w.both(false, options, "delete", "main", id)
		if after := len(w.ours.ids()); after != before {
			t.Errorf("%d backups, and %d after a refused deletion", before, after)
		}
	}
	deletes(m.waiting)
	deletes(m.failed)
	keeps(m.plain, "minimum_redundancy", "4")
	w.both(true, nil, "keep", "--target", "standalone", "main", m.plain)
	keeps(m.plain)
	deletes(m.tar)
	w.both(true, nil, "keep", "--release", "main", m.plain)
	deletes(m.plain)
	deletes(m.late)
	deletes(m.branch)
}

// sameChecks compares what becomes of a backup when its WAL arrives, and when it
// is lost.
func sameChecks(t *testing.T, m made) {
	w := newTwins(t, m)
	state := func(id, want string) {
		t.Helper()
		if text := w.ours.left()["base/"+id+"/backup.info"]; !strings.Contains(text, want) {
			t.Errorf("it does not say %s:\n%s", want, text)
		}
	}
	notYet := []string{"incoming_wals_directory", t.TempDir()} // ours archives first what has arrived
	w.both(true, notYet, "check-backup", "main", m.waiting)
	state(m.waiting, "status=WAITING_FOR_WALS")
	w.each(true, nil, "archive-wal", "main") // ours looks at the backup again by itself
	w.both(true, nil, "check-backup", "main", m.waiting)
	state(m.waiting, "status=DONE")

	lost := regexp.MustCompile(`(?m)^begin_wal=(.{16})(.{8})$`).FindStringSubmatch(w.ours.left()["base/"+m.late+"/backup.info"])
	for _, m := range []made{w.theirs, w.ours} {
		if err := os.Remove(m.path("wals", lost[1], lost[1]+lost[2])); err != nil {
			t.Fatal(err)
		}
	}
	before := w.ours.left()["base/"+m.late+"/backup.info"]
	w.theirs.debians("check-backup", "main", m.late)
	w.ours.ours("check-backup", "main", m.late)
	if diff := cmp.Diff(w.theirs.left(), w.ours.left()); diff != "" {
		t.Errorf("after check-backup without a segment, left by Debian's barman (-) and ours (+):\n%s", diff)
	}
	if w.ours.left()["base/"+m.late+"/backup.info"] == before {
		t.Error("the lost segment went unnoticed")
	}
	state(m.late, "status=FAILED")
	state(m.late, lost[1]+lost[2])
}
