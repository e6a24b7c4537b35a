package test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// sameDeletions has each program delete on its own copy of a catalogue, and
// compares what is left after each step.
func sameDeletions(t *testing.T, m made) {
	theirs, ours := m.copied(t), m.copied(t)
	both := func(code int, options []string, args ...string) {
		t.Helper()
		for _, is := range []struct {
			name string
			by   program
			on   made
		}{{"Debian's", catalogue.debians, theirs}, {"our", catalogue.ours, ours}} {
			if r := is.by(is.on.with(options...), args...); (r.Code == 0) != (code == 0) {
				t.Errorf("%s barman %v: %+v", is.name, args, r)
			}
		}
		if diff := cmp.Diff(theirs.left(), ours.left()); diff != "" {
			t.Fatalf("after %v, left by Debian's barman (-) and ours (+):\n%s", args, diff)
		}
	}
	deletes := func(id string) {
		t.Helper()
		before := len(theirs.ids())
		both(0, nil, "delete", "main", id)
		if after := len(ours.ids()); after != before-1 {
			t.Errorf("%d backups, and %d after a deletion", before, after)
		}
	}
	keeps := func(id string, options ...string) {
		t.Helper()
		before := len(theirs.ids())
		both(1, options, "delete", "main", id)
		if after := len(ours.ids()); after != before {
			t.Errorf("%d backups, and %d after a refused deletion", before, after)
		}
	}
	deletes(m.waiting)
	deletes(m.failed)
	keeps(m.plain, "minimum_redundancy", "4")
	both(0, nil, "keep", "--target", "standalone", "main", m.plain)
	keeps(m.plain)
	deletes(m.tar)
	both(0, nil, "keep", "--release", "main", m.plain)
	deletes(m.plain)
	deletes(m.late)
	deletes(m.branch)
}
