package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// Patroni hands the commands of its configuration to a shell.
func TestPatronisCommandsMakeReplicasAndNewClusters(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, zstdTar+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	s.receive()
	s.backup()
	w.WaitRows(50)
	moment := w.Moment("")
	w.WaitRows(50)
	last := w.Stop()
	s.streamed(last.LSN)
	s.SwitchWAL()
	s.allStreamed()
	s.home.Must("archive-wal", "main")
	backup := pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: []string{pgtest.EveryonesBin(t)}, Env: map[string]string{"BARMAN_CONFIG_FILE": s.home.Config}})
	host := elsewhere{backup, t}

	text, err := os.ReadFile("../examples/patroni/patroni.yml")
	if err != nil {
		t.Fatal(err)
	}
	// A folded text of YAML: its lines are joined by spaces.
	var commands []string
	for _, found := range regexp.MustCompile(`command: >-\n((?: {6,}.*\n)+)`).FindAllStringSubmatch(string(text), -1) {
		commands = append(commands, strings.Join(strings.Fields(found[1]), " "))
	}
	if len(commands) != 2 {
		t.Fatalf("%d commands in patroni.yml: %q", len(commands), commands)
	}
	make := func(command string) fetched {
		directory, _ := s.destination()
		pgtest.Own(t, filepath.Dir(directory))
		command = strings.NewReplacer(
			"/var/lib/postgresql/15/main", directory, "'ssh postgres@node2'", "'"+host.Client+"/ssh "+host.User+"@node2'",
			"barman@backup.example.com", host.User+"@backup.example.com", "2026-01-31 15:04:05+01:00", moment.Time,
		).Replace(command)
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Env = append(os.Environ(), "PATH="+host.ClientPath())
		if r := pgtest.Run(t, cmd); r.Code != 0 {
			t.Fatalf("%s: exit code %d\n%s%s", command, r.Code, r.Stdout, r.Stderr)
		}
		content, err := os.ReadFile(filepath.Join(directory, "postgresql.auto.conf"))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`restore_command = '(barman-wal-restore.*)'`).FindStringSubmatch(string(content))
		if found == nil {
			t.Fatalf("WAL is not fetched from barman:\n%s", content)
		}
		return fetched{directory: directory, command: found[1]}
	}
	restored, replica := make(commands[0]), make(commands[1])
	cluster := pgtest.StartExisting(t, s.Major, restored.directory, host.settings(restored))
	cluster.WaitRecovered()
	moment.Check(t, cluster)
	standby := pgtest.StartExisting(t, s.Major, replica.directory, host.settings(replica))
	standby.Wait("SELECT pg_is_in_recovery() AND (SELECT max(id) FROM written) = $1", last.Row)
	last.Check(t, standby)
}
