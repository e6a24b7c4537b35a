package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func documented(t *testing.T) []*cobra.Command {
	t.Helper()
	return programs(newRootCommand(newApp(os.Stdout, os.Stderr)))
}

func readDocument(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestTheDocumentOfCommandsIsWhatTheProgramTakes(t *testing.T) {
	if diff := cmp.Diff(readDocument(t, "docs/commands.md"), commandsDocument(documented(t))); diff != "" {
		t.Errorf("docs/commands.md is out of date, run make generate (-written +made):\n%s", diff)
	}
}

func TestTheReadmeListsEveryCommandWithAnExample(t *testing.T) {
	written := readDocument(t, "README.md")
	made, err := withCommandsTable(written, documented(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(written, made); diff != "" {
		t.Errorf("the table in README.md is out of date, run make generate (-written +made):\n%s", diff)
	}
	for _, cmd := range documented(t) {
		if firstExample(cmd) == "" {
			t.Errorf("%s: no example in a line", cmd.CommandPath())
		}
	}
	if _, err := withCommandsTable("# No table\n", nil); err == nil {
		t.Error("a README without a place for the table is taken")
	}
}

func TestEveryCommandHasAPageOfItsOwn(t *testing.T) {
	pages := map[string]bool{}
	for _, cmd := range documented(t) {
		name := pageName(cmd)
		if pages[name] {
			t.Errorf("two pages are named %s", name)
		}
		pages[name] = true
		page := string(md2man.Render([]byte(commandPage(cmd))))
		for _, part := range []string{".TH \"" + strings.ToUpper(name) + "\" \"1\"", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH EXAMPLES"} {
			if !strings.Contains(page, part) {
				t.Errorf("%s lacks %s", name, part)
			}
		}
	}
	for _, name := range []string{"barman-check", "barman-config-show", "barman-wal-archive", "barman-wal-restore"} {
		if !pages[name] {
			t.Errorf("no page %s", name)
		}
	}
}
