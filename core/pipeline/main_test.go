package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/schema"
)

func TestMain(m *testing.M) {
	os.Exit(plugintest.Main(m, "plugins/sink-posix", "plugins/compress", "test/plugins/noop",
		"core/pipeline/testdata/source-generated", "core/pipeline/testdata/sink-faulty"))
}

type values = pipeline.Values

func source(v values) pipeline.Stage {
	return pipeline.Stage{Kind: "source", Name: "generated", Settings: v}
}

func transform(name string) pipeline.Stage {
	return pipeline.Stage{Kind: "transform", Name: name, Settings: values{}}
}

func posix(directory string) pipeline.Stage {
	return pipeline.Stage{Kind: "sink", Name: "posix", Settings: values{"path": directory}}
}

func faulty(v values) pipeline.Stage {
	return pipeline.Stage{Kind: "sink", Name: "faulty", Settings: v}
}

func optional(s pipeline.Stage) pipeline.Stage {
	s.Optional = true
	return s
}

// line is a pipeline of everything that a backup has.
func line(from pipeline.Stage, sinks ...pipeline.Stage) pipeline.Line {
	return pipeline.Line{
		Server: sdk.Server{Name: "main"}, Source: from, Transforms: []pipeline.Stage{transform("noop"), transform("compress")}, Sinks: sinks, Lanes: 2,
	}
}

var request = sdk.BackupRequest{Prefix: "base/1/", Label: "a label"}

// generated are the bytes of an object of the source "generated".
func generated(name string, size int) []byte {
	var seed [32]byte
	copy(seed[:], name[max(0, len(name)-32):])
	content := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(content)
	return content
}

func objectName(i int) string { return fmt.Sprintf("base/1/data/object-%04d", i) }

// files are the names of all files below a directory.
func files(t *testing.T, directory string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(directory, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

// wantObjects reads back what a backup of the source "generated" stored.
func wantObjects(t *testing.T, e *plugintest.Engine, l pipeline.Line, objects, size int) {
	t.Helper()
	want := map[string]bool{}
	for i := range objects {
		want[objectName(i)] = true
	}
	got := read(t, e, l)
	for name, content := range got {
		if !want[name] {
			t.Errorf("%s was never sent", name)
		} else if !bytes.Equal(content, generated(name, size)) {
			t.Errorf("%s differs", name)
		}
	}
	if len(got) != objects {
		t.Errorf("%d objects came back, expected %d", len(got), objects)
	}
}

// read reads everything of a line's store.
func read(t *testing.T, e *plugintest.Engine, l pipeline.Line) map[string][]byte {
	t.Helper()
	got := &contents{}
	if err := e.Read(t.Context(), l, []host.Selection{{Name: "base/1/", Prefix: true, Rename: "base/1/"}}, got.take); err != nil {
		t.Fatal(err)
	}
	return got.all
}

func wantFailure(t *testing.T, err error, stage string, kind sdk.ErrorKind, parts ...string) {
	t.Helper()
	var failure *pipeline.Failure
	if !errors.As(err, &failure) {
		t.Fatalf("no failure of a stage: %v", err)
	}
	if failure.Stage != stage || sdk.KindOf(err) != kind {
		t.Errorf("failure of %s, kind %s; expected %s, %s: %v", failure.Stage, sdk.KindOf(err), stage, kind, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error does not mention %q: %v", part, err)
		}
	}
}

// placed are settings that know where they were written.
type placed struct {
	values
	place string
}

func (p placed) Diagnose(d schema.Diagnostics) error {
	return sdk.Errorf(sdk.Invalid, "%s: %w", p.place, d.Err())
}

func (p placed) Decode(s schema.Schema) ([]byte, error) {
	for name := range p.values {
		found := false
		for _, a := range s.Attributes {
			found = found || a.Name == name
		}
		if !found {
			return nil, p.Diagnose(schema.Diagnostics{{Path: name, Summary: "Unknown setting"}})
		}
	}
	return p.values.Decode(s)
}

func diff(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func contains(text, part string) bool { return strings.Contains(text, part) }

// backup opens a pipeline and runs it.
func backup(ctx context.Context, e *plugintest.Engine, line pipeline.Line, request sdk.BackupRequest, observe pipeline.Observer) (sdk.BackupResult, error) {
	opened, err := e.OpenBackup(ctx, line)
	if err != nil {
		return sdk.BackupResult{}, err
	}
	defer opened.Close()
	return opened.Run(ctx, request, observe)
}
