package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// exitInvalid is the exit code of a wrong configuration.
const exitInvalid = 3

func TestAMistakeInTheConfigurationIsShownWhereItIs(t *testing.T) {
	t.Parallel()
	for _, mistake := range []struct {
		name, hcl string
		line      int // in hcl
		column    int
		says      string
		plugin    bool // it takes the plugin to know
	}{
		{"unknown block", "server \"main\" {\n  conninfo = \"host=pg\"\n  bakcup {}\n}\n", 3, 3, `Did you mean "backup"?`, false},
		{"unknown attribute", "server \"main\" {\n  conninfo = \"host=pg\"\n  descripton = \"x\"\n}\n", 3, 3, `Did you mean "description"?`, false},
		{"wrong type", "server \"main\" {\n  conninfo = \"host=pg\"\n  backup {\n    jobs = \"many\"\n  }\n}\n", 4, 12, "whole number", false},
		{"two servers of one name", "server \"main\" {\n  conninfo = \"host=a\"\n}\nserver \"main\" {\n  conninfo = \"host=b\"\n}\n", 4, 1, "main", false},
		{"unknown plugin", "server \"main\" {\n  conninfo = \"host=pg\"\n  backup {\n    sink \"posixx\" {}\n  }\n}\n", 4, 5, `posixx`, true},
		{"unknown setting of a plugin", "server \"main\" {\n  conninfo = \"host=pg\"\n  backup {\n    source \"pgbasebackup\" { chekpoint = \"fast\" }\n  }\n}\n", 4, 29, `Did you mean "checkpoint"?`, true},
		{"wrong type in a plugin", "server \"main\" {\n  conninfo = \"host=pg\"\n  backup {\n    transform \"compress\" { workers = \"many\" }\n  }\n}\n", 4, 38, "whole number", true},
		{"unknown codec", "server \"main\" {\n  conninfo = \"host=pg\"\n  backup {\n    transform \"compress\" { codec = \"zip\" }\n  }\n}\n", 4, 28, "zstd", true},
		{"setting that another plugin has", "server \"main\" {\n  conninfo = \"host=pg\"\n  wal {\n    source \"pgreceivewal\" { checkpoint = \"fast\" }\n  }\n}\n", 4, 29, "checkpoint", true},
		{"not HCL", "server \"main\" {\n  conninfo = \n}\n", 2, 14, "expression", false},
	} {
		t.Run(mistake.name, func(t *testing.T) {
			home := pgtest.NewHome(t, mistake.hcl)
			offset := linesBefore(t, home.Config, mistake.hcl)
			commands := [][]string{{"config", "validate"}}
			if !mistake.plugin {
				commands = append(commands, []string{"backup", "main"})
			}
			for _, command := range commands {
				r := home.Run(command...)
				if r.Code != exitInvalid {
					t.Errorf("barman %s: exit code %d, want %d\n%s%s", strings.Join(command, " "), r.Code, exitInvalid, r.Stdout, r.Stderr)
				}
				for _, want := range []string{fmt.Sprintf("%s line %d", home.Config, offset+mistake.line), mistake.says} {
					if !strings.Contains(r.Stderr, want) {
						t.Errorf("barman %s does not say %q:\n%s", strings.Join(command, " "), want, r.Stderr)
					}
				}
			}
			var answer struct {
				Diagnostics []struct {
					File         string
					Line, Column int
				} `json:"_DIAGNOSTICS"`
			}
			decode(t, home.Run("-f", "json", "config", "validate").Stdout, &answer)
			if len(answer.Diagnostics) == 0 {
				t.Fatal("no diagnostics in JSON")
			}
			d := answer.Diagnostics[0]
			if d.File != home.Config || d.Line != offset+mistake.line || d.Column != mistake.column {
				t.Errorf("it is said to be at %s:%d:%d, want %s:%d:%d", d.File, d.Line, d.Column, home.Config, offset+mistake.line, mistake.column)
			}
			if left, err := filepath.Glob(filepath.Join(home.Dir, "main", "base", "*")); err != nil || len(left) > 0 {
				t.Errorf("a configuration that cannot be used left a backup: %q, %v", left, err)
			}
		})
	}
}

func TestABackupWhosePluginIsConfiguredWrongSaysWhereAndFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, "\n  backup {\n    source \"pgbasebackup\" { checkpoint = \"fast\" }\n    transform \"compress\" { codec = \"zip\" }\n    sink \"posix\" {}\n  }\n")
	s.want(refusal{[]string{"backup", "main"}, []int{exitInvalid}, []string{s.home.Config + " line 11", "zstd"}})
	s.configure("\n  backup {\n    source \"pgbasebackup\" { checkpoint = \"fast\" }\n    sink \"posixx\" {}\n  }\n")
	s.want(refusal{[]string{"backup", "main"}, []int{exitInvalid}, []string{s.home.Config + " line 11", "posixx"}})
}

// linesBefore is how many lines stand before the test's own in a configuration.
func linesBefore(t *testing.T, file, hcl string) int {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(content), hcl)
	if !found {
		t.Fatalf("%s does not hold the test's configuration", file)
	}
	return strings.Count(before, "\n")
}

func TestAPluginThatIsNotThePinnedOneIsRefused(t *testing.T) {
	t.Parallel()
	home := pgtest.NewHome(t, fmt.Sprintf("plugin \"sink\" \"posix\" {\n  sha256 = %q\n}\nserver \"main\" {\n  conninfo = \"host=127.0.0.1 port=1\"\n}\n", strings.Repeat("0", 64)))
	r := home.Run("config", "validate")
	if r.Code == 0 || !strings.Contains(r.Stderr, "SHA-256") {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
}
