package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

const oneServer = `server "%s" { conninfo = "host=pg" }`

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func serverBlockNamed(name string) string { return strings.ReplaceAll(oneServer, "%s", name) }

func names(c *Config) []string {
	var names []string
	for _, s := range c.Servers {
		names = append(names, s.Name)
	}
	return names
}

func TestLoadLooksInTheUsualPlacesInOrder(t *testing.T) {
	root := t.TempDir()
	variables := map[string]string{}
	e := Environment{
		Home: filepath.Join(root, "home"), System: filepath.Join(root, "etc"),
		LookupEnv: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
	}
	expect := func(path string, want ...string) {
		t.Helper()
		c, err := e.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, names(c)); diff != "" {
			t.Error(diff)
		}
	}
	write(t, filepath.Join(e.System, "barman.d", "20-b.hcl"), serverBlockNamed("b"))
	write(t, filepath.Join(e.System, "barman.d", "10-c.hcl"), serverBlockNamed("c"))
	write(t, filepath.Join(e.System, "barman.d", "README"), "no HCL")
	write(t, filepath.Join(e.System, "barman.d", ".#10-c.hcl"), "an editor's lock")
	expect("", "b", "c")
	main := write(t, filepath.Join(e.System, "barman.hcl"), serverBlockNamed("a"))
	expect("", "a", "b", "c")
	write(t, filepath.Join(e.Home, ".barman.hcl"), serverBlockNamed("own"))
	expect("", "own")
	variables[EnvConfigFile] = write(t, filepath.Join(root, "env.hcl"), serverBlockNamed("env"))
	expect("", "env")
	expect(write(t, filepath.Join(root, "asked.hcl"), serverBlockNamed("asked")), "asked")
	expect(main, "a")
	expect("~/.barman.hcl", "own")
}

func TestLoadTellsWhatFileIsWrong(t *testing.T) {
	root := t.TempDir()
	e := Environment{Home: root, System: filepath.Join(root, "etc"), LookupEnv: func(string) (string, bool) { return "", false }}
	tests := map[string]struct {
		path string
		kind sdk.ErrorKind
		want []string
	}{
		"none":        {"", sdk.NotFound, []string{".barman.hcl", "etc/barman.hcl", "conninfo", "-c"}},
		"absent":      {filepath.Join(root, "absent.hcl"), sdk.NotFound, []string{"absent.hcl"}},
		"INI":         {write(t, filepath.Join(root, "barman.conf"), "[barman]"), sdk.Invalid, []string{"barman.conf:1:1", "barman_home"}},
		"no section":  {write(t, filepath.Join(root, "barman"), ""), sdk.Invalid, []string{"[barman]"}},
		"a directory": {filepath.Dir(write(t, filepath.Join(root, "dir.hcl", "x"), "")), sdk.Invalid, []string{"not a regular file"}},
		"too large":   {write(t, filepath.Join(root, "large.hcl"), strings.Repeat("#", maxFile+1)), sdk.Invalid, []string{"larger"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := e.Load(test.path)
			if sdk.KindOf(err) != test.kind {
				t.Errorf("the kind of %v is %v", err, sdk.KindOf(err))
			}
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not mention %q: %v", want, err)
				}
			}
		})
	}
}

func TestABarmanConfIsFoundWherePythonBarmanLooksForIt(t *testing.T) {
	root := t.TempDir()
	e := Environment{Home: filepath.Join(root, "home"), System: filepath.Join(root, "etc"), LookupEnv: func(string) (string, bool) { return "", false }}
	expect := func(want string) {
		t.Helper()
		c, err := e.Load("")
		if err != nil {
			t.Fatal(err)
		}
		if c.Paths[0] != want {
			t.Errorf("read %s, not %s", c.Paths[0], want)
		}
	}
	for _, path := range []string{"etc/barman/barman.conf", "etc/barman.conf", "home/.barman.conf"} {
		expect(write(t, filepath.Join(root, path), "[barman]\nbarman_home = /nowhere\n"))
	}
	expect(write(t, filepath.Join(root, "etc/barman.hcl"), ""))
}

