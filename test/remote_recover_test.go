package test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// otherHost is a host that a recovery goes to. There is no barman on it.
type otherHost struct{ *pgtest.SSHD }

func newOtherHost(t *testing.T) otherHost {
	t.Helper()
	return otherHost{pgtest.StartSSHD(t, pgtest.SSHDOptions{})}
}

// command leads there.
func (h otherHost) command() string { return h.Client + "/ssh " + h.User + "@newhost" }

// destination is a place on the other host, with names that a shell would take
// for something else, and the options that recover to it.
func (h otherHost) destination(s *site) (directory string, options []string) {
	scratch := pgtest.Scratch(s.t)
	pgtest.Own(s.t, scratch)
	options = []string{"--remote-ssh-command", h.command()}
	for name := range s.Tablespaces {
		options = append(options, "--tablespace", name+":"+filepath.Join(scratch, "it's a; tablespace", name))
	}
	return filepath.Join(scratch, "the data; touch $HOME", "it's"), options
}

func TestABackupIsRecoveredToAnotherHost(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15, Tablespaces: []string{"side"}, Checksums: true}, zstdTar+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "side"})
	s.receive()
	tar := s.backup()
	s.configure(plainFiles + receiveLZ4)
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // an ID is a second
	plain := s.backup()
	w.WaitRows(50)
	last := w.Stop()
	s.streamed(last.LSN)
	host := newOtherHost(t)

	for _, backup := range []string{tar, plain} {
		directory, options := host.destination(s)
		s.home.Must(slices.Concat([]string{"recover", "main", backup, directory, "--jobs", "2"}, options)...)
		if info, err := os.Stat(directory); err != nil || info.Mode().Perm() != 0o700 {
			t.Fatalf("%v, %v", info, err)
		}
		verify(t, directory)
		c := pgtest.StartExisting(t, s.Major, directory, nil)
		c.WaitRecovered()
		last.Check(t, c)
		c.Exec("DELETE FROM written")
		// A running server is left alone, and one that does not run is brought back to
		// what the backup is.
		if r := s.home.Run(slices.Concat([]string{"recover", "main", plain, directory, "--delta-restore"}, options)...); r.Code == 0 || !strings.Contains(r.Stderr, "running PostgreSQL") {
			t.Errorf("a running server: exit code %d, %s", r.Code, r.Stderr)
		}
		if backup != plain {
			continue
		}
		c.Stop(pgtest.Fast)
		if out := s.home.Must(slices.Concat([]string{"recover", "main", plain, directory, "--delta-restore", "--network-compression"}, options)...); !strings.Contains(out, "have been kept") {
			t.Errorf("nothing was kept:\n%s", out)
		}
		verify(t, directory)
		c = pgtest.StartExisting(t, s.Major, directory, nil)
		c.WaitRecovered()
		last.Check(t, c)
	}

	t.Run("killed at either end", func(t *testing.T) {
		directory, options := host.destination(s)
		args := slices.Concat([]string{"recover", "main", plain, directory, "--bwlimit", "5000"}, options)
		for _, end := range []string{"barman", "the other host"} {
			running := s.home.Command(args...)
			if err := running.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "files arrive", func() bool { _, err := os.Stat(filepath.Join(directory, "base")); return err == nil })
			if end == "barman" {
				if err := running.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			} else {
				host.Stop()
			}
			if err := running.Wait(); err == nil {
				t.Fatalf("%s was ended, and the recovery was not", end)
			}
			if guard, err := os.ReadFile(filepath.Join(directory, "postmaster.pid")); err != nil || !strings.HasPrefix(string(guard), "barman: ") {
				t.Errorf("PostgreSQL would start from half a recovery: %q, %v", guard, err)
			}
		}
		options[1] = newOtherHost(t).command()
		s.home.Must(slices.Concat([]string{"recover", "main", plain, directory}, options)...)
		verify(t, directory)
		c := pgtest.StartExisting(t, s.Major, directory, nil)
		c.WaitRecovered()
		last.Check(t, c)
	})
	t.Run("nobody there", func(t *testing.T) {
		directory, options := host.destination(s)
		if r := s.home.Run(slices.Concat([]string{"recover", "main", plain, directory}, options)...); r.Code != 2 || !strings.Contains(r.Stderr, "Connection refused") {
			t.Errorf("exit code %d, %s", r.Code, r.Stderr)
		}
	})
}
