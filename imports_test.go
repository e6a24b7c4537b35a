package barman_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/barman-go/barman"

// rule says what some packages must not reach. Paths that begin with a folder of ours are below our module (see ours); a
// path stands for everything beneath it too.
type rule struct {
	name   string
	from   []string // the packages it binds; empty: every package
	except []string // and those it does not
	never  []string // what they must not import
	only   []string // if set: of our own packages, these and their own directory alone
	direct bool     // binds only what a package imports itself, not what that imports in turn
	tests  bool     // binds test files too
}

var (
	cloud = []string{"github.com/aws", "github.com/Azure", "cloud.google.com/go", "github.com/minio"}
	pgx   = []string{"github.com/jackc/pgx", "github.com/jackc/pglogrepl"}
)

// The table of docs/architecture.md: cmd → core → sdk ← plugins, and who may use which library.
var table = []rule{
	{name: "cmd runs plugins, it does not contain them", from: []string{"cmd"}, never: []string{"plugins", "test"}, tests: true},
	{name: "the barman binary links no cloud library", from: []string{"cmd", "core", "sdk"}, never: cloud, tests: true},
	{name: "core knows neither its caller nor a plugin", from: []string{"core"}, never: []string{"cmd", "plugins"}, tests: true},
	{name: "sdk stands alone", from: []string{"sdk"}, only: []string{"sdk"}, tests: true},
	{name: "a plugin needs sdk and nothing else of ours", from: []string{"plugins"}, only: []string{"sdk"}},
	{name: "a plugin's tests reach no further than test/pgtest and test/storetest", from: []string{"plugins"}, only: []string{"sdk", "test/pgtest", "test/storetest"}, tests: true},
	{name: "an example uses what a stranger can use", from: []string{"examples"}, never: []string{"core", "cmd", "plugins"}},
	{name: "nothing but tests imports test", except: []string{"test"}, never: []string{"test"}},
	{name: "the lane and WAL formats depend on nothing of ours", from: []string{"sdk/lane", "sdk/wal"}, only: []string{}},
	{name: "go-plugin stays below sdk", except: []string{"sdk"}, never: []string{"github.com/hashicorp/go-plugin"}, direct: true},
	{name: "in core only core/postgres speaks to PostgreSQL", from: []string{"core"}, except: []string{"core/postgres"}, never: pgx, direct: true},
	{name: "the command line leaves PostgreSQL to core", from: []string{"cmd"}, never: pgx, direct: true},
	{name: "the catalogue is about files alone", from: []string{"core/catalogue"}, never: []string{"core/postgres", "core/pipeline"}},
	{name: "the plugin host does not know the configuration", from: []string{"core/stage"}, never: []string{"core/config"}},
	{name: "the pipeline knows no PostgreSQL", from: []string{"core/pipeline"}, never: []string{"core/postgres", "core/catalogue"}},
	{name: "retention is a pure function", from: []string{"core/retention"}, never: []string{"core/postgres", "core/pipeline", "core/stage", "os"}, direct: true},
}

// listed is what "go list -json" says of one package.
type listed struct {
	ImportPath   string
	Imports      []string
	Deps         []string
	TestImports  []string
	XTestImports []string
}

func TestImportsFollowTheTable(t *testing.T) {
	packages := list(t, ".")
	examples, err := filepath.Glob("examples/*/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, mod := range examples {
		for _, p := range list(t, filepath.Dir(mod)) {
			// A module of its own may have any name; the table knows it by its folder.
			p.ImportPath = module + "/" + filepath.ToSlash(filepath.Dir(mod))
			packages = append(packages, p)
		}
	}
	for _, v := range violations(table, packages) {
		t.Error(v)
	}
}

// A checker that cannot fail proves nothing: every rule is broken here.
func TestEveryRuleOfTheTableCanBeBroken(t *testing.T) {
	imports := func(from, to string) listed {
		return listed{ImportPath: ours(from), Imports: []string{ours(to)}, Deps: []string{ours(to)}}
	}
	deps := func(from, to string) listed { return listed{ImportPath: ours(from), Deps: []string{ours(to)}} }
	tests := func(from, to string) listed { return listed{ImportPath: ours(from), TestImports: []string{ours(to)}} }

	broken := map[string]bool{}
	for _, tc := range []struct {
		graph listed
		rule  string
	}{
		{imports("cmd/barman", "plugins/compress"), "cmd runs plugins, it does not contain them"},
		{deps("cmd/barman", "github.com/aws/aws-sdk-go-v2/aws"), "the barman binary links no cloud library"},
		{imports("core/backup", "cmd/barman"), "core knows neither its caller nor a plugin"},
		{tests("core/backup", "plugins/sink-posix"), "core knows neither its caller nor a plugin"},
		{imports("sdk/serve", "core/wal"), "sdk stands alone"},
		{deps("plugins/sink-s3", "plugins/sink-posix"), "a plugin needs sdk and nothing else of ours"},
		{tests("plugins/sink-s3", "core/config"), "a plugin's tests reach no further than test/pgtest and test/storetest"},
		{imports("examples/encrypt", "core/config"), "an example uses what a stranger can use"},
		{imports("core/wal", "test/pgtest"), "nothing but tests imports test"},
		{imports("sdk/lane", "sdk"), "the lane and WAL formats depend on nothing of ours"},
		{imports("core/stage", "github.com/hashicorp/go-plugin"), "go-plugin stays below sdk"},
		{imports("core/backup", "github.com/jackc/pgx/v5/pgconn"), "in core only core/postgres speaks to PostgreSQL"},
		{imports("cmd/barman", "github.com/jackc/pgx/v5"), "the command line leaves PostgreSQL to core"},
		{deps("core/catalogue", "core/postgres"), "the catalogue is about files alone"},
		{deps("core/stage", "core/config"), "the plugin host does not know the configuration"},
		{deps("core/pipeline", "core/postgres"), "the pipeline knows no PostgreSQL"},
		{imports("core/retention", "os"), "retention is a pure function"},
	} {
		broken[tc.rule] = true
		got := violations(table, []listed{tc.graph})
		if !slices.ContainsFunc(got, func(v string) bool { return strings.HasSuffix(v, tc.rule) }) {
			t.Errorf("%v breaks %q, but the checker says %q", tc.graph, tc.rule, got)
		}
	}

	for _, r := range table {
		if !broken[r.name] {
			t.Errorf("no graph here breaks %q", r.name)
		}
	}
}

