package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
)

// modernise brings a catalogue into the form that Python Barman 3.14 and later
// give it: metadata in meta/, more of it, and an index of WAL of another name
// with a fifth column.
func (c catalogue) modernise() {
	c.t.Helper()
	mkdir(c.t, c.path("meta"), 0o755)
	rewrite := func(from, to string, change func(text string) string) {
		c.t.Helper()
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, []byte(change(string(text))), 0o644)
		}
		if err == nil {
			err = os.Remove(from)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	for _, id := range c.ids() {
		rewrite(c.path("base", id, "backup.info"), c.path("meta", id+"-backup.info"), func(text string) string {
			lines := append(strings.Split(strings.TrimSpace(text), "\n"),
				"children_backup_ids=None", "cluster_size=23068672", "data_checksums=off", "encryption=None", "parent_backup_id=None", "summarize_wal=None")
			slices.Sort(lines)
			return strings.Join(lines, "\n") + "\n"
		})
	}
	rewrite(c.path("wals", "xlog.db"), c.path("wals", "main-xlog.db"), func(text string) string {
		return strings.ReplaceAll(text, "\n", "\tNone\n")
	})
}

// wantModern fails the test if there is anything of the older form.
func (c catalogue) wantModern() {
	c.t.Helper()
	old, err := filepath.Glob(c.path("base", "*", "backup.info"))
	if err != nil || len(old) > 0 || exists(c.path("wals", "xlog.db")) {
		c.t.Errorf("files of the older form: %v, %v", old, err)
	}
	for _, id := range c.ids() {
		if !exists(c.path("meta", id+"-backup.info")) {
			c.t.Errorf("backup %s is not in meta/", id)
		}
	}
	index, err := os.ReadFile(c.path("wals", "main-xlog.db"))
	if err != nil {
		c.t.Fatal(err)
	}
	if !regexp.MustCompile(`^(\S+\t\d+\t[0-9.]+\t\w+\tNone\n)+$`).Match(index) {
		c.t.Errorf("the index of WAL is not of five columns:\n%s", index)
	}
}

// keepsNewerLayout has our barman work on a catalogue in the form of Python
// Barman 3.14 and later, which has to keep it. There is no such program here:
// what is told of it and recovered from it is compared with the older form.
func keepsNewerLayout(t *testing.T, m made) {
	older, newer := m.copied(t), m.copied(t)
	newer.modernise()
	for _, args := range [][]string{{"list-backups", "main"}, {"list-backups", "--minimal", "main"}, {"list-files", "--target", "wal", "main", m.tar}} {
		want := strings.ReplaceAll(older.must(catalogue.ours, args...), older.home, newer.home)
		if diff := cmp.Diff(want, newer.must(catalogue.ours, args...)); diff != "" {
			t.Errorf("%v in the older form (-) and the newer (+):\n%s", args, diff)
		}
	}
	restore := func(m made) map[string]string {
		scratch := pgtest.Scratch(t)
		m.must(catalogue.ours, "recover", "--tablespace", "fast:"+filepath.Join(scratch, "fast"), "main", m.tar, filepath.Join(scratch, "data"))
		return tree(t, scratch, func(path string) bool {
			relative, inData := strings.CutPrefix(path, "data/")
			return inData && besidesData(relative)
		})
	}
	if diff := cmp.Diff(restore(older), restore(newer)); diff != "" {
		t.Errorf("recovered from the older form (-) and the newer (+):\n%s", diff)
	}

	newer.must(catalogue.ours, "archive-wal", "main")
	newer.must(catalogue.ours, "check-backup", "main", m.waiting)
	text, err := os.ReadFile(newer.path("meta", m.waiting+"-backup.info"))
	if err != nil || !strings.Contains(string(text), "\nstatus=DONE\n") || !strings.Contains(string(text), "\ncluster_size=23068672\n") {
		t.Errorf("the backup that waited: %v\n%s", err, text)
	}
	newer.must(catalogue.ours, "keep", "--target", "standalone", "main", m.late)
	if kept, err := os.ReadFile(newer.path("meta", m.late+"-keep")); err != nil || string(kept) != "standalone" {
		t.Errorf("the mark of a backup that is kept: %q, %v", kept, err)
	}
	newer.must(catalogue.ours, "keep", "--release", "main", m.late)
	newer.must(catalogue.ours, "backup", "main")
	newer.wantModern()

	for _, id := range []string{m.plain, m.failed, m.late} {
		newer.must(catalogue.ours, "delete", "main", id)
	}
	newer.wantModern()
	newer.must(catalogue.ours, "rebuild-xlogdb", "main")
	newer.wantModern()
	left, err := filepath.Glob(newer.path("meta", "*"))
	if err != nil || len(left) != len(newer.ids()) {
		t.Errorf("in meta/: %q, %v", left, err)
	}
}
