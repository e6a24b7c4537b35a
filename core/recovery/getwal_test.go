package recovery

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

func TestCommandsThatFetchWAL(t *testing.T) {
	here := GetWAL{Executable: "/usr/bin/barman"}
	configured := GetWAL{Executable: "/usr/bin/barman", Configuration: "/srv/barman.hcl"}
	there := GetWAL{Executable: "/usr/bin/barman", Host: "backup.example.com"}
	port := GetWAL{Executable: "/usr/bin/barman", Configuration: "/srv/barman.hcl", Host: "backup.example.com", Port: 2222}
	for _, test := range []struct{ got, want string }{
		{here.onThisHost(nil, "main", true), "/usr/bin/barman get-wal -P main %f > %p"},
		{here.onThisHost(nil, "main", false), "/usr/bin/barman get-wal main %f > %p"},
		{configured.onThisHost([]string{"sudo", "-n", "-u", "barman"}, "main", false), "sudo -n -u barman /usr/bin/barman -c /srv/barman.hcl get-wal main %f > %p"},
		{configured.permission("main", true), "/usr/bin/barman ^-c /srv/barman\\.hcl get-wal -P main [0-9A-Za-z.]+$"},
		{there.overSSH("main", "barman", true, 1), "barman-wal-restore -P -U barman backup.example.com main %f %p"},
		{there.overSSH("main", "barman", false, 4), "barman-wal-restore -U barman backup.example.com main %f %p -p 4"},
		{port.overSSH("main", "barman", true, 1), "barman-wal-restore -P -U barman --port 2222 -c /srv/barman.hcl backup.example.com main %f %p"},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Error(diff)
		}
	}
}

// echo writes its arguments, one a line, to standard output.
const echo = "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"

func TestACommandThatFetchesWALWorksWhateverTheFilesAreCalled(t *testing.T) {
	for _, name := range []string{"plain", "with space", "it's", `quo"te`, "per%cent", "100%f", "%p", `back\slash`, "dollar$HOME", "`tick`", "$(tick)", "a;b&c|d>e", "ä", "*", "-x", "#x", "new\nline", `\'`} {
		directory := filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(directory, 0o700); err != nil {
			t.Fatal(err)
		}
		g := GetWAL{Executable: filepath.Join(directory, "barman"), Configuration: filepath.Join(directory, "barman.hcl")}
		if err := os.WriteFile(g.Executable, []byte(echo), 0o700); err != nil {
			t.Fatal(err)
		}
		lines := settings{version: 150004, restore: g.onThisHost(nil, "main", true)}.lines()
		got := values(t, strings.Join(lines, "\n"))
		to := filepath.Join(t.TempDir(), "RECOVERYXLOG")
		if out, err := exec.Command("sh", "-c", command(got["restore_command"], "000000010000000000000001", to)).CombinedOutput(); err != nil {
			t.Errorf("%q: %s: %v: %s", name, got["restore_command"], err, out)
			continue
		}
		content, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Join([]string{"-c", g.Configuration, "get-wal", "-P", "main", "000000010000000000000001"}, "\n") + "\n"
		if diff := cmp.Diff(want, string(content)); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
}

func TestWithGetWALNothingOfTheArchiveIsCopied(t *testing.T) {
	for standby, want := range map[bool]string{false: " get-wal -P main %f > %p", true: " get-wal main %f > %p"} {
		s := newSite(t, noTransform+walLine)
		s.putPlain("", asIs)
		s.wal(segmentName(2, 0x21), asIs)
		s.stream(segmentName(2, 0x22)+".partial", "streamed "+segmentName(2, 0x22))
		report := s.mustRun(Request{Standby: standby, GetWAL: &GetWAL{Executable: "/usr/bin/barman"}})
		if report.WALFiles != 0 || report.WALDirectory != "" || !strings.Contains(report.RestoreCommand, want) {
			t.Errorf("%+v", report)
		}
		found := tree(t, report.Destination)
		for name := range found {
			if strings.Contains(name, segmentName(2, 0x21)) || strings.Contains(name, "barman_wal") {
				t.Errorf("%s is there", name)
			}
		}
		if _, there := found["pg_wal/archive_status/"]; !there {
			t.Error("pg_wal is not complete")
		}
		auto := values(t, found["postgresql.auto.conf"])
		if auto["restore_command"] != report.RestoreCommand || auto["recovery_end_command"] != "" {
			t.Errorf("%v", auto)
		}
	}
}

func TestAServerOfAnotherUserIsToldToGoThroughSudo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test gives directories to other users: run it as root")
	}
	for name, test := range map[string]struct {
		catalogue, destination int
		want                   string
	}{
		"the catalogue's owner": {1, 1, "/usr/bin/barman "},
		"another user":          {1, 2, "sudo -l -n -u daemon /usr/bin/barman "},
		"nobody knows":          {1, 0, "sudo -l -n -u daemon /usr/bin/barman "},
		"without a name":        {54321, 1, `sudo -l -n -u '#54321' /usr/bin/barman `},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, noTransform)
			s.putPlain("", asIs)
			root := t.TempDir()
			for path, owner := range map[string]int{s.dir: test.catalogue, root: test.destination} {
				if err := os.Chown(path, owner, owner); err != nil {
					t.Fatal(err)
				}
			}
			report := s.mustRun(Request{Destination: filepath.Join(root, "data"), GetWAL: &GetWAL{Executable: "/usr/bin/barman"}})
			if !strings.HasPrefix(report.RestoreCommand, test.want) {
				t.Errorf("%s", report.RestoreCommand)
			}
			through := strings.HasPrefix(test.want, "sudo")
			if told := strings.Contains(strings.Join(report.Warnings, "\n"), "NOPASSWD: /usr/bin/barman ^get-wal -P main [0-9A-Za-z.]+$'"); told != through {
				t.Errorf("%q", report.Warnings)
			}
		})
	}
}