func TestServersOfOneNameInTwoFilesNameBothPlaces(t *testing.T) {
	root := t.TempDir()
	first := write(t, filepath.Join(root, "barman.hcl"), serverBlockNamed("main"))
	second := write(t, filepath.Join(root, "barman.d", "main.hcl"), "\n"+serverBlockNamed("main"))
	e := Environment{System: root, LookupEnv: func(string) (string, bool) { return "", false }}
	_, err := e.Load("")
	var invalid *Error
	if !errors.As(err, &invalid) {
		t.Fatalf("not a configuration error: %v", err)
	}
	want := []Message{{
		Severity: "error", File: second, Line: 2, Column: 1, Summary: "Duplicate server",
		Detail: `There is already a server "main" at ` + first + ":1:1.",
	}}
	if diff := cmp.Diff(want, invalid.Messages()); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(err.Error(), second+":2:1: Duplicate server") {
		t.Errorf("the error says %q", err)
	}
}

func TestAnUnknownServerIsNotFoundAndTheNearestIsNamed(t *testing.T) {
	c, err := testEnvironment().Load("testdata/minimal.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.Server("main"); err != nil || s.Name != "main" {
		t.Errorf("got %v, %v", s, err)
	}
	_, err = c.Server("mian")
	if sdk.KindOf(err) != sdk.NotFound || !strings.Contains(err.Error(), `did you mean "main"`) {
		t.Errorf("got %v", err)
	}
	if _, err = c.Server("elsewhere"); sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestFileFunctionTrimsNewlinesAtTheEnd(t *testing.T) {
	root := t.TempDir()
	key := write(t, filepath.Join(root, "conninfo"), "host=pg\nuser=barman\n\n")
	path := write(t, filepath.Join(root, "barman.hcl"), `server "main" { conninfo = file("`+key+`") }`)
	c, err := testEnvironment().Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Servers[0].Conninfo.Reveal(); got != "host=pg\nuser=barman" {
		t.Errorf("the file gives %q", got)
	}
}

func TestNestingThatWouldExhaustTheStackIsRefused(t *testing.T) {
	const n = 100_000
	for _, text := range []string{
		"a = " + strings.Repeat("!", n), "a = " + strings.Repeat("-", n), "a = " + strings.Repeat("(", n), "a = " + strings.Repeat("[", n),
		strings.Repeat("a {\n", n), "a = " + strings.Repeat("x?", n), "a = " + strings.Repeat("x?y:", n), "a = " + strings.Repeat(`"${`, n),
		"a = " + strings.Repeat("f(", n), "a = " + strings.Repeat("{b=", n), "a = " + strings.Repeat("1+", n) + "1",
		"a = x" + strings.Repeat("[0]", n), "a = x" + strings.Repeat(".*", n), `a = "` + strings.Repeat("%{if x}", n) + `"`,
		"a = (" + strings.Repeat("!\n", n) + ")",
		"a = x" + strings.Repeat(".a", n),
	} {
		path := write(t, filepath.Join(t.TempDir(), "deep.hcl"), text)
		_, err := testEnvironment().Load(path)
		if err == nil || !strings.Contains(err.Error(), "Too much nesting") && !strings.Contains(err.Error(), "Expression too long") {
			t.Errorf("%.20s…: %v", text, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.hcl")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		l := newLoader(Environment{LookupEnv: testEnvironment().LookupEnv, System: "/nonexistent"})
		l.parse("fuzz.hcl", src)
		c, err := l.finish()
		var invalid *Error
		switch {
		case errors.As(err, &invalid):
			var b strings.Builder
			if err := invalid.Render(&b, true); err != nil || b.Len() == 0 {
				t.Errorf("rendered %q, %v", b.String(), err)
			}
		case err != nil:
			t.Error(err)
		default:
			for _, s := range c.Servers {
				tree, _ := Effective(s, testSchemas)
				if _, err := tree.MarshalJSON(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
