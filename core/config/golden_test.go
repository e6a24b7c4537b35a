package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
)

var update = flag.Bool("update", false, "rewrite the expected texts in testdata")

func testEnvironment() Environment {
	return Environment{
		LookupEnv: func(name string) (string, bool) { return "hunter2", name == "PGPASSWORD" },
		System:    "/nonexistent",
	}
}

// The settings of the plugins that the files in testdata name.

type compressSettings struct {
	Codec string `hcl:"codec" doc:"gzip, lz4 or zstd."`
	Level *int   `hcl:"level,optional"`
}

type s3Settings struct {
	URL       string            `hcl:"url" doc:"Bucket and prefix."`
	SecretKey schema.Secret     `hcl:"secret_key,optional"`
	PartSize  schema.ByteSize   `hcl:"part_size,optional" default:"8MiB"`
	Timeout   time.Duration     `hcl:"timeout,optional" default:"1m"`
	Files     []string          `hcl:"files,optional" default:"[\"a\"]"`
	Tags      map[string]string `hcl:"tags,optional"`
	Retry     *struct {
		Times int `hcl:"times,optional" default:"3"`
	} `hcl:"retry,block"`
	Rules []struct {
		Name string            `hcl:"name"`
		Tags map[string]string `hcl:"tags,optional"`
	} `hcl:"rule,block"`
}

type refusingSettings struct {
	Level int `hcl:"level,optional"`
	Rules []struct {
		Name string `hcl:"name"`
	} `hcl:"rule,block"`
}

type sourceSettings struct {
	Checkpoint string `hcl:"checkpoint,optional" default:"spread"`
}

type hookSettings struct {
	Script string `hcl:"script,optional"`
	Retry  bool   `hcl:"retry,optional"`
}

func testSchemas(_, name string) (schema.Schema, error) {
	switch name {
	case "compress":
		return schema.Of(compressSettings{})
	case "s3":
		return schema.Of(s3Settings{})
	case "refusing":
		return schema.Of(refusingSettings{})
	case "pgbasebackup":
		return schema.Of(sourceSettings{})
	case "script":
		return schema.Of(hookSettings{})
	case "posix", "pgreceivewal", "acme":
		return schema.Schema{}, nil
	}
	return schema.Schema{}, fmt.Errorf("there is no plugin %q", name)
}

// diagnose does to a file all that is done to a configuration before it is used.
func diagnose(t *testing.T, path string) string {
	t.Helper()
	var diags hcl.Diagnostics
	var files map[string]*hcl.File
	config, err := testEnvironment().Load(path)
	var invalid *Error
	switch {
	case errors.As(err, &invalid):
		if sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("the error's kind is %v", sdk.KindOf(err))
		}
		diags, files = invalid.Diagnostics, invalid.Files
	case err != nil:
		t.Fatal(err)
	default:
		files = config.Files()
		diags = append(diags, config.Warnings...)
		for _, s := range config.Servers {
			_, more := Effective(s, testSchemas)
			diags = append(diags, more...)
			for _, stage := range s.Backup.Transforms {
				if stage.Name == "refusing" {
					diags = append(diags, stage.Diagnose(schema.Diagnostics{
						{Path: "level", Summary: "Invalid level", Detail: "Levels end at 9."},
						{Path: "rule[1].name", Summary: "Unlucky name", Detail: "Choose another."},
						{Path: "rule[2].name", Summary: "Third rule", Detail: "There is none."},
						{Path: "", Summary: "Nothing is right"},
					})...)
				}
			}
		}
	}
	var b bytes.Buffer
	if err := Render(&b, diags, files, false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "hunter2") {
		t.Error("a secret is shown")
	}
	return b.String()
}

func TestDiagnosticsPointAtWhatIsWrong(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.hcl")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".hcl"), func(t *testing.T) {
			// Git keeps no more of a file's mode than its x bit.
			mode := os.FileMode(0o640)
			if filepath.Base(path) == "exposed.hcl" {
				mode = 0o644
			}
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			compare(t, strings.TrimSuffix(path, ".hcl")+".diag", diagnose(t, path))
		})
	}
}

// compare holds text against a file; an empty text has no file.
func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update && got == "" {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if *update && got != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}
