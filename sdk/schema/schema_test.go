package schema_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk/schema"
)

type retry struct {
	Times int           `hcl:"times,optional" default:"3" doc:"How often."`
	Pause time.Duration `hcl:"pause,optional" default:"1s"`
}

type rule struct {
	Name string `hcl:"name" doc:"Name | of the rule."`
}

type settings struct {
	Codec   string            `hcl:"codec" doc:"The codec."`
	Level   *int              `hcl:"level,optional" doc:"The level."`
	Chunk   schema.ByteSize   `hcl:"chunk,optional" default:"1MiB"`
	Timeout time.Duration     `hcl:"timeout,optional"`
	Ratio   *float64          `hcl:"ratio,optional"`
	Strict  *bool             `hcl:"strict,optional" default:"true"`
	Files   []string          `hcl:"files,optional" default:"[\"a\"]"`
	Tags    map[string]string `hcl:"tags,optional"`
	Key     schema.Secret     `hcl:"key,optional"`
	Big     int64             `hcl:"big,optional"`
	Retry   *retry            `hcl:"retry,block" doc:"Trying again."`
	Rules   []rule            `hcl:"rule,block"`
	Local   string
}

func pointer[T any](v T) *T { return &v }

func TestOfReadsEveryTypeOfField(t *testing.T) {
	got, err := schema.Of(&settings{})
	if err != nil {
		t.Fatal(err)
	}
	want := schema.Schema{
		Attributes: []schema.Attribute{
			{Name: "codec", Type: schema.String, Required: true, Doc: "The codec."},
			{Name: "level", Type: schema.Int, Doc: "The level."},
			{Name: "chunk", Type: schema.Size, Default: "1MiB"},
			{Name: "timeout", Type: schema.Duration},
			{Name: "ratio", Type: schema.Number},
			{Name: "strict", Type: schema.Bool, Default: "true"},
			{Name: "files", Type: schema.List, Default: `["a"]`},
			{Name: "tags", Type: schema.Map},
			{Name: "key", Type: schema.String, Sensitive: true},
			{Name: "big", Type: schema.Int},
		},
		Blocks: []schema.Block{
			{Name: "retry", Doc: "Trying again.", Schema: schema.Schema{Attributes: []schema.Attribute{
				{Name: "times", Type: schema.Int, Default: "3", Doc: "How often."},
				{Name: "pause", Type: schema.Duration, Default: "1s"},
			}}},
			{Name: "rule", Many: true, Schema: schema.Schema{Attributes: []schema.Attribute{
				{Name: "name", Type: schema.String, Required: true, Doc: "Name | of the rule."},
			}}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestASchemaSurvivesJSON(t *testing.T) {
	want, err := schema.Of(settings{})
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got schema.Schema
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

type recursive struct {
	Again []recursive `hcl:"again,block"`
}

func TestOfNamesTheFieldWhoseTagsAreWrong(t *testing.T) {
	tests := map[string]struct {
		config any
		want   []string
	}{
		"not a struct": {3, []string{"int"}},
		"nil":          {nil, []string{"struct"}},
		"bad name": {struct {
			Field string `hcl:"Name"`
		}{}, []string{"Field", "lower case"}},
		"bad mode": {struct {
			Field string `hcl:"name,label"`
		}{}, []string{"Field", "optional or block"}},
		"bad type": {struct {
			Field uint8 `hcl:"name"`
		}{}, []string{"Field", "uint8"}},
		"pointer to list": {struct {
			Field *[]string `hcl:"name"`
		}{}, []string{"Field", "[]string"}},
		"not exported": {struct {
			field string `hcl:"name"`
		}{}, []string{"field", "exported"}},
		"doc without hcl": {struct {
			Field string `doc:"text"`
		}{}, []string{"Field", "without an hcl tag"}},
		"bad default": {struct {
			Field int `hcl:"name,optional" default:"x"`
		}{}, []string{"Field", `"x"`}},
		"default of required": {struct {
			Field int `hcl:"name" default:"1"`
		}{}, []string{"Field", "required"}},
		"default of a block": {struct {
			Field struct{} `hcl:"name,block" default:"1"`
		}{}, []string{"Field", "block"}},
		"block of text": {struct {
			Field string `hcl:"name,block"`
		}{}, []string{"Field", "string"}},
		"twice": {struct {
			A, B string `hcl:"name"`
		}{}, []string{"name", "twice"}},
		"embedded": {struct{ retry }{}, []string{"embedded"}},
		"endless":  {recursive{}, []string{"Again", "deep"}},
		"a mistake in a block": {struct {
			Outer struct {
				Inner uint `hcl:"name"`
			} `hcl:"outer,block"`
		}{}, []string{"Outer", "Inner"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := schema.Of(test.config)
			if err == nil {
				t.Fatal("the tags were accepted")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not mention %q: %v", want, err)
				}
			}
		})
	}
}

func TestDecodeFillsTheStruct(t *testing.T) {
	values := `{
		"codec": "zstd", "level": 0, "chunk": 4096, "timeout": "90s", "ratio": 0.5, "strict": false, "files": [],
		"tags": {"a": "b"}, "key": "hunter2", "big": 9223372036854775807, "retry": {"times": 5}, "rule": [{"name": "x"}, {"name": "y"}]
	}`
	want := settings{
		Codec: "zstd", Level: pointer(0), Chunk: 4096, Timeout: 90 * time.Second, Ratio: pointer(0.5), Strict: pointer(false),
		Files: []string{}, Tags: map[string]string{"a": "b"}, Key: "hunter2", Big: 9223372036854775807,
		Retry: &retry{Times: 5, Pause: time.Second}, Rules: []rule{{"x"}, {"y"}}, Local: "kept",
	}
	got := settings{Local: "kept"}
	if err := schema.Decode([]byte(values), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Key.Reveal() != "hunter2" {
		t.Error("the secret was lost")
	}
}

func TestDecodeAppliesDefaults(t *testing.T) {
	var got settings
	if err := schema.Decode([]byte(`{"codec": "zstd", "level": null}`), &got); err != nil {
		t.Fatal(err)
	}
	want := settings{Codec: "zstd", Chunk: 1 << 20, Strict: pointer(true), Files: []string{"a"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeTakesNoValuesForAnEmptyObject(t *testing.T) {
	got := struct {
		Level int `hcl:"level,optional" default:"3"`
	}{}
	if err := schema.Decode(nil, &got); err != nil {
		t.Fatal(err)
	}
	if got.Level != 3 {
		t.Errorf("level is %d, want 3", got.Level)
	}
}

func TestDecodeNamesTheSettingThatIsWrong(t *testing.T) {
	tests := map[string]struct {
		values string
		paths  []string
	}{
		"missing":                {`{}`, []string{"codec"}},
		"unknown":                {`{"codec": "x", "levl": 3, "a": 1}`, []string{"a", "levl"}},
		"wrong types":            {`{"codec": 3, "level": "3", "chunk": "many", "timeout": 30}`, []string{"codec", "level", "chunk", "timeout"}},
		"a fraction":             {`{"codec": "x", "level": 1.5}`, []string{"level"}},
		"too big":                {`{"codec": "x", "big": 9223372036854775808}`, []string{"big"}},
		"negative":               {`{"codec": "x", "chunk": -1, "timeout": "-1s"}`, []string{"chunk", "timeout"}},
		"null in a list":         {`{"codec": "x", "files": [null]}`, []string{"files"}},
		"null in a map":          {`{"codec": "x", "tags": {"a": null}}`, []string{"tags"}},
		"in a block":             {`{"codec": "x", "retry": {"times": "x", "tims": 1}}`, []string{"retry.times", "retry.tims"}},
		"in a repeated block":    {`{"codec": "x", "rule": [{"name": "x"}, {}]}`, []string{"rule[1].name"}},
		"a block that is none":   {`{"codec": "x", "retry": 3, "rule": {}}`, []string{"retry", "rule"}},
		"not an object":          {`[]`, []string{""}},
		"not JSON":               {`{`, []string{""}},
		"something after it all": {`{"codec": "x"} {}`, []string{""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := schema.Decode([]byte(test.values), &settings{})
			diags, ok := err.(schema.Diagnostics)
			if !ok {
				t.Fatalf("not diagnostics: %v", err)
			}
			var paths []string
			for _, d := range diags {
				paths = append(paths, d.Path)
			}
			if diff := cmp.Diff(test.paths, paths); diff != "" {
				t.Errorf("%s\n%v", diff, err)
			}
		})
	}
}

func TestDecodeAsksForARequiredBlock(t *testing.T) {
	config := struct {
		Retry retry `hcl:"retry,block"`
	}{}
	if err := schema.Decode([]byte(`{}`), &config); err == nil {
		t.Error("a required block was not missed")
	}
	if err := schema.Decode([]byte(`{"retry": {}}`), &config); err != nil {
		t.Error(err)
	}
	if config.Retry.Times != 3 {
		t.Errorf("times is %d, want the default 3", config.Retry.Times)
	}
}

func TestDecodeRefusesATargetItCannotFill(t *testing.T) {
	for _, target := range []any{nil, settings{}, (*settings)(nil), new(int), &struct {
		Field uint `hcl:"name"`
	}{}} {
		if err := schema.Decode([]byte(`{}`), target); err == nil {
			t.Errorf("%T was accepted", target)
		}
	}
}

func TestCheckRefusesASchemaThatCannotBeRight(t *testing.T) {
	deep := schema.Schema{}
	for range schema.MaxDepth {
		deep = schema.Schema{Blocks: []schema.Block{{Name: "b", Schema: deep}}}
	}
	tests := map[string]schema.Schema{
		"name":    {Attributes: []schema.Attribute{{Name: "a b", Type: schema.Int}}},
		"type":    {Attributes: []schema.Attribute{{Name: "a", Type: "set"}}},
		"no type": {Attributes: []schema.Attribute{{Name: "a"}}},
		"default": {Attributes: []schema.Attribute{{Name: "a", Type: schema.Duration, Default: "30"}}},
		"twice":   {Attributes: []schema.Attribute{{Name: "a", Type: schema.Int}}, Blocks: []schema.Block{{Name: "a"}}},
		"deep":    deep,
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			if err := s.Check(); err == nil {
				t.Error("it was accepted")
			}
		})
	}
}

func TestMarkdownListsEverySetting(t *testing.T) {
	s, err := schema.Of(settings{})
	if err != nil {
		t.Fatal(err)
	}
	want := "| Setting | Type | Default | Meaning |\n|---|---|---|---|\n" +
		"| `codec` | string | required | The codec. |\n" +
		"| `level` | int |  | The level. |\n" +
		"| `chunk` | size | `1MiB` |  |\n" +
		"| `timeout` | duration |  |  |\n" +
		"| `ratio` | number |  |  |\n" +
		"| `strict` | bool | `true` |  |\n" +
		"| `files` | list | `[\"a\"]` |  |\n" +
		"| `tags` | map |  |  |\n" +
		"| `key` | string, secret |  |  |\n" +
		"| `big` | int |  |  |\n" +
		"| `retry` | block |  | Trying again. |\n" +
		"| `retry.times` | int | `3` | How often. |\n" +
		"| `retry.pause` | duration | `1s` |  |\n" +
		"| `rule` | blocks |  |  |\n" +
		"| `rule.name` | string | required | Name \\| of the rule. |\n"
	if diff := cmp.Diff(want, schema.Markdown(s)); diff != "" {
		t.Error(diff)
	}
	if got := schema.Markdown(schema.Schema{}); got != "No settings.\n" {
		t.Errorf("without settings it says %q", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"codec": "zstd", "level": 3, "retry": {"times": 5}, "rule": [{"name": "x"}]}`))
	f.Add([]byte(`{"chunk": "16MiB", "timeout": "1h", "tags": {"a": null}, "files": ["b"]}`))
	f.Add([]byte(`[null, {`))
	f.Fuzz(func(t *testing.T, values []byte) {
		if err := schema.Decode(values, &settings{}); err != nil && err.Error() == "" {
			t.Error("an error without text")
		}
	})
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"attributes": [{"name": "a", "type": "map", "default": "{}"}], "blocks": [{"name": "b", "blocks": []}]}`))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		var s schema.Schema
		if json.Unmarshal(encoded, &s) == nil && s.Check() == nil {
			schema.Markdown(s)
		}
	})
}
