package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

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
	debians := newCatalogue(t, pgtest.Scratch(t)).with("conninfo", "host=127.0.0.1 port=1", "compression", "gzip")
	host := pgtest.StartSSHD(t, pgtest.SSHDOptions{Env: map[string]string{"BARMAN_CONFIG_FILE": debians.barmanConf()}})
	dir := t.TempDir()
	send := func(name string, content []byte, options ...string) pgtest.Result {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		args := append(append([]string{"-U", host.User}, options...), "backup", "main", path)
		cmd := exec.CommandContext(t.Context(), filepath.Join(pgtest.BarmanBin(t), "barman-wal-archive"), args...)
		cmd.Env = append(os.Environ(), "PATH="+host.ClientPath())
		return pgtest.Run(t, cmd)
	}
	incoming := func(name string) []byte {
		content, err := os.ReadFile(debians.path("incoming", name))
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
