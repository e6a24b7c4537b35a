package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// fillers are how many tables of some megabytes the cluster of a remote recovery has
// besides pgbench's, so that one in a hundred files can change.
const fillers = 200

// BenchmarkRemote measures recoveries to another host: an sshd on the loopback
// interface.
func BenchmarkRemote(b *testing.B) {
	s := newSite(b)
	for i := range fillers {
		s.cluster.Exec(fmt.Sprintf("CREATE TABLE filler_%d AS SELECT repeat('x', 900) AS x, n FROM generate_series(1, 5000) n", i))
	}
	s.cluster.Exec("CHECKPOINT")
	// Files of the seconds before a backup count as changed in a delta restore.
	time.Sleep(5 * time.Second)
	s.backup("plain").run()
	host := pgtest.StartSSHD(b, pgtest.SSHDOptions{})
	s.runParts(b,
		part{"full", "Recovery to another host", func(s *site, r *report) {
			r.versus("Of a backup in plain files, over one connection of ssh on the loopback interface, synced at the end; beside `rsync -a` of the same files over the same ssh, and then `sync -f`. "+s.database(), 1/0.9,
				[2]string{"barman", "rsync"}, compare(s.B, s.recoverRemotely(host), s.rsyncRemotely(host)))
		}},
		part{"delta", "Delta restore on another host", func(s *site, r *report) {
			r.versus("After one in a hundred files has changed; beside a full recovery, both over ssh on the loopback interface. "+s.database(), 0.2,
				[2]string{"delta", "full"}, compare(s.B, s.restoreDelta(host), s.recoverRemotely(host)))
		}},
	)
}

func (s *site) remoteCommand(host *pgtest.SSHD) string {
	return host.Client + "/ssh " + host.User + "@newhost"
}

// recoverRemotely is a contender that recovers the plain backup to the other host.
func (s *site) recoverRemotely(host *pgtest.SSHD) contender {
	return contender{name: "barman recover", run: func() sample {
		to := s.place("remote")
		measured := run(s.B, s.home.Command("-q", "recover", "plain", "last", to, "--target-immediate", "--remote-ssh-command", s.remoteCommand(host)), 0)
		measured.stored = size(s.B, to)
		return measured
	}}
}

func (s *site) rsyncRemotely(host *pgtest.SSHD) contender {
	return contender{name: "rsync -a", run: func() sample {
		backups, err := filepath.Glob(filepath.Join(s.base("plain"), "*", "data"))
		if err != nil || len(backups) != 1 {
			s.Fatalf("%v, %v", backups, err)
		}
		to := s.place("rsynced")
		ssh := host.Client + "/ssh"
		copying := exec.Command("sh", "-c", `rsync -a -e "$1" "$2/" "$3:$4" && "$1" "$3" sync -f "$4"`, "sh", ssh, backups[0], host.User+"@newhost", to)
		measured := run(s.B, copying, 0)
		measured.stored = size(s.B, to)
		return measured
	}}
}

// restoreDelta is a contender that brings a directory back in which one in a hundred
// files has changed.
func (s *site) restoreDelta(host *pgtest.SSHD) contender {
	to := filepath.Join(s.scratch, "changed")
	command := func(more ...string) *exec.Cmd {
		return s.home.Command(append([]string{"-q", "recover", "plain", "last", to, "--target-immediate", "--remote-ssh-command", s.remoteCommand(host)}, more...)...)
	}
	return contender{name: "delta", run: func() sample {
		if _, err := os.Stat(to); os.IsNotExist(err) {
			run(s.B, command(), 0)
		}
		files, err := filepath.Glob(filepath.Join(to, "base", "*", "[0-9]*"))
		if err != nil {
			s.Fatal(err)
		}
		for i, file := range files {
			if info, err := os.Stat(file); err != nil || i%100 != 0 || info.Size() == 0 {
				continue
			}
			if err := os.WriteFile(file, []byte("changed"), 0o600); err != nil {
				s.Fatal(err)
			}
		}
		return run(s.B, command("--delta-restore"), 0)
	}}
}
