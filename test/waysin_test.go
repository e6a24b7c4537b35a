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

// byArchiveCommand is a wal block of a server whose WAL comes by archive_command
// alone.
const byArchiveCommand = `
  wal {
    archive = true
    transform "compress" { codec = "lz4" }
    sink "posix" {}
  }
`

// newArchivingSite is a site whose server archives, once it has an
// archive_command. Its segments are small and stay for the test to compare.
func newArchivingSite(t *testing.T, major int) *site {
	t.Helper()
	return newSite(t, pgtest.Options{Major: major, SegmentSizeMB: 1, Config: map[string]string{
		"archive_mode": "on", "archive_command": "", "wal_keep_size": "1GB",
	}}, zstdTar+byArchiveCommand)
}

// archiveBy sets the archive_command.
func (s *site) archiveBy(command string) {
	s.t.Helper()
	s.Exec("ALTER SYSTEM SET archive_command = '" + strings.ReplaceAll(command, "'", "''") + "'")
	s.Exec("SELECT pg_reload_conf()")
}

// archivedUpTo waits until PostgreSQL was told that a segment is safe.
func (s *site) archivedUpTo(segment string) {
	s.t.Helper()
	s.Wait("SELECT coalesce(last_archived_wal >= $1, false) FROM pg_stat_archiver", segment)
}

// sshd is another host, on which barman is the one of the test, with the site's
// configuration.
func (s *site) sshd() *pgtest.SSHD {
	s.t.Helper()
	return pgtest.StartSSHD(s.t, pgtest.SSHDOptions{
		Path: []string{pgtest.EveryonesBin(s.t)}, Env: map[string]string{"BARMAN_CONFIG_FILE": s.home.Config},
	})
}

// client is the start of an archive_command that finds the clients, and the ssh
// that gets to the host.
func client(t *testing.T, host *pgtest.SSHD) string {
	t.Helper()
	return fmt.Sprintf("PATH=%s:%s:$PATH ", host.Client, pgtest.EveryonesBin(t))
}

// PostgreSQL archives, and nothing else brings WAL to barman: a backup becomes
// DONE, and recovers to the last commit before the last segment switch.
func TestArchiveCommandAloneIsEnoughForBackupAndRecovery(t *testing.T) {
	for _, way := range []struct {
		name    string
		major   int
		command func(t *testing.T, s *site) string
	}{
		{"barman-wal-archive over ssh", 18, func(t *testing.T, s *site) string {
			host := s.sshd()
			return client(t, host) + "barman-wal-archive -U " + host.User + " backup main %p"
		}},
		{"barman wal-archive", 17, func(t *testing.T, s *site) string {
			s.home.GiveToPostgres()
			return filepath.Join(pgtest.EveryonesBin(t), "barman") + " -c " + s.home.Config + " wal-archive main %p"
		}},
		{"rsync over ssh", 15, func(t *testing.T, s *site) string {
			host := s.sshd()
			return client(t, host) + "rsync -a %p " + host.User + "@backup:" + s.path("incoming") + "/%f"
		}},
		{"cp", 15, func(t *testing.T, s *site) string {
			s.home.GiveToPostgres()
			return fmt.Sprintf("test ! -f %[1]s/%%f && cp %%p %[1]s/%%f", s.path("incoming"))
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			s := newArchivingSite(t, way.major)
			command := way.command(t, s)
			s.home.Must("archive-wal", "main") // which makes the directories
			s.archiveBy(command)
			w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
			s.backup()
			w.WaitRows(50)
			last := w.Stop()
			s.archivedUpTo(s.SwitchWAL())
			s.home.Must("archive-wal", "main")
			s.wantArchiveLikeServer()

			directory, _ := s.destination()
			run(t, filepath.Join(pgtest.BarmanBin(t), "barman"), "-c", s.home.Config, "recover", "main", "latest", directory)
			c := pgtest.StartExisting(t, way.major, directory, nil)
			c.WaitRecovered()
			last.Check(t, c)
		})
	}
}

