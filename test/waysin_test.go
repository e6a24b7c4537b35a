package test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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
// with what is archived, from the first backup on if there is one.
func (s *site) wantArchiveLikeServer() {
	s.t.Helper()
	archived := s.archivedSegments()
	last := pgtest.One[string](s.Cluster, "SELECT last_archived_wal FROM pg_stat_archiver")
	first := s.firstBegin()
	compared := 0
	entries, err := os.ReadDir(filepath.Join(s.DataDir, "pg_wal"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if len(name) != 24 || name < first || name > last {
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

// firstBegin is the first segment that any backup needs; what is older serves
// nobody once there is a backup.
func (s *site) firstBegin() string {
	s.t.Helper()
	paths, err := filepath.Glob(s.path("base", "*", "backup.info"))
	if err != nil {
		s.t.Fatal(err)
	}
	first := ""
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			begin, found := strings.CutPrefix(strings.TrimSpace(line), "begin_wal=")
			if found && begin != "None" && (first == "" || begin < first) {
				first = begin
			}
		}
	}
	return first
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

// largeSegment is a file that takes a while to send.
func largeSegment(t *testing.T) string {
	t.Helper()
	path := filepath.Join(pgtest.Scratch(t), "00000001000000000000000A")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 128<<20); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestADeliveryThatIsCutOffLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	home := pgtest.NewHome(t, "server \"main\" {\n  conninfo = \"host=x\"\n"+byArchiveCommand+"}\n")
	options := pgtest.SSHDOptions{Path: []string{pgtest.BarmanBin(t)}, Env: map[string]string{"BARMAN_CONFIG_FILE": home.Config}}
	host := pgtest.StartSSHD(t, options)
	path := largeSegment(t)
	send := func(host *pgtest.SSHD) *background {
		cmd := exec.CommandContext(t.Context(), filepath.Join(pgtest.BarmanBin(t), "barman-wal-archive"), "-U", host.User, "backup", "main", path)
		cmd.Env = append(os.Environ(), "PATH="+host.ClientPath())
		return start(t, cmd)
	}
	incoming := func() []string {
		var names []string
		entries, err := os.ReadDir(filepath.Join(home.Dir, "main", "incoming"))
		if err := ignoreMissing(err); err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return names
	}
	begun := func() bool { return len(incoming()) > 0 }

	client := send(host)
	eventually(t, "the file is being sent", begun)
	client.signal(syscall.SIGKILL)
	client.end()
	eventually(t, "nothing of it is there", func() bool { return len(incoming()) == 0 })

	client = send(host)
	eventually(t, "the file is being sent", begun)
	host.Stop() // and what runs over it
	if r := client.end(); r.Code != 3 {
		t.Errorf("the connection is lost: %+v", r)
	}
	// Who was killed leaves it behind; who only lost the connection tidies up.
	if names := incoming(); len(names) > 1 || len(names) == 1 && !strings.HasPrefix(names[0], ".") {
		t.Fatalf("the file, or more than what a killed process leaves, is there: %q", names)
	}

	if r := send(pgtest.StartSSHD(t, options)).end(); r.Code != 0 {
		t.Errorf("sent again: %+v", r)
	}
	if names := incoming(); len(names) != 1 || names[0] != filepath.Base(path) {
		t.Errorf("there are %q", names)
	}
	run(t, "cmp", path, filepath.Join(home.Dir, "main", "incoming", filepath.Base(path)))
}

// walSegment writes a segment that a cluster of small segments could have.
func walSegment(t *testing.T, name string) string {
	t.Helper()
	content := make([]byte, 1<<20)
	number, err := strconv.ParseUint(name[16:], 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	le.PutUint16(content[0:], 0xD110)
	le.PutUint16(content[2:], 2)
	le.PutUint32(content[4:], 1)
	le.PutUint64(content[8:], number<<20)
	le.PutUint64(content[24:], 7300000000000000001)
	le.PutUint32(content[32:], 1<<20)
	le.PutUint32(content[36:], 8192)
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHooksAreToldOfWhatWALArchiveBringsAndMayRefuseIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script, log := filepath.Join(dir, "hook"), filepath.Join(dir, "log")
	content := "#!/bin/sh\necho \"$BARMAN_PHASE $BARMAN_SEGMENT $BARMAN_FILE $BARMAN_ERROR\" >>" + log + "\ntest \"$BARMAN_SEGMENT\" != 000000010000000000000002 || exit 63\n"
	if err := os.WriteFile(script, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	home := pgtest.NewHome(t, fmt.Sprintf("server \"main\" {\n  conninfo = \"host=x\"\n%s  hook \"pre_archive\" {\n    script = %q\n    retry = true\n  }\n  hook \"post_archive\" { script = %q }\n}\n", byArchiveCommand, script, script))
	first, second := walSegment(t, "000000010000000000000001"), walSegment(t, "000000010000000000000002")
	home.Must("wal-archive", "main", first)
	if r := home.Run("wal-archive", "main", second); r.Code == 0 || !strings.Contains(r.Stderr, "000000010000000000000002") {
		t.Errorf("refused: %+v", r)
	}
	told, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	archived := filepath.Join(home.Dir, "main", "wals", "0000000100000000", filepath.Base(first))
	if want := "pre " + filepath.Base(first) + " " + first + " \npost " + filepath.Base(first) + " " + archived + " \npre "; !strings.HasPrefix(string(told), want) {
		t.Errorf("the hooks were told\n%s, want\n%s", told, want)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(archived), filepath.Base(second))); !os.IsNotExist(err) {
		t.Errorf("what was refused is archived: %v", err)
	}
}

func TestASignalEndsCommandsOfPostgreSQLWithACodeItTakesForAFailure(t *testing.T) {
	t.Parallel()
	home := pgtest.NewHome(t, "server \"main\" {\n  conninfo = \"host=x\"\n"+byArchiveCommand+"}\n")
	home.Must("archive-wal", "main")
	lock, err := os.OpenFile(filepath.Join(home.Dir, ".main-archive-wal.lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	segment := walSegment(t, "000000010000000000000001")
	waiting := start(t, home.Command("wal-archive", "main", segment))
	eventually(t, "its plugins run", func() bool { return len(waiting.plugins()) == 2 })
	incoming := filepath.Join(home.Dir, "main", "incoming")
	stream := run(t, "tar", "-c", "-C", filepath.Dir(segment), filepath.Base(segment))
	reading := home.Command("put-wal", "main")
	in, err := reading.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	idle := start(t, reading)
	if _, err := io.WriteString(in, stream[:10_000]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it takes in what comes", func() bool { return bytesBelow(t, incoming) > 0 })
	for name, b := range map[string]*background{"wal-archive": waiting, "put-wal": idle} {
		b.signal(syscall.SIGTERM)
		if r := b.end(); r.Code != 2 || !strings.Contains(r.Stderr, "SIGTERM") {
			t.Errorf("%s: %+v", name, r)
		}
		b.noOrphans()
	}
	if left, err := os.ReadDir(incoming); err != nil || len(left) > 0 {
		t.Errorf("left in incoming: %v, %v", left, err)
	}
}
