package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// rsyncBlock is a backup block with the source "rsync", which copies on this
// machine unless settings have an ssh_command.
func rsyncBlock(settings ...string) string {
	return fmt.Sprintf(`
  backup {
    jobs = 2
    source "rsync" {
      immediate_checkpoint = true
      %s
    }
    sink "posix" {}
  }
`, strings.Join(settings, "\n      "))
}

// overSSH is the ssh_command to a host.
func overSSH(host *pgtest.SSHD) string {
	return fmt.Sprintf("ssh_command = %q", filepath.Join(host.Client, "ssh")+" "+host.User+"@pg")
}

const reuseLink = `reuse_backup = "link"`

// inodes are those of the files of a backup, by their names.
func (s *site) inodes(id string) map[string]uint64 {
	s.t.Helper()
	found := map[string]uint64{}
	root := s.path("base", id)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			found[strings.TrimPrefix(path, root+"/")] = info.Sys().(*syscall.Stat_t).Ino
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// fileOf is where the server, and every backup, keeps a table, below the data
// directory.
func (s *site) fileOf(table string) string {
	s.t.Helper()
	return pgtest.One[string](s.Cluster, "SELECT pg_relation_filepath($1::text::regclass)", table)
}

func TestABackupOverSSHSharesWhatDidNotChangeWithTheOneBefore(t *testing.T) {
	t.Parallel()
	host := pgtest.StartSSHD(t, pgtest.SSHDOptions{})
	s := newSite(t, pgtest.Options{Major: 17, Tablespaces: []string{"two words; $(touch hacked) #1"}}, rsyncBlock(overSSH(host), reuseLink)+receiveLZ4)
	s.Exec("CREATE TABLE still AS SELECT i, repeat('x', 500) AS t FROM generate_series(1, 5000) i; CREATE UNLOGGED TABLE passing AS SELECT 1 AS i; CHECKPOINT")
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "two words; $(touch hacked) #1"})
	s.receive()
	first := s.backup()
	w.WaitRows(50)
	second := s.backup()
	last := w.Stop()
	s.streamed(last.LSN)

	still, changed := "data/"+s.fileOf("still"), s.fileOf("written")
	inFirst, inSecond := s.inodes(first), s.inodes(second)
	if inFirst[still] == 0 || inFirst[still] != inSecond[still] {
		t.Errorf("%s of a table that did not change is inode %d in the first backup, %d in the second", still, inFirst[still], inSecond[still])
	}
	changed = strings.TrimPrefix(changed, "pg_tblspc/")
	if inFirst[changed] == 0 || inFirst[changed] == inSecond[changed] {
		t.Errorf("%s of a table that changed is inode %d in the first backup, %d in the second", changed, inFirst[changed], inSecond[changed])
	}
	if name := "data/" + s.fileOf("passing"); inFirst[name] != 0 || inFirst[name+"_init"] == 0 {
		t.Error("the backup has an unlogged table, of which recovery needs the init fork alone")
	}
	out := s.home.Must("show-backup", "main", second)
	for _, part := range []string{"rsync-concurrent", "Resources saved"} {
		if !strings.Contains(out, part) {
			t.Errorf("show-backup does not say %q:\n%s", part, out)
		}
	}
	s.home.Must("verify-backup", "main", first)
	s.home.Must("verify-backup", "main", second)
	for _, id := range []string{first, second} {
		c := pgtest.StartExisting(t, s.Major, s.in(t).restore(id), nil)
		c.WaitRecovered()
		last.Check(t, c)
		if n := pgtest.One[int](c, "SELECT count(*) FROM still"); n != 5000 {
			t.Errorf("%d rows", n)
		}
	}
	s.home.Must("delete", "main", first)
	s.home.Must("verify-backup", "main", second)
}
