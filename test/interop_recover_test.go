package test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
)

// tree is what is below a directory: by relative path, the permissions and the
// content of files, the target of links. Directories end in a slash.
func tree(t *testing.T, root string, without func(path string) bool) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil || relative == "." || without(relative) {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			found[relative+"/"] = info.Mode().Perm().String()
		case entry.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			found[relative] = "link to " + target
			return err
		default:
			content, err := os.ReadFile(path)
			found[relative] = fmt.Sprintf("%s %d bytes %x", info.Mode().Perm(), len(content), sha256.Sum256(content))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// recovered is a data directory that a program made of a backup.
type recovered struct {
	t                    *testing.T
	program              string
	directory, elsewhere string // the data directory, and its tablespace
}

// besidesData tells what recovery itself writes into a data directory, which is
// compared by what it does: WAL, settings, and what the programs note for
// themselves.
func besidesData(path string) bool {
	written := regexp.MustCompile(`^(pg_wal/.+|barman_wal(/.*)?|postgresql(\.auto)?\.conf(\.origin)?|recovery\.signal|backup_manifest(\.\d{8}T\d{6})?|\.barman-recover\.info|pg_tblspc/\d+)$`)
	return written.MatchString(path)
}

// wal is the WAL that recovery finds.
func (r recovered) wal() map[string]string {
	r.t.Helper()
	files := map[string]string{}
	for _, directory := range []string{"pg_wal", "barman_wal"} {
		found, err := filepath.Glob(filepath.Join(r.directory, directory, "0*"))
		if err != nil {
			r.t.Fatal(err)
		}
		for _, path := range found {
			content, err := os.ReadFile(path)
			if err != nil {
				r.t.Fatal(err)
			}
			files[filepath.Base(path)] = fmt.Sprintf("%d bytes %x", len(content), sha256.Sum256(content))
		}
	}
	return files
}

// settings are those that PostgreSQL reads, the last of a name counting, but for
// those that hold a path of the directory, those that say the default, the time
// to recover to, which the programs write in their own way, and the timeline,
// which Debian's leaves out if it is the backup's.
func (r recovered) settings() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	line := regexp.MustCompile(`(?m)^\s*([a-z_]+)\s*=?\s*'?(.*?)'?\s*(?:#.*)?$`)
	for _, name := range []string{"postgresql.conf", "postgresql.auto.conf"} {
		text, err := os.ReadFile(filepath.Join(r.directory, name))
		if err != nil {
			r.t.Fatal(err)
		}
		for _, found := range line.FindAllStringSubmatch(string(text), -1) {
			all[found[1]] = found[2]
		}
	}
	defaults := map[string]string{"recovery_target_inclusive": "on", "recovery_target_action": "pause"}
	without := []string{"restore_command", "recovery_end_command", "recovery_target_time", "recovery_target_timeline"}
	maps.DeleteFunc(all, func(name, value string) bool {
		return value == "" || value == defaults[name] || slices.Contains(without, name)
	})
	return all
}

// start starts the recovered cluster and lets it come to its target.
func (r recovered) start() *pgtest.Cluster {
	r.t.Helper()
	c := pgtest.StartExisting(r.t, 15, r.directory, map[string]string{"archive_mode": "off"})
	c.WaitRecovered()
	return c
}

// sameRecovery has both programs recover a backup, its tablespace moved, and
// compares what comes of it: bytes first, then what is in the tables.
func (m made) sameRecovery(check func(c *pgtest.Cluster), backup string, target ...string) {
	m.t.Helper()
	restore := func(name string, by program) recovered {
		scratch := pgtest.Scratch(m.t)
		r := recovered{t: m.t, program: name, directory: filepath.Join(scratch, "data"), elsewhere: filepath.Join(scratch, "fast")}
		if ran := by(m.catalogue, slices.Concat([]string{"recover", "--tablespace", "fast:" + r.elsewhere}, target, []string{"main", backup, r.directory})...); ran.Code != 0 || strings.Contains(ran.Stderr, "did not store") {
			m.t.Fatalf("backup %s, recovered with %v by %s: %+v", backup, target, name, ran)
		}
		return r
	}
	theirs, ours := restore("Debian's barman", catalogue.debians), restore("our barman", catalogue.ours)
	differ := func(what string, theirs, ours map[string]string) {
		m.t.Helper()
		if diff := cmp.Diff(theirs, ours); diff != "" {
			m.t.Errorf("backup %s, recovered with %v by Debian's barman (-) and ours (+): %s\n%s", backup, target, what, diff)
		}
	}
	differ("data", tree(m.t, theirs.directory, besidesData), tree(m.t, ours.directory, besidesData))
	whole := func(string) bool { return false }
	differ("the tablespace", tree(m.t, theirs.elsewhere, whole), tree(m.t, ours.elsewhere, whole))
	differ("settings", theirs.settings(), ours.settings())
	// Debian's gives more than is needed, ours what has not been archived yet.
	theirWAL, ourWAL := theirs.wal(), ours.wal()
	shared := 0
	for name, content := range ourWAL {
		if other, ok := theirWAL[name]; ok {
			shared++
			if other != content {
				m.t.Errorf("backup %s, recovered with %v: WAL file %s differs", backup, target, name)
			}
		}
	}
	if shared == 0 {
		m.t.Errorf("backup %s, recovered with %v: there is no WAL that both programs give", backup, target)
	}
	for _, r := range []recovered{theirs, ours} {
		c := r.start()
		m.t.Log("recovered by", r.program)
		if link, err := os.Readlink(filepath.Join(r.directory, "pg_tblspc", fmt.Sprint(pgtest.One[uint32](c, "SELECT oid FROM pg_tablespace WHERE spcname = 'fast'")))); err != nil || link != r.elsewhere {
			m.t.Errorf("the tablespace is at %s, %v", link, err)
		}
		check(c)
		c.Stop(pgtest.Immediate)
	}
}

// sameRecoveries compares recoveries from a catalogue: to the end and to
// targets, from files and from archives, on either timeline.
func sameRecoveries(t *testing.T, m made) {
	m = m.copied(t)
	rows := func(moment pgtest.Moment) func(c *pgtest.Cluster) {
		return func(c *pgtest.Cluster) { t.Helper(); moment.Check(t, c) }
	}
	onBranch := func(c *pgtest.Cluster) {
		t.Helper()
		m.point.Check(t, c)
		if n := pgtest.One[int](c, "SELECT timeline FROM branch"); n != 2 {
			t.Errorf("timeline %d", n)
		}
	}
	m.sameRecovery(rows(m.last), m.plain, "--target-lsn", m.last.LSN, "--target-tli", "1")
	m.sameRecovery(rows(m.point), m.tar, "--target-xid", m.point.XID)
	m.sameRecovery(rows(m.point), m.late, "--target-time", m.point.Time)
	m.sameRecovery(onBranch, m.branch)
}
