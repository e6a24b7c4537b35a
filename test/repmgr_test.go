package test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// asPostgres makes a command one of whom PostgreSQL runs as.
func asPostgres(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		return cmd
	}
	postgres, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(postgres.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(postgres.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	cmd.Env = append(cmd.Environ(), "HOME="+postgres.HomeDir)
	return cmd
}

// The real repmgr clones a standby as examples/repmgr describes.
func TestRepmgrClonesAStandbyFromOurBackup(t *testing.T) {
	t.Parallel()
	repmgr := pgtest.Tool(t, 15, "repmgr")
	major, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(repmgr))))
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, pgtest.Options{Major: major, Tablespaces: []string{"side"}}, plainFiles+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "side"})
	s.receive()
	host := pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: []string{pgtest.EveryonesBin(t)}, Env: map[string]string{"BARMAN_CONFIG_FILE": s.home.Config}})
	directory, options := s.destination()
	pgtest.Own(t, filepath.Dir(directory))
	path := host.Client + ":" + pgtest.EveryonesBin(t) + ":" + filepath.Dir(repmgr) + ":/usr/bin:/bin"

	example, err := os.ReadFile("../examples/repmgr/repmgr.conf")
	if err != nil {
		t.Fatal(err)
	}
	node := func(id int, server *pgtest.Cluster, directory string) string {
		text := strings.NewReplacer(
			"node_id = 2", fmt.Sprintf("node_id = %d", id), "'node2'", fmt.Sprintf("'node%d'", id),
			"host=node2 user=repmgr dbname=repmgr connect_timeout=2", server.Conninfo(), "/var/lib/postgresql/15/main", directory,
			"/usr/lib/postgresql/15/bin", filepath.Dir(repmgr), "barman@backup.example.com", host.User+"@backup.example.com",
			"barman-wal-restore -U barman", "PATH="+path+" barman-wal-restore -U "+host.User,
		).Replace(string(example))
		for name, place := range s.Tablespaces {
			for _, option := range options {
				if to, found := strings.CutPrefix(option, name+":"); found {
					text += fmt.Sprintf("tablespace_mapping = '%s=%s'\n", place, to)
				}
			}
		}
		file := filepath.Join(pgtest.Scratch(t), "repmgr.conf")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	repmgrs := func(args ...string) {
		t.Helper()
		cmd := asPostgres(t, exec.CommandContext(t.Context(), repmgr, args...))
		cmd.Env = append(cmd.Environ(), "PATH="+path)
		cmd.Dir = "/"
		if r := pgtest.Run(t, cmd); r.Code != 0 {
			t.Fatalf("repmgr %q: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
		}
	}
	first := node(1, s.Cluster, s.DataDir)
	repmgrs("-f", first, "primary", "register")
	s.backup()
	second := node(2, s.Cluster, directory)
	repmgrs("-f", second, "-d", s.Conninfo(), "standby", "clone")
	w.WaitRows(50)
	last := w.Stop()

	standby := pgtest.StartExisting(t, major, directory, nil)
	standby.Wait("SELECT pg_is_in_recovery() AND (SELECT max(id) FROM written) = $1", last.Row)
	last.Check(t, standby)
}