func TestWhatTheTableAllowsIsNoViolation(t *testing.T) {
	graph := []listed{
		{ImportPath: ours("core/postgres"), Imports: []string{"github.com/jackc/pgx/v5", ours("sdk/wal")}, Deps: []string{ours("sdk/wal")}},
		{ImportPath: ours("core/backup"), Imports: []string{ours("core/postgres")}, Deps: []string{ours("core/postgres"), "github.com/jackc/pgx/v5"}},
		{ImportPath: ours("cmd/barman"), Imports: []string{ours("core/backup")}, Deps: []string{ours("core/stage"), "github.com/hashicorp/go-plugin"}},
		{ImportPath: ours("plugins/sink-s3"), Deps: []string{ours("sdk"), ours("plugins/sink-s3/internal"), "github.com/aws/aws-sdk-go-v2/aws"}},
		{ImportPath: ours("plugins/sink-s3"), TestImports: []string{ours("sdk/sdktest"), ours("test/pgtest"), ours("test/storetest")}},
		{ImportPath: ours("sdk/serve"), Imports: []string{"github.com/hashicorp/go-plugin", ours("sdk/lane")}},
		{ImportPath: ours("test/pgtest"), Imports: []string{"github.com/jackc/pgx/v5"}},
		{ImportPath: ours("cmd/barman"), Imports: []string{ours("cmdline")}}, // begins like cmd, is not below it
	}
	if diff := cmp.Diff([]string(nil), violations(table, graph)); diff != "" {
		t.Error(diff)
	}
}

// list asks the go command for the packages of the module in dir.
func list(t *testing.T, dir string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps,TestImports,XTestImports", "./...")
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list in %s: %v", dir, err)
	}
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatalf("what go list printed in %s: %v", dir, err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		t.Fatalf("go list found no package in %s", dir)
	}
	return packages
}

// violations returns one sentence for each import that a rule forbids, each once.
func violations(rules []rule, packages []listed) []string {
	var found []string
	for _, p := range packages {
		for _, r := range rules {
			if len(r.from) > 0 && !below(p.ImportPath, r.from) || below(p.ImportPath, r.except) {
				continue
			}
			for _, to := range reached(r, p) {
				if r.forbids(p.ImportPath, to) {
					found = append(found, fmt.Sprintf("%s must not reach %s: %s", short(p.ImportPath), short(to), r.name))
				}
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func reached(r rule, p listed) []string {
	to := slices.Clone(p.Imports)
	if !r.direct {
		to = append(to, p.Deps...)
	}
	if r.tests {
		to = append(to, p.TestImports...)
		to = append(to, p.XTestImports...)
	}
	return to
}

func (r rule) forbids(from, to string) bool {
	if below(to, r.never) {
		return true
	}
	return r.only != nil && strings.HasPrefix(to, module+"/") && !below(to, r.only) && !below(to, []string{home(from)})
}

// home is the directory that a package may always import from: its own, or its plugin's.
func home(path string) string {
	if rest, ok := strings.CutPrefix(path, ours("plugins")+"/"); ok {
		plugin, _, _ := strings.Cut(rest, "/")
		return "plugins/" + plugin
	}
	return short(path)
}

func below(path string, trees []string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool {
		tree = ours(tree)
		return path == tree || strings.HasPrefix(path, tree+"/")
	})
}

// ours completes a path of this module; those of others, and of the standard library, stay as they are.
func ours(path string) string {
	first, _, _ := strings.Cut(path, "/")
	if slices.Contains([]string{"cmd", "core", "sdk", "plugins", "examples", "test", "cmdline"}, first) {
		return module + "/" + path
	}
	return path
}

func short(path string) string { return strings.TrimPrefix(path, module+"/") }
