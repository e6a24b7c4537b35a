package pgtest

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Scratch returns a new directory that lives as long as the test and that every user can enter: t.TempDir cannot be used
// for clusters, because user postgres may not enter it. Its path is short enough for unix sockets in it. With
// BARMAN_TEST_KEEP set it stays when the test fails.
func Scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bt-")
	if err != nil {
		t.Fatalf("scratch directory: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("BARMAN_TEST_KEEP") != "" {
			t.Logf("kept for you to look at: %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("removing the scratch directory: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		return dir
	}
	for parent := dir; parent != "/"; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o001 == 0 {
			t.Fatalf("user postgres cannot enter %s: set TMPDIR to a directory that every user can enter", parent)
		}
	}
	return dir
}

// credential is whom PostgreSQL runs as: nil means the user of the test. PostgreSQL refuses to run as root.
func credential(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("tests run as root start PostgreSQL as user postgres: %v: run \"make deps\"", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatalf("uid of postgres: %v", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatalf("gid of postgres: %v", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// mkdirAs makes a directory that belongs to whom PostgreSQL runs as.
func mkdirAs(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if c := credential(t); c != nil {
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}

// Own gives a restored data directory, and the tablespaces its pg_tblspc links to, to whom PostgreSQL runs as, with the
// mode that PostgreSQL demands. Parents that only root may enter are opened. Without root it only sets the mode.
func Own(t testing.TB, dataDir string) {
	t.Helper()
	if err := os.Chmod(dataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := credential(t)
	if c == nil {
		return
	}
	trees := []string{dataDir}
	links, err := os.ReadDir(filepath.Join(dataDir, "pg_tblspc"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, link := range links {
		target, err := filepath.EvalSymlinks(filepath.Join(dataDir, "pg_tblspc", link.Name()))
		if err != nil {
			t.Fatalf("tablespace of the restored cluster: %v", err)
		}
		trees = append(trees, target)
	}
	for _, tree := range trees {
		for parent := filepath.Dir(tree); parent != "/"; parent = filepath.Dir(parent) {
			if info, err := os.Stat(parent); err == nil && info.Mode()&0o001 == 0 {
				if err := os.Chmod(parent, info.Mode().Perm()|0o111); err != nil {
					t.Fatal(err)
				}
			}
		}
		err := filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, int(c.Uid), int(c.Gid))
		})
		if err != nil {
			t.Fatalf("giving the restored cluster to postgres: %v", err)
		}
	}
}
