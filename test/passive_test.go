package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// passive makes a second site of a site: a barman on another host, whose server
// "main" is copied from the first one.
func (s *site) passive(primary *pgtest.SSHD) *site {
	s.t.Helper()
	second := &site{Cluster: s.Cluster, t: s.t, home: pgtest.NewHome(s.t, "")}
	second.leads(primary)
	return second
}

// leads says where the first barman is.
func (s *site) leads(primary *pgtest.SSHD) {
	s.t.Helper()
	s.home.Configure(fmt.Sprintf("server \"main\" {\n  primary_ssh_command = \"%s/ssh %s@first\"\n}\n", primary.Client, primary.User))
}

func TestASecondSiteHasWhatTheFirstHas(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15, Tablespaces: []string{"side"}}, plainFiles+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "side"})
	s.receive()
	id := s.backup()
	w.WaitRows(50)
	last := w.Stop()
	s.streamed(last.LSN)
	s.SwitchWAL()
	s.allStreamed()
	s.home.Must("archive-wal", "main")
	env := map[string]string{"BARMAN_CONFIG_FILE": s.home.Config}
	first := pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: []string{pgtest.BarmanBin(t)}, Env: env})
	second := s.passive(first)

	var told struct {
		Backups map[string]struct {
			Status string `json:"status"`
		} `json:"backups"`
	}
	if err := json.Unmarshal([]byte(second.home.Must("sync-info", "--primary", "main")), &told); err != nil || told.Backups[id].Status != "DONE" {
		t.Fatalf("%+v, %v", told, err)
	}
	// A copy that is killed leaves no backup, and the next one goes on.
	copying := second.home.Command("sync-backup", "main", id)
	if err := copying.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "files are being copied", func() bool {
		entries, err := os.ReadDir(second.path("base", id, "data"))
		return err == nil && len(entries) > 2
	})
	if err := copying.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := copying.Wait(); err == nil {
		t.Fatal("it was done before it could be killed")
	}
	second.wantStatuses("SYNCING")
	directory, options := second.destination()
	if r := second.home.Run(append([]string{"recover", "main", id, directory}, options...)...); r.Code == 0 {
		t.Error("half a backup was recovered")
	}
	first.Stop()
	if r := second.home.Run("sync-wals", "main"); r.Code != 2 || !strings.Contains(r.Stderr, "Connection refused") {
		t.Errorf("without the first site: exit code %d, %s", r.Code, r.Stderr)
	}
	second.leads(pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: []string{pgtest.BarmanBin(t)}, Env: env}))
	second.home.Must("cron")
	eventually(t, "cron has copied all", func() bool {
		statuses := second.statuses()
		return len(statuses) == 1 && statuses[0] == "DONE"
	})
	if r := second.home.Run("backup", "main"); r.Code != 0 || !strings.Contains(r.Stdout, "Skipping passive server 'main'") {
		t.Errorf("a backup of a passive server: exit code %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := second.home.Run("switch-wal", "main"); r.Code == 0 {
		t.Error("a passive node has switched the primary's WAL")
	}
	if out := second.home.Must("check", "main"); !strings.Contains(out, "ssh: OK (Barman primary node)") {
		t.Errorf("check says\n%s", out)
	}
	c := pgtest.StartExisting(t, s.Major, second.restore(id), nil)
	c.WaitRecovered()
	last.Check(t, c)
}

func TestDebiansBarmanAndOursCopyFromEachOther(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, plainFiles+strings.Replace(receiveLZ4, "    transform \"compress\" { codec = \"lz4\" }\n", "", 1))
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	s.receive()
	id := s.backup()
	w.WaitRows(50)
	last := w.Stop()
	s.streamed(last.LSN)
	s.SwitchWAL()
	s.allStreamed()
	s.home.Must("archive-wal", "main")

	ours := pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: []string{pgtest.BarmanBin(t)}, Env: map[string]string{"BARMAN_CONFIG_FILE": s.home.Config}})
	middle := newCatalogue(t, pgtest.Scratch(t)).with("conninfo", "host=127.0.0.1 port=1", "primary_ssh_command", "ssh "+ours.User+"@first")
	run := func(args ...string) pgtest.Result {
		cmd := exec.CommandContext(t.Context(), debian(t, "barman"), append([]string{"-c", middle.barmanConf()}, args...)...)
		cmd.Env = append(os.Environ(), "PATH="+ours.ClientPath())
		return pgtest.Run(t, cmd)
	}
	// cron keeps what the primary said, and leaves the copying to other processes.
	if r := run("cron"); r.Code != 0 {
		t.Fatalf("%+v", r)
	}
	eventually(t, "Debian's barman has copied the backup", func() bool {
		r := run("list-backup", "--minimal", "main")
		return strings.Contains(r.Stdout, id) && strings.Contains(run("show-backup", "main", id).Stdout, "DONE")
	})
	if r := run("cron"); r.Code != 0 {
		t.Fatalf("%+v", r)
	}
	eventually(t, "Debian's barman has copied WAL", func() bool {
		_, err := os.Stat(middle.path("wals", "sync-wals.info"))
		return err == nil
	})
	// And what it has is copied from it.
	debians := pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: []string{filepath.Dir(debian(t, "barman"))}, Env: map[string]string{"BARMAN_CONFIG_FILE": middle.barmanConf()}})
	third := s.passive(debians)
	third.home.Must("sync-backup", "main")
	third.home.Must("sync-wals", "main")
	third.wantStatuses("DONE")
	c := pgtest.StartExisting(t, s.Major, third.restore(id), nil)
	c.WaitRecovered()
	last.Check(t, c)
}
