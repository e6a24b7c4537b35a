package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
)

// offered is what the shell gets for a command line, without what explains it.
func offered(t *testing.T, config string, line ...string) []string {
	t.Helper()
	a := newApp(os.Stdout, os.Stderr)
	root := newRootCommand(a)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append([]string{"__completeNoDesc", "-c", config}, line...))
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var words []string
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "Completion ended") {
			words = append(words, line)
		}
	}
	return words
}

func TestTheShellIsOfferedWhatThereIs(t *testing.T) {
	home := t.TempDir()
	config := filepath.Join(home, "barman.hcl")
	text := "barman {\n home = \"" + home + "\"\n}\nserver \"main\" {\n conninfo = \"host=x\"\n}\nserver \"other\" {\n conninfo = \"host=y\"\n}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := catalogue.Open(catalogue.Layout{}.Default(home, "main"))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for n := range 2 {
		b, err := s.Create(time.Date(2026, 1, 10+n, 12, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		b.State, b.Mode, b.Name, b.Timeline = catalogue.StateDone, catalogue.ModePostgres, []string{"before-upgrade", ""}[n], 1
		b.BeginWAL, b.EndWAL = "000000010000000000000002", "000000010000000000000002"
		if err := s.Save(b); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(b.ID))
	}
	lock, err := s.Lock(catalogue.LockArchiveWAL)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	stands := []string{"latest", "oldest", "last-failed", "latest-full"}
	for _, tc := range []struct {
		line string
		want []string // the last is the directive: 0 files, 4 none, 16 directories, 32 in this order
	}{
		{"check ", []string{"main", "other", "all", ":4"}},
		{"check main ", []string{"other", ":4"}},
		{"check all ", []string{":4"}},
		{"archive-wal ", []string{"main", "other", ":4"}},
		{"archive-wal main ", []string{":4"}},
		{"show-backup main ", append([]string{ids[1], ids[0], "before-upgrade"}, append(stands, ":36")...)},
		{"delete other ", append(append([]string{}, stands...), ":36")},
		{"delete nope ", append(append([]string{}, stands...), ":36")},
		{"keep main latest --target ", []string{"full", "standalone", ":4"}},
		{"recover main ", append([]string{ids[1], ids[0], "before-upgrade"}, append(stands, "auto", ":36")...)},
		{"recover main /s", []string{":16"}},
		{"recover main latest ", []string{":16"}},
		{"wal-archive main ", []string{":0"}},
		{"terminate-process main ", []string{"archive-wal", ":4"}},
		{"cron ", []string{":4"}},
		{"check --format ", []string{"console", "json", ":4"}},
	} {
		words := strings.Split(tc.line, " ")
		if diff := cmp.Diff(tc.want, offered(t, config, words...)); diff != "" {
			t.Errorf("%s: %s", tc.line, diff)
		}
	}
	if got := offered(t, filepath.Join(home, "absent.hcl"), "check", ""); !cmp.Equal(got, []string{"all", ":4"}) {
		t.Errorf("without a configuration: %q", got)
	}
}

// commands are those that do something, by their path.
func commands(t *testing.T) map[string]*cobra.Command {
	t.Helper()
	found := map[string]*cobra.Command{}
	everyCommand(newRootCommand(newApp(os.Stdout, os.Stderr)), func(cmd *cobra.Command) {
		if !cmd.HasSubCommands() && !cmd.Hidden {
			found[cmd.CommandPath()] = cmd
		}
	})
	return found
}

func TestEveryCommandExplainsItselfAndCompletesItsArguments(t *testing.T) {
	config := filepath.Join(t.TempDir(), "barman.hcl")
	if err := os.WriteFile(config, []byte("server \"main\" {\n conninfo = \"host=x\"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, cmd := range commands(t) {
		if cmd.Short == "" || cmd.Long == "" || !strings.Contains(cmd.Long, "Exit codes: ") {
			t.Errorf("%s: the help lacks a description or the exit codes", path)
		}
		if name := strings.TrimPrefix(path, "barman "); !strings.Contains(cmd.Example, name) {
			t.Errorf("%s: no example", path)
		}
		words := append(strings.Fields(strings.TrimPrefix(path, "barman ")), "")
		offers := slices.Contains(offered(t, config, words...), "main")
		if _, arguments, _ := strings.Cut(cmd.Use, " "); offers != strings.HasPrefix(arguments, "SERVER") {
			t.Errorf("%s: completes the name of a server: %v", path, offers)
		}
		if cmd.Args == nil {
			t.Errorf("%s takes whatever it is given", path)
		}
	}
}

func TestEveryCommandTakesTheGlobalOptionsAnywhere(t *testing.T) {
	for path, cmd := range commands(t) {
		for _, name := range []string{"format", "config", "color", "quiet", "debug", "log-level", "help"} {
			cmd.InitDefaultHelpFlag()
			if cmd.Flag(name) == nil {
				t.Errorf("%s has no --%s", path, name)
			}
		}
		if err := cmd.ParseFlags([]string{"-f", "json", "-q", "-d", "-c", "x.hcl", "--colour", "never"}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
