package recovery

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/sdk"
)

var update = flag.Bool("update", false, "write the golden files anew")

// configured makes a directory of configuration files.
func configured(t *testing.T, files map[string]string) string {
	t.Helper()
	directory := t.TempDir()
	for name, content := range files {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// told are settings as the console has them.
func told(settings []Setting) string {
	var out strings.Builder
	for _, s := range settings {
		value := "None"
		if s.Value != nil {
			value = *s.Value
		}
		out.WriteString(s.File + " " + strconv.Itoa(s.Line) + ": " + s.Key + " = " + value + "\n")
	}
	return out.String()
}

func TestSettingsThatDoHarmBecomeComments(t *testing.T) {
	directory := configured(t, map[string]string{
		"postgresql.conf": "# archive_command = 'x'\nport = 5432\narchive_command = 'cp %p /archive/%f'\nArchive_Command 'again' # why not\n" +
			"recovery_target_time='x'\ninclude_dir 'conf.d'\ninclude = 'more.conf'\ninclude_if_exists = '../outside.conf'\nmy.archive_command = 'x'\n" +
			"synchronous_standby_names = '*'\nhba_file = '/etc/hba' # here\n",
		"postgresql.auto.conf": "primary_conninfo = ''\nprimary_slot_name = 'mine'\nrestore_command = 'old'",
		"pg_hba.conf":          "",
		"conf.d/a.conf":        "archive_command = 'from a'\n",
		"conf.d/.hidden.conf":  "archive_command = 'hidden'\n",
		"conf.d/a.txt":         "archive_command = 'text'\n",
		"more.conf":            "include 'more.conf'\ninclude 'deep/deeper.conf'\narchive_library = 'basic_archive'\n",
		"deep/deeper.conf":     "include 'other.conf'\n",
		"deep/other.conf":      "recovery_target = immediate\n",
		"unused.conf":          "archive_command = 'unused'\n",
	})
	outside := filepath.Join(filepath.Dir(directory), "outside.conf")
	if err := os.WriteFile(outside, []byte("archive_command = 'outside'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := safeguard(hostfs.Local{}, directory, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Join([]string{
		"postgresql.conf 3: archive_command = false", "postgresql.conf 4: archive_command = false", "postgresql.conf 5: recovery_target_time = None",
		"conf.d/a.conf 1: archive_command = false", "more.conf 3: archive_library = None", "deep/other.conf 1: recovery_target = None",
		"postgresql.auto.conf 3: restore_command = None",
	}, "\n")+"\n", told(found.Changed)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(strings.Join([]string{
		"postgresql.conf 8: include_dir = 'conf.d'", "postgresql.conf 9: include = 'more.conf'", "postgresql.conf 10: include_if_exists = '../outside.conf'",
		"postgresql.conf 12: synchronous_standby_names = '*'", "postgresql.conf 13: hba_file = '/etc/hba' # here",
		"more.conf 1: include = 'more.conf'", "more.conf 2: include = 'deep/deeper.conf'", "deep/deeper.conf 1: include = 'other.conf'",
		"postgresql.auto.conf 2: primary_slot_name = 'mine'",
	}, "\n")+"\n", told(found.Dangerous)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"pg_ident.conf"}, found.Missing); diff != "" {
		t.Error(diff)
	}
	after := tree(t, directory)
	want := "# archive_command = 'x'\nport = 5432\n#BARMAN#archive_command = 'cp %p /archive/%f'\narchive_command = false\n" +
		"#BARMAN#Archive_Command 'again' # why not\narchive_command = false\n#BARMAN#recovery_target_time='x'\n"
	if !strings.HasPrefix(after["postgresql.conf"], want) {
		t.Errorf("%s", after["postgresql.conf"])
	}
	if !strings.HasPrefix(after["postgresql.conf.origin"], "# archive_command = 'x'\nport = 5432\narchive_command = 'cp") {
		t.Errorf("%s", after["postgresql.conf.origin"])
	}
	for name, unchanged := range map[string]string{"conf.d/.hidden.conf": "hidden", "conf.d/a.txt": "text", "unused.conf": "unused"} {
		if after[name] != "archive_command = '"+unchanged+"'\n" {
			t.Errorf("%s: %s", name, after[name])
		}
	}
	if info, err := os.Stat(filepath.Join(directory, "postgresql.conf")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if content, err := os.ReadFile(outside); string(content) != "archive_command = 'outside'\n" {
		t.Errorf("%s, %v", content, err)
	}
}

func TestWhatLooksLikeAConfigurationFileAndIsNoneIsDamage(t *testing.T) {
	directory := t.TempDir()
	if err := os.Mkdir(filepath.Join(directory, "postgresql.conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := safeguard(hostfs.Local{}, directory, "")
	wantError(t, err, sdk.Corrupt, "postgresql.conf")
}

func FuzzNoSettingThatDoesHarmStays(f *testing.F) {
	for _, text := range []string{"archive_command = 'x'", "  ARCHIVE_COMMAND\t'x'\n", "recovery_target_xid=1\r\n#", "include 'x'", "a=b\n\n", "archive_command", "'", "\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := &safeguarding{done: map[string]bool{}}
		once, _ := s.rewrite("f", text)
		again := &safeguarding{done: map[string]bool{}}
		for line := range strings.Lines(once) {
			l, ok := parseLine(line)
			value, harms := mangled[l.key]
			if ok && harms && l.rest != value {
				t.Errorf("%q of %q", line, text)
			}
		}
		// Comments and nothing else were added: without them it is the text.
		var before strings.Builder
		for line := range strings.Lines(once) {
			if rest, was := strings.CutPrefix(line, mangledPrefix); was {
				before.WriteString(rest)
			} else if line != "archive_command = false\n" {
				before.WriteString(line)
			}
		}
		if len(s.found.Changed) == 0 && once != text {
			t.Errorf("%q became %q", text, once)
		}
		_, _ = again.rewrite("f", once)
	})
}

func FuzzIncludesStayInTheDataDirectory(f *testing.F) {
	for _, text := range []string{"include 'a''b'", "include a # b", "include '../x'", `include 'a\'b'`, "include_dir = ''", "include '/etc/passwd'"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, ok := parseLine(text)
		if !ok {
			return
		}
		if value := l.value(); len(value) > len(text) {
			t.Errorf("%q is %q", text, value)
		}
	})
}

// The settings of each version are in testdata/settings, as they are written into
// an empty data directory.
func TestSettingsOfEveryVersionAreAsTheyWere(t *testing.T) {
	at := time.Date(2026, 1, 2, 12, 0, 0, 500_000_000, time.FixedZone("", 2*60*60))
	for _, version := range []int{90624, 100023, 110022, 120022, 130018, 140015, 150010, 160006, 170002, 180001} {
		for name, s := range map[string]settings{
			"time":    staged(settings{target: Target{Time: &at, Timeline: "3", Action: "promote", Exclusive: true}}, "/srv/pg/barman_wal"),
			"end":     staged(settings{}, "/srv/pg/barman_wal"),
			"standby": {target: Target{Timeline: "current"}, standby: true},
			"other":   staged(settings{target: Target{Immediate: true}, file: "recovery.inc"}, "/srv/pg/barman_wal"),
		} {
			s.version = version
			var out strings.Builder
			after := written(t, s, nil)
			for _, file := range []string{"recovery.conf", "postgresql.auto.conf", "recovery.inc", "recovery.signal", "standby.signal"} {
				if content, there := after[file]; there {
					out.WriteString("== " + file + "\n" + content)
				}
			}
			golden := filepath.Join("testdata", "settings", strconv.Itoa(version/10000)+"."+name)
			if *update {
				if err := os.WriteFile(golden, []byte(out.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		}
	}
}
