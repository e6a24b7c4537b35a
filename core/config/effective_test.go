package config

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	hcljson "github.com/hashicorp/hcl/v2/json"

	"github.com/barman-go/barman/sdk/schema"
)

func TestEffectiveShowsWhatHoldsAndNoSecret(t *testing.T) {
	for _, s := range loadFile(t, "testdata/full.hcl").Servers {
		tree, diags := Effective(s, testSchemas)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		encoded, err := json.MarshalIndent(tree, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{tree.HCL(), string(encoded)} {
			if strings.Contains(text, "hunter2") {
				t.Errorf("a secret is shown:\n%s", text)
			}
		}
		compare(t, "testdata/full."+s.Name+".effective", tree.HCL())
		compare(t, "testdata/full."+s.Name+".json", string(encoded)+"\n")
	}
}

func TestEffectiveCanBeReadAgain(t *testing.T) {
	s := loadFile(t, "testdata/full.hcl").Servers[0]
	tree, _ := Effective(s, testSchemas)
	again := load(t, tree.HCL()).Servers[0]
	second, diags := Effective(again, testSchemas)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if diff := cmp.Diff(tree.HCL(), second.HCL()); diff != "" {
		t.Error(diff)
	}
	encoded, err := tree.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if _, diags := hcljson.Parse(encoded, "effective.json"); diags.HasErrors() {
		t.Error(diags)
	}
}

func TestEffectiveShowsTheRestWhenAPluginCannotBeAsked(t *testing.T) {
	s := loadFile(t, "testdata/full.hcl").Servers[1]
	tree, diags := Effective(s, func(kind, name string) (schema.Schema, error) {
		if name == "s3" {
			return schema.Schema{}, errors.New("it is not installed")
		}
		return testSchemas(kind, name)
	})
	if len(diags) != 1 || diags[0].Summary != "Plugin not available" || !strings.Contains(diags[0].Detail, "it is not installed") {
		t.Errorf("got %v", diags)
	}
	if !strings.Contains(tree.HCL(), `codec = "zstd"`) || !strings.Contains(tree.HCL(), `sink "s3"`) {
		t.Errorf("the rest is missing:\n%s", tree.HCL())
	}
}

func TestQuotedTextComesBackAsItWas(t *testing.T) {
	for _, text := range []string{"", `"\`, "${x} %{if y} $${z}", "a\nb\tc\r\x01", "grün"} {
		s := load(t, `server "main" {
			conninfo    = "host=pg"
			description = `+quote(text)+`
		}`).Servers[0]
		if s.Description != text {
			t.Errorf("%q came back as %q", text, s.Description)
		}
	}
}

func TestTheReferenceNamesEverySettingOfTheCore(t *testing.T) {
	text, err := ReferenceMarkdown()
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range []any{
		barmanBlock{}, pluginBlock{}, serverBlock{}, backupBlock{}, walBlock{}, retentionBlock{}, recoveryBlock{}, sinkBlock{}, hookBlock{},
	} {
		described, err := schema.Of(block)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range described.Attributes {
			if !strings.Contains(text, "| `"+a.Name+"` |") {
				t.Errorf("%s of %s is missing", a.Name, reflect.TypeOf(block).Name())
			}
			if a.Doc == "" {
				t.Errorf("%s of %s has no documentation", a.Name, reflect.TypeOf(block).Name())
			}
		}
	}
	for _, event := range hookEvents() {
		if !strings.Contains(text, event) {
			t.Errorf("the event %s is missing", event)
		}
	}
}

func TestTheExampleOfTheReferenceLoads(t *testing.T) {
	text, err := ReferenceMarkdown()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(text, "```hcl\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("there is no example")
	}
	if got := load(t, example); len(got.Servers) != 1 {
		t.Errorf("the example in %s has %d servers", filepath.Base(got.Paths[0]), len(got.Servers))
	}
}

func TestEffectiveTellsWhichFileEveryValueComesFrom(t *testing.T) {
	e := testEnvironment()
	e.LookupEnv = func(string) (string, bool) { return "", false }
	e.System = t.TempDir()
	main := write(t, filepath.Join(e.System, "barman.hcl"), `
		barman { home = "/srv" }
		defaults {
			description = "inherited"
			backup {
				sink "s3" {
					url = "s3://b"
					required = true
				}
			}
		}`)
	server := write(t, filepath.Join(e.System, "barman.d", "main.hcl"), `
		server "main" {
			conninfo = "host=pg"
			retention { policy = "REDUNDANCY 2" }
		}`)
	c, err := e.Load("")
	if err != nil {
		t.Fatal(err)
	}
	tree, diags := Effective(c.Servers[0], testSchemas)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	tree.Nodes = append(tree.Nodes, c.Effective())
	for path, want := range map[string]string{
		"conninfo": server, "retention.policy": server, "description": main, "barman.home": main, "barman.log_level": "",
		"streaming_conninfo": "", "retention.minimum_redundancy": "", "backup.sink.url": main, "backup.sink.required": main, "backup.sink.timeout": "",
	} {
		n := tree
		for step := range strings.SplitSeq(path, ".") {
			for _, child := range n.Nodes {
				if child.Name == step {
					n = child
					break
				}
			}
		}
		if n.IsBlock() || n.Source != want {
			t.Errorf("%s is from %q, not %q", path, n.Source, want)
		}
	}
}