// wantArchiveLikeServer compares every segment that the server was told is safe
// with what is archived.
func (s *site) wantArchiveLikeServer() {
	s.t.Helper()
	archived := s.archivedSegments()
	last := pgtest.One[string](s.Cluster, "SELECT last_archived_wal FROM pg_stat_archiver")
	compared := 0
	entries, err := os.ReadDir(filepath.Join(s.DataDir, "pg_wal"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if len(name) != 24 || name > last {
			continue
		}
		there, err := os.ReadFile(filepath.Join(s.DataDir, "pg_wal", name))
		if err != nil {
			s.t.Fatal(err)
		}
		compared++
		if !bytes.Equal(archived[name], there) {
			s.t.Errorf("%s is archived with %d bytes that are not the server's", name, len(archived[name]))
		}
	}
	if compared == 0 {
		s.t.Error("nothing was compared")
	}
}

// archivedSegments are the archived files, decompressed by the tool.
func (s *site) archivedSegments() map[string][]byte {
	s.t.Helper()
	found := map[string][]byte{}
	paths, err := filepath.Glob(s.path("wals", "????????????????", "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, path := range paths {
		out, err := exec.Command("lz4", "-dcq", path).Output()
		if err != nil {
			s.t.Fatalf("lz4 -d %s: %v", path, err)
		}
		found[filepath.Base(path)] = out
	}
	return found
}

func TestAServerThatCannotArchiveGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	s := newArchivingSite(t, 15)
	host := s.sshd()
	s.home.Must("archive-wal", "main")
	s.archiveBy(client(t, host) + "barman-wal-archive --zstd -U " + host.User + " backup main %p")
	first := s.SwitchWAL()
	s.archivedUpTo(first)
	host.Stop()
	second := s.SwitchWAL()
	s.Wait("SELECT failed_count > 0 FROM pg_stat_archiver")
	if !pgtest.One[bool](s.Cluster, "SELECT last_archived_wal < $1 FROM pg_stat_archiver", second) {
		t.Error("a segment that nobody took counts as archived")
	}
	again := s.sshd()
	s.archiveBy(client(t, again) + "barman-wal-archive --zstd -U " + again.User + " backup main %p")
	s.archivedUpTo(second)
	out := s.home.Must("archive-wal", "main")
	if !strings.Contains(out, first) || !strings.Contains(out, second) {
		t.Errorf("archived: %s", out)
	}
	if strings.Contains(s.Log(), "archiver process") && strings.Contains(s.Log(), "was terminated") {
		t.Error("an exit code ended PostgreSQL's archiver")
	}
}

func TestClientTellsWhatWentWrongByItsExitCode(t *testing.T) {
	t.Parallel()
	home := pgtest.NewHome(t, "server \"main\" {\n  conninfo = \"host=x\"\n"+byArchiveCommand+"}\n"+
		"server \"off\" {\n  conninfo = \"host=x\"\n  wal {\n    archive = false\n    source \"pgreceivewal\" {}\n    sink \"posix\" {}\n  }\n}\n")
	host := pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: []string{pgtest.BarmanBin(t)}, Env: map[string]string{"BARMAN_CONFIG_FILE": home.Config}})
	dir := t.TempDir()
	// What a shell says without a barman; Debian's may be on the PATH.
	if err := os.WriteFile(filepath.Join(dir, "barman"), []byte("#!/bin/sh\nexit 127\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	bare := pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: []string{dir}})
	segment := filepath.Join(dir, "00000001000000000000000A")
	if err := os.WriteFile(segment, bytes.Repeat([]byte("x"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		host *pgtest.SSHD
		args []string
		code int
		says string // on either stream
	}{
		"all is well":          {host, []string{"backup", "main", segment}, 0, ""},
		"the same again":       {host, []string{"--gzip", "backup", "main", segment}, 0, ""},
		"a test":               {host, []string{"-t", "backup", "main", "DUMMY"}, 0, "Ready to accept WAL files for the server main"},
		"a test of no server":  {host, []string{"--test", "backup", "nosuch", "DUMMY"}, 1, "nosuch"},
		"another config":       {host, []string{"-c", "/nonexistent/b.hcl", "backup", "main", segment}, 1, "/nonexistent/b.hcl"},
		"a server that is off": {host, []string{"backup", "off", segment}, 3, "archive = true"},
		"a directory":          {host, []string{"backup", "main", dir}, 2, ""},
		"no file":              {host, []string{"backup", "main", segment + "0"}, 2, ""},
		"no WAL file":          {host, []string{"backup", "main", home.Config}, 2, "not the name of a WAL file"},
		"wrong usage":          {host, []string{"backup", "main"}, 2, "--help"},
		"no barman there":      {bare, []string{"backup", "main", segment}, 125, "install it there"},
		"another port":         {host, []string{"--port", "1", "backup", "main", segment}, 3, "ssh -p 1"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), filepath.Join(pgtest.BarmanBin(t), "barman-wal-archive"), append([]string{"-U", c.host.User}, c.args...)...)
			cmd.Env = append(os.Environ(), "PATH="+c.host.ClientPath())
			r := pgtest.Run(t, cmd)
			if r.Code != c.code || !strings.Contains(r.Stdout+r.Stderr, c.says) || c.code != 0 && r.Stderr == "" {
				t.Errorf("exit code %d, want %d\n%s%s", r.Code, c.code, r.Stdout, r.Stderr)
			}
		})
	}
}
