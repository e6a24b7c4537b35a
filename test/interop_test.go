package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// debian is a program of Debian's packages barman and barman-cli.
func debian(t *testing.T, program string) string {
	t.Helper()
	path := filepath.Join("/usr/bin", program)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("Barman in Python is not installed: %v: run \"make deps\"", err)
	}
	return path
}

// pythonBarman is a host with Debian's barman and a server "main" that it
// archives for.
type pythonBarman struct {
	host   *pgtest.SSHD
	home   string
	config string
}

func newPythonBarman(t *testing.T) pythonBarman {
	t.Helper()
	debian(t, "barman")
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := pgtest.Scratch(t)
	p := pythonBarman{home: filepath.Join(dir, "home"), config: filepath.Join(dir, "barman.conf")}
	if err := os.Mkdir(p.home, 0o700); err != nil {
		t.Fatal(err)
	}
	content := fmt.Sprintf(`[barman]
barman_home = %s
barman_user = %s
log_file = %s
[main]
description = Main
conninfo = host=127.0.0.1 port=1
streaming_conninfo = host=127.0.0.1 port=1
backup_method = postgres
archiver = on
compression = gzip
`, p.home, self.Username, filepath.Join(dir, "barman.log"))
	if err := os.WriteFile(p.config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p.host = pgtest.StartSSHD(t, pgtest.SSHDOptions{Env: map[string]string{"BARMAN_CONFIG_FILE": p.config}})
	return p
}

func TestDebiansClientArchivesIntoOurBarman(t *testing.T) {
	t.Parallel()
	s := newArchivingSite(t, 15)
	host := s.sshd()
	s.home.Must("archive-wal", "main")
	test := exec.CommandContext(t.Context(), debian(t, "barman-wal-archive"), "-U", host.User, "--test", "backup", "main", "DUMMY")
	test.Env = append(os.Environ(), "PATH="+host.ClientPath())
	if r := pgtest.Run(t, test); r.Code != 0 || !strings.Contains(r.Stdout, "Ready to accept WAL files for the server main") {
		t.Errorf("--test: %+v", r)
	}
	s.archiveBy(fmt.Sprintf("PATH=%s:$PATH %s -U %s backup main %%p", host.Client, debian(t, "barman-wal-archive"), host.User))
	s.archivedUpTo(s.SwitchWAL())
	s.archivedUpTo(s.SwitchWAL())
	s.home.Must("archive-wal", "main")
	s.wantArchiveLikeServer()
}

func TestOurClientArchivesIntoDebiansBarman(t *testing.T) {
	t.Parallel()
	python := newPythonBarman(t)
	dir := t.TempDir()
	send := func(name string, content []byte, options ...string) pgtest.Result {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		args := append(append([]string{"-U", python.host.User}, options...), "backup", "main", path)
		cmd := exec.CommandContext(t.Context(), filepath.Join(pgtest.BarmanBin(t), "barman-wal-archive"), args...)
		cmd.Env = append(os.Environ(), "PATH="+python.host.ClientPath())
		return pgtest.Run(t, cmd)
	}
	incoming := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(python.home, "main", "incoming", name))
		if err != nil {
			t.Error(err)
		}
		return content
	}
	const plain, compressed, modern = "00000001000000000000000A", "00000001000000000000000B", "00000001000000000000000C"
	content := bytes.Repeat([]byte("some WAL "), 100_000)
	if r := send(plain, content, "--md5"); r.Code != 0 || !bytes.Equal(incoming(plain), content) {
		t.Errorf("%+v", r)
	}
	if r := send(compressed, content, "--md5", "--gzip"); r.Code != 0 {
		t.Errorf("%+v", r)
	}
	unpack := exec.Command("gzip", "-dc")
	unpack.Stdin = bytes.NewReader(incoming(compressed))
	if out, err := unpack.Output(); err != nil || !bytes.Equal(out, content) {
		t.Errorf("gzip -d: %v", err)
	}
	// Version 3.4 knows no SHA-256, and its refusal comes through.
	if r := send(modern, content); r.Code != 1 || r.Stderr == "" {
		t.Errorf("with SHA-256: %+v", r)
	}
	if r := send(plain, append(content, "more"...), "--md5"); r.Code != 1 || !bytes.Equal(incoming(plain), content) {
		t.Errorf("another file of the same name: %+v", r)
	}
}