func TestAHostThatSSHWouldTakeForAnOptionIsRefused(t *testing.T) {
	s := newSite(t, noTransform)
	s.putPlain("", asIs)
	for _, get := range []GetWAL{
		{Host: "-oProxyCommand=touch /tmp/x"}, {Host: "a b"}, {Host: "a\nb"}, {Host: "a@b"},
		{Host: "backup", User: "-l"}, {Host: "backup", User: "a b"}, {Host: "backup", Port: 65536}, {User: "barman"}, {Port: 22},
	} {
		destination := filepath.Join(t.TempDir(), "data")
		_, err := s.run(Request{Destination: destination, GetWAL: &get})
		if sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%+v: %v", get, err)
		}
		if _, err := os.Stat(destination); !os.IsNotExist(err) {
			t.Errorf("%+v: the destination was made: %v", get, err)
		}
	}
}

// sudoer stands for sudo: it does not allow the user of $DENIED anything.
const sudoer = `#!/bin/sh
list=
[ "$1" = -l ] && { list=yes; shift; }
[ "$3" = "$DENIED" ] && exit 1
shift 3
[ "$list" ] || exec "$@"
`

func TestWhatSudoRefusesIsNotTheEndOfTheArchive(t *testing.T) {
	directory := t.TempDir()
	g := GetWAL{Executable: filepath.Join(directory, "barman")}
	if err := os.WriteFile(filepath.Join(directory, "sudo"), []byte(sudoer), 0o700); err != nil {
		t.Fatal(err)
	}
	restore := command(g.onThisHost([]string{"sudo", "-n", "-u", "barman"}, "main", true), "000000010000000000000001", filepath.Join(directory, "RECOVERYXLOG"))
	for _, test := range []struct {
		denied, barman string
		want           int
	}{{"nobody", "exit 0", 0}, {"nobody", "exit 1", 1}, {"nobody", "exit 2", 202}, {"nobody", "exit 6", 202}, {"nobody", "kill -9 $$", 202}, {"barman", "exit 0", 202}} {
		if err := os.WriteFile(g.Executable, []byte("#!/bin/sh\n"+test.barman+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", restore)
		cmd.Env = []string{"PATH=" + directory + ":/usr/bin:/bin", "DENIED=" + test.denied}
		out, err := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != test.want {
			t.Errorf("%+v: exit code %d, %v\n%s", test, got, err, out)
		}
	}
}
