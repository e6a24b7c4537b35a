package recovery

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/hostfs"
)

// written writes the settings into an empty data directory and returns its
// files' content.
func written(t *testing.T, s settings, before map[string]string) map[string]string {
	t.Helper()
	s.host, s.directory = hostfs.Local{}, t.TempDir()
	for name, content := range before {
		if err := os.WriteFile(filepath.Join(s.directory, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.write(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(s.directory)
	if err != nil {
		t.Fatal(err)
	}
	after := map[string]string{}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(s.directory, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		after[entry.Name()] = string(content)
	}
	return after
}

// staged are settings of a server whose WAL waits in a directory.
func staged(s settings, directory string) settings {
	s.restore, s.end = fromDirectory(directory)
	return s
}

// values are the settings of a configuration file as PostgreSQL reads it: of
// several for one name the last counts.
func values(t *testing.T, content string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for line := range strings.Lines(content) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, quoted, ok := strings.Cut(line, " = ")
		if !ok || len(quoted) < 2 || quoted[0] != '\'' || quoted[len(quoted)-1] != '\'' {
			t.Fatalf("not a setting: %q", line)
		}
		found[name] = strings.NewReplacer(`''`, `'`, `\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(quoted[1 : len(quoted)-1])
	}
	return found
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 500_000_000, time.FixedZone("", 2*60*60))

func TestSettingsByVersion(t *testing.T) {
	recovery := map[string]string{
		"restore_command": "cp /d/barman_wal/%f %p", "recovery_end_command": "rm -fr /d/barman_wal",
		"recovery_target_time": "2026-01-02 12:00:00.5+02:00", "recovery_target_timeline": "3", "recovery_target_action": "promote",
	}
	target := Target{Time: &noon, Timeline: "3", Action: "promote"}
	for _, version := range []int{100023, 110022, 120022, 150004, 180001} {
		after := written(t, staged(settings{version: version, target: target}, "/d/barman_wal"), nil)
		auto := values(t, after["postgresql.auto.conf"])
		if auto["archive_command"] != "false" {
			t.Errorf("%d: archive_command %q", version, auto["archive_command"])
		}
		if library, there := auto["archive_library"]; there != (version >= 150000) || library != "" {
			t.Errorf("%d: archive_library %q, %t", version, library, there)
		}
		if version < 120000 {
			if diff := cmp.Diff(recovery, values(t, after["recovery.conf"])); diff != "" {
				t.Errorf("%d: %s", version, diff)
			}
			if len(auto) != 1 || len(after) != 2 {
				t.Errorf("%d: %v", version, after)
			}
			continue
		}
		for name, value := range recovery {
			if auto[name] != value {
				t.Errorf("%d: %s = %q, expected %q", version, name, auto[name], value)
			}
		}
		if content, there := after["recovery.signal"]; !there || content != "" || len(after) != 2 {
			t.Errorf("%d: %v", version, after)
		}
	}
}

func TestEveryTargetHasItsSetting(t *testing.T) {
	for name, test := range map[string]struct {
		target Target
		want   map[string]string
	}{
		"end of the archive": {Target{}, map[string]string{}},
		"xid, exclusive":     {Target{XID: "1234", Exclusive: true}, map[string]string{"recovery_target_xid": "1234", "recovery_target_inclusive": "false"}},
		"lsn":                {Target{LSN: "0/3000148"}, map[string]string{"recovery_target_lsn": "0/3000148"}},
		"name with a quote":  {Target{Name: `it's \ here`}, map[string]string{"recovery_target_name": `it's \ here`}},
		"immediate":          {Target{Immediate: true, Action: "shutdown"}, map[string]string{"recovery_target": "immediate", "recovery_target_action": "shutdown"}},
		"latest timeline":    {Target{Timeline: "latest"}, map[string]string{"recovery_target_timeline": "latest"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings{version: 150004, target: test.target}
			if diff := cmp.Diff(test.want, values(t, strings.Join(s.lines(), "\n"))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheCurrentTimelineHasANameSinceVersion12(t *testing.T) {
	for version, want := range map[int]int{110000: 0, 120000: 1} {
		if got := (settings{version: version, target: Target{Timeline: "current"}}).lines(); len(got) != want {
			t.Errorf("%d: %q", version, got)
		}
	}
}

// A server that was recovered once has the settings of that recovery in its
// backups. None of them may meet the next recovery.
func TestAnEarlierRecoverysSettingsDoNotCount(t *testing.T) {
	earlier := written(t, staged(settings{version: 150004, target: Target{LSN: "0/1", Exclusive: true, Timeline: "2", Action: "shutdown"}}, "/old/barman_wal"),
		map[string]string{"postgresql.auto.conf": "work_mem = '1GB'\narchive_library = 'basic_archive'\n\n\n"})
	standby := values(t, written(t, settings{version: 150004, standby: true, target: Target{}}, earlier)["postgresql.auto.conf"])
	want := map[string]string{
		"work_mem": "1GB", "archive_command": "false", "archive_library": "", "archive_cleanup_command": "",
		"restore_command": "", "recovery_end_command": "",
		"recovery_target": "", "recovery_target_name": "", "recovery_target_time": "", "recovery_target_xid": "", "recovery_target_lsn": "",
		"recovery_target_inclusive": "on", "recovery_target_action": "pause", "recovery_target_timeline": "latest",
	}
	if diff := cmp.Diff(want, standby); diff != "" {
		t.Error(diff)
	}
	again := values(t, written(t, staged(settings{version: 150004, target: Target{Name: "here"}}, "/new"), earlier)["postgresql.auto.conf"])
	want["restore_command"], want["recovery_end_command"], want["recovery_target_name"] = "cp /new/%f %p", "rm -fr /new", "here"
	if diff := cmp.Diff(want, again); diff != "" {
		t.Error(diff)
	}
}

func TestABackupOfAStandbyBecomesWhatWasAskedFor(t *testing.T) {
	for _, before := range []string{"standby.signal", "recovery.signal"} {
		for standby, want := range map[bool]string{false: "recovery.signal", true: "standby.signal"} {
			after := written(t, staged(settings{version: 150004, standby: standby}, "/d"), map[string]string{before: ""})
			delete(after, "postgresql.auto.conf")
			if diff := cmp.Diff(map[string]string{want: ""}, after); diff != "" {
				t.Errorf("%s: %s", before, diff)
			}
		}
	}
	after := written(t, settings{version: 110000, standby: true}, nil)
	if got := values(t, after["recovery.conf"])["standby_mode"]; got != "on" {
		t.Errorf("standby_mode %q", got)
	}
}

// command is what the shell gets: PostgreSQL puts names in for %f and %p, and
// one percent sign for two.
func command(value, f, p string) string {
	var out strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '%' || i+1 == len(value) {
			out.WriteByte(value[i])
			continue
		}
		i++
		out.WriteString(map[byte]string{'f': f, 'p': p, '%': "%"}[value[i]])
	}
	return out.String()
}

func TestCommandsWorkWhateverTheDestinationIsCalled(t *testing.T) {
	for _, name := range []string{"plain", "with space", "it's", `quo"te`, "per%cent", "100%f", "%p", `back\slash`, "dollar$HOME", "`tick`", "a;b&c|d", "ä", "*", "-x", "#x", "new\nline", "'", `\'`} {
		waiting := filepath.Join(t.TempDir(), name, "barman_wal")
		if err := os.MkdirAll(waiting, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(waiting, "000000010000000000000001"), []byte("WAL"), 0o600); err != nil {
			t.Fatal(err)
		}
		lines := staged(settings{version: 150004}, waiting).lines()
		if slices.ContainsFunc(lines, func(l string) bool { return strings.ContainsAny(l, "\r\n") }) {
			t.Errorf("%q: a setting of several lines: %q", name, lines)
		}
		got := values(t, strings.Join(lines, "\n"))
		to := filepath.Join(t.TempDir(), "RECOVERYXLOG")
		if out, err := exec.Command("sh", "-c", command(got["restore_command"], "000000010000000000000001", to)).CombinedOutput(); err != nil {
			t.Errorf("%q: %s: %v: %s", name, got["restore_command"], err, out)
			continue
		}
		if content, err := os.ReadFile(to); err != nil || string(content) != "WAL" {
			t.Errorf("%q: restored %q, %v", name, content, err)
		}
		// What is not there must look so to PostgreSQL: an exit code up to 125.
		err := exec.Command("sh", "-c", command(got["restore_command"], "000000010000000000000002", to)).Run()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() < 1 || exit.ExitCode() > 125 {
			t.Errorf("%q: a missing segment: %v", name, err)
		}
		if out, err := exec.Command("sh", "-c", command(got["recovery_end_command"], "", "")).CombinedOutput(); err != nil {
			t.Errorf("%q: %v: %s", name, err, out)
		}
		if _, err := os.Stat(waiting); !os.IsNotExist(err) {
			t.Errorf("%q: after the end of recovery: %v", name, err)
		}
	}
}
