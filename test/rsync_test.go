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

// deduplicated is how many bytes a backup shares with no other, as backup.info says.
func (s *site) deduplicated(id string) int64 {
	s.t.Helper()
	content, err := os.ReadFile(s.path("base", id, "backup.info"))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "\ndeduplicated_size=")
	var size int64
	if _, err := fmt.Sscan(rest, &size); err != nil {
		s.t.Fatal(err)
	}
	return size
}

// fileOf is where the server, and every backup, keeps a table, below the data
// directory.
func (s *site) fileOf(table string) string {
	s.t.Helper()
	return pgtest.One[string](s.Cluster, "SELECT pg_relation_filepath($1::text::regclass)", table)
}

// Names that a shell, rsync or a list of files could read as something else.
func oddNames() []string {
	return []string{"#emacs#", "; touch hacked", "-rf", " leading", `quo'te"s`, "[a]*?", `back\slash`, `\#043`, "$(touch hacked)", "ümlaut", "two  spaces "}
}

func TestNoPathIsReadAsAnythingElse(t *testing.T) {
	t.Parallel()
	host := pgtest.StartSSHD(t, pgtest.SSHDOptions{})
	s := newSite(t, pgtest.Options{Major: 15}, "")
	odd := filepath.Join(pgtest.Scratch(t), `it's; touch "hacked" $(touch hacked)`)
	for _, settings := range [][]string{{overSSH(host), reuseLink}, {reuseLink}} {
		s.configure(rsyncBlock(settings...) + receiveLZ4 + fmt.Sprintf("  backup_directory = %q\n", odd))
		for _, name := range oddNames() {
			directory := filepath.Join(s.DataDir, "odd"+name)
			if err := os.MkdirAll(directory, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{filepath.Join(s.DataDir, name), filepath.Join(directory, name)} {
				if err := os.WriteFile(path, []byte(path), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.home.Must("backup", "main")
		id := s.backups()[len(s.backups())-1].ID
		for _, name := range oddNames() {
			for _, path := range []string{name, filepath.Join("odd"+name, name)} {
				if content, err := os.ReadFile(filepath.Join(odd, "base", id, "data", path)); err != nil || string(content) != filepath.Join(s.DataDir, path) {
					t.Errorf("%q: %q, %v", path, content, err)
				}
			}
		}
	}
	for _, place := range []string{".", s.DataDir, odd, os.Getenv("HOME"), "/"} {
		if _, err := os.Stat(filepath.Join(place, "hacked")); err == nil {
			t.Errorf("a shell has made %s/hacked", place)
		}
	}
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
	// What was shared with the first backup alone is the second one's own.
	before := s.deduplicated(second)
	s.home.Must("delete", "main", first)
	s.home.Must("verify-backup", "main", second)
	if after := s.deduplicated(second); before >= after || after != bytesBelow(t, s.path("base", second, "data"))+bytesBelow(t, s.path("base", second, strings.Split(changed, "/")[0])) {
		t.Errorf("the second backup has %d bytes of its own while the first one is there, and %d without", before, after)
	}
}

// usage is what the files of directories take on the disk, each inode once, as du
// counts.
func usage(t *testing.T, directories ...string) int64 {
	t.Helper()
	var sum int64
	seen := map[uint64]bool{}
	for _, directory := range directories {
		err := filepath.WalkDir(directory, func(_ string, entry os.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if stat := info.Sys().(*syscall.Stat_t); !seen[stat.Ino] {
				seen[stat.Ino] = true
				sum += stat.Blocks * 512
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return sum
}

func TestTenIncrementalBackupsTakeTheRoomOfWhatChanged(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, rsyncBlock(reuseLink)+receiveLZ4)
	s.Exec("CREATE TABLE bulk AS SELECT i, repeat('x', 500) AS t FROM generate_series(1, 100000) i; CREATE TABLE small (i int)")
	s.Exec("VACUUM (FREEZE, ANALYZE)")
	s.receive()
	full := s.backup()
	all, want := []string{s.path("base", full)}, usage(t, s.path("base", full))
	earlier := s.inodes(full)
	for i := range 10 {
		s.Exec("INSERT INTO small VALUES ($1)", i)
		id := s.backup()
		all = append(all, s.path("base", id))
		now := s.inodes(id)
		for name, inode := range now {
			if earlier[name] != inode {
				info, err := os.Stat(s.path("base", id, name))
				if err != nil {
					t.Fatal(err)
				}
				want += info.Sys().(*syscall.Stat_t).Blocks * 512
			}
		}
		earlier = now
		if bulk := "data/" + s.fileOf("bulk"); now[bulk] != s.inodes(full)[bulk] {
			t.Fatalf("backup %d has a copy of a table that did not change", i)
		}
	}
	if got := usage(t, all...); got > want+want/100 || got < want-want/100 {
		t.Errorf("one full backup and ten incremental ones take %d bytes, what changed takes %d", got, want)
	}
	if got, full := usage(t, all...), usage(t, all[0]); got > full*3/2 {
		t.Errorf("the full backup takes %d bytes, all together %d", full, got)
	}
}

func TestABackupByRsyncGoesThroughTransformsIntoTarFilesToo(t *testing.T) {
	t.Parallel()
	blocks := strings.Replace(rsyncBlock(reuseLink), `sink "posix"`, "transform \"compress\" { codec = \"zstd\" }\n    sink \"posix\"", 1)
	s := newSite(t, pgtest.Options{Major: 15, Tablespaces: []string{"side"}}, blocks+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "side"})
	s.receive()
	id := s.backup()
	w.WaitRows(20)
	last := w.Stop()
	s.streamed(last.LSN)
	if _, err := os.Stat(s.path("base", id, "data", "base.tar.zst")); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(s.path(".rsync-scratch-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	s.home.Must("verify-backup", "main", id)
	directory := s.restore(id)
	verify(t, directory)
	c := pgtest.StartExisting(t, s.Major, directory, nil)
	c.WaitRecovered()
	last.Check(t, c)
}

func TestWithoutHardLinksFilesAreCopiedFromTheBackupBefore(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17}, rsyncBlock(reuseLink)+receiveLZ4)
	s.receive()
	first := s.backup()
	// Another file system in the place of the next backup's is one to which nothing
	// can be linked.
	elsewhere := pgtest.Tmpfs(t, 256*mebibyte)
	run(t, "cp", "-a", s.path("base", first), elsewhere)
	if err := os.RemoveAll(s.path("base", first)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.path("base", first), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(filepath.Join(elsewhere, first), s.path("base", first), "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(s.path("base", first), 0); err != nil {
			t.Error(err)
		}
	})
	r := s.home.Run("backup", "--wait", "main")
	if r.Code != 0 || !strings.Contains(r.Stderr, "cannot be linked") {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}
	s.home.Must("verify-backup", "main", "latest")
	pgtest.StartExisting(t, s.Major, s.restore("latest"), nil).WaitRecovered()
}

func TestABackupByRsyncOntoAFullDiskFailsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	small := pgtest.Tmpfs(t, 16*mebibyte)
	s := newSite(t, pgtest.Options{Major: 15}, rsyncBlock()+fmt.Sprintf("  backup_directory = %q\n", filepath.Join(small, "main")))
	r := s.home.Run("backup", "main")
	if r.Code == 0 || !strings.Contains(strings.ToLower(r.Stderr), diskFull) {
		t.Fatalf("exit code %d:\n%s", r.Code, r.Stderr)
	}
	if left := bytesBelow(t, filepath.Join(small, "main", "base")); left > mebibyte {
		t.Errorf("the failed backup takes %d bytes of a full disk", left)
	}
	s.serverIsClean()
	grow(t, small, 256*mebibyte)
	s.home.Must("backup", "main")
}

// serverIsClean waits until no backup is in progress on the server.
func (s *site) serverIsClean() {
	s.t.Helper()
	s.Wait("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'barman'")
}

// slow makes the next backup one that lasts until it is disturbed.
const slow = "bandwidth_limit = 500"

// inTheMiddle starts a backup and returns when it copies files.
func (s *site) inTheMiddle() *background {
	s.t.Helper()
	b := start(s.t, s.home.Command("backup", "main"))
	eventually(s.t, "files are being copied", func() bool {
		copied, err := filepath.Glob(s.path("base", "*", "data", "base", "*", "*"))
		return err == nil && len(copied) > 0
	})
	return b
}

func TestWhateverBreaksABackupByRsyncItFailsAndTheServerIsClean(t *testing.T) {
	t.Parallel()
	host := pgtest.StartSSHD(t, pgtest.SSHDOptions{})
	s := newSite(t, pgtest.Options{Major: 17}, rsyncBlock(overSSH(host), slow))
	for name, disturb := range map[string]func(b *background){
		"the backup's connection is ended": func(*background) {
			s.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'barman'")
		},
		"the server is restarted": func(*background) { s.Stop(pgtest.Immediate); s.Restart() },
		"ssh dies":                func(b *background) { killProcesses(t, "ssh", b.cmd.Process.Pid) },
		"rsync dies":              func(b *background) { killProcesses(t, "rsync", b.cmd.Process.Pid) },
		"it is interrupted":       func(b *background) { kill(t, b.cmd.Process.Pid, syscall.SIGINT) },
	} {
		b := s.inTheMiddle()
		disturb(b)
		<-b.done
		if b.cmd.ProcessState.ExitCode() == 0 {
			t.Errorf("%s: the backup is said to be good", name)
		}
		s.serverIsClean()
		for _, listed := range s.backups() {
			if listed.Status != "FAILED" {
				t.Errorf("%s: a backup is %s", name, listed.Status)
			}
			s.home.Must("delete", "main", listed.ID)
		}
	}
	b := s.inTheMiddle()
	kill(t, b.cmd.Process.Pid, syscall.SIGKILL)
	<-b.done
	s.serverIsClean()
	s.configure(rsyncBlock(overSSH(host), reuseLink) + receiveLZ4)
	s.receive()
	s.backup()
	s.wantStatuses("FAILED", "DONE")
}

func TestSSHThatDoesNotGetThereIsNamedWithWhatToDo(t *testing.T) {
	t.Parallel()
	host := pgtest.StartSSHD(t, pgtest.SSHDOptions{})
	missing := pgtest.Scratch(t)
	if err := os.WriteFile(filepath.Join(missing, "rsync"), []byte("#!/bin/sh\necho rsync: command not found >&2\nexit 127\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	without := pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: []string{missing}})
	s := newSite(t, pgtest.Options{Major: 15}, "")
	other := pgtest.Start(t, pgtest.Options{Major: 15})
	other.BarmanRoles()
	plain := filepath.Join(host.Client, "ssh")
	for name, tc := range map[string]struct {
		settings []string
		says     string
	}{
		"refused":            {[]string{fmt.Sprintf("ssh_command = %q", plain+" -p 1 "+host.User+"@pg")}, "Connection refused"},
		"another host's key": {[]string{fmt.Sprintf("ssh_command = %q", plain+" -o UserKnownHostsFile="+filepath.Join(without.Client, "known_hosts")+" "+host.User+"@pg")}, "Host key verification failed"},
		"not let in":         {[]string{fmt.Sprintf("ssh_command = %q", plain+" -o PubkeyAuthentication=no "+host.User+"@pg")}, "Permission denied (publickey)"},
		"rsync is missing":   {[]string{overSSH(without)}, "rsync is missing on PostgreSQL's host"},
		"no such command":    {[]string{`ssh_command = "/nonexistent/ssh pg"`}, "not found"},
		"no rsync here":      {[]string{fmt.Sprintf("path_prefix = %q", missing)}, "rsync"},
		"another cluster's":  {[]string{overSSH(host), fmt.Sprintf("conninfo = %q", other.ConninfoAs("barman")+" dbname=postgres")}, "system identifier"},
	} {
		s.configure(rsyncBlock(tc.settings...))
		r := s.home.Run("backup", "main")
		if r.Code == 0 || !strings.Contains(r.Stderr, tc.says) {
			t.Errorf("%s: exit code %d, it does not say %q:\n%s", name, r.Code, tc.says, r.Stderr)
		}
	}
	for _, b := range s.backups() {
		if left := bytesBelow(t, s.path("base", b.ID, "data")); b.Status != "FAILED" || left != 0 {
			t.Errorf("%+v, %d bytes", b, left)
		}
	}
}

// killProcesses ends all processes of a name below one with SIGKILL.
func killProcesses(t *testing.T, name string, below int) {
	t.Helper()
	for _, pid := range pgtest.ChildrenOf(below) {
		killProcesses(t, name, pid)
		if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.TrimSpace(string(comm)) == name {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				t.Fatal(err)
			}
		}
	}
}
