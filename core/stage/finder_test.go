package stage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

// directory makes a directory with files of the given names.
func directory(t *testing.T, names ...string) string {
	t.Helper()
	d := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(d, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func wantError(t *testing.T, err error, kind sdk.ErrorKind, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, expected one of kind %q", kind)
	}
	if got := sdk.KindOf(err); got != kind {
		t.Errorf("error of kind %q, expected %q: %v", got, kind, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error does not mention %q: %v", part, err)
		}
	}
}

func TestTheFirstDirectoryThatHasAPluginWins(t *testing.T) {
	first, second := directory(t, "barman-plugin-sink-s3"), directory(t, "barman-plugin-sink-s3", "barman-plugin-sink-posix")
	f := Finder{Directories: []string{filepath.Join(first, "missing"), first, second}}
	for name, want := range map[string]string{"s3": first, "posix": second} {
		p, err := f.Find("sink", name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Plugin{Kind: "sink", Name: name, Path: filepath.Join(want, "barman-plugin-sink-"+name)}, p); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDeclaredPluginsComeBeforeDirectories(t *testing.T) {
	d := directory(t, "barman-plugin-sink-s3", "barman-plugin-sink-gcs", "barman-plugin-source-gcs")
	f := Finder{Directories: []string{d}, Declared: []Plugin{
		{Kind: "sink", Name: "gcs", Path: "/opt/acme/gcs", SHA256: "aa"},
		{Kind: "sink", Name: "s3", SHA256: "bb"},
	}}
	for want, got := range map[Plugin]func() (Plugin, error){
		{Kind: "sink", Name: "gcs", Path: "/opt/acme/gcs", SHA256: "aa"}:                 func() (Plugin, error) { return f.Find("sink", "gcs") },
		{Kind: "sink", Name: "s3", Path: d + "/barman-plugin-sink-s3", SHA256: "bb"}:     func() (Plugin, error) { return f.Find("sink", "s3") },
		{Kind: "source", Name: "gcs", Path: d + "/barman-plugin-source-gcs", SHA256: ""}: func() (Plugin, error) { return f.Find("source", "gcs") },
	} {
		p, err := got()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAPinnedPluginThatIsNowhereIsNotFound(t *testing.T) {
	f := Finder{Directories: []string{directory(t)}, Declared: []Plugin{{Kind: "sink", Name: "s3", SHA256: "bb"}}}
	_, err := f.Find("sink", "s3")
	wantError(t, err, sdk.NotFound, "barman-plugin-sink-s3")
}

func TestAnUnknownPluginComesWithAdvice(t *testing.T) {
	d := directory(t, "barman-plugin-sink-s3", "barman-plugin-sink-posix", "barman-plugin-source-rsync")
	for name, test := range map[string]struct {
		finder Finder
		kind   string
		parts  []string
	}{
		"others of the kind": {Finder{Directories: []string{d}}, "sink", []string{`no sink plugin "gcs"`, "barman-plugin-sink-gcs in " + d, "the sink plugins found are: posix, s3"}},
		"none of the kind":   {Finder{Directories: []string{d}}, "hook", []string{"set plugin_dirs in the barman block"}},
		"no directory":       {Finder{}, "sink", []string{"none is searched", "set plugin_dirs"}},
		"missing directory":  {Finder{Directories: []string{d + "/missing"}}, "sink", []string{d + "/missing", "set plugin_dirs"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.finder.Find(test.kind, "gcs")
			wantError(t, err, sdk.NotFound, test.parts...)
		})
	}
}

func TestNamesThatCouldBePathsAreRefused(t *testing.T) {
	d := directory(t)
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/etc/passwd", "a b", "a\x00b", "a\nb", "ä", "a.so", strings.Repeat("a", maxName+1)} {
		_, err := Finder{Directories: []string{d}, Declared: []Plugin{{Kind: "sink", Name: name, Path: "/bin/sh"}}}.Find("sink", name)
		wantError(t, err, sdk.Invalid)
	}
	for _, kind := range []string{"", "..", "../x", "sinks", "sink-x"} {
		_, err := Finder{Directories: []string{d}}.Find(kind, "s3")
		wantError(t, err, sdk.Invalid, "source, transform, sink, hook")
	}
}

func TestADirectoryThatCannotBeSearchedIsNotPassedOver(t *testing.T) {
	file := filepath.Join(directory(t, "file"), "file")
	_, err := Finder{Directories: []string{file, directory(t, "barman-plugin-sink-s3")}}.Find("sink", "s3")
	wantError(t, err, sdk.Denied, file)
	_, err = Finder{Directories: []string{file}}.List()
	wantError(t, err, sdk.Denied, file)
}

func TestListNamesEachPluginOnceInTheOrderOfAPipeline(t *testing.T) {
	first := directory(t, "barman-plugin-sink-s3", "barman-plugin-hook-script", "barman-plugin-transform-compress", "barman", "barman-plugin-",
		"barman-plugin-sink-", "barman-plugin-absorber-x", "barman-plugin-sink-a.bak", "barman-plugin-source-a-b")
	second := directory(t, "barman-plugin-sink-s3", "barman-plugin-sink-azure")
	got, err := Finder{
		Directories: []string{first, second, first + "/missing"},
		Declared:    []Plugin{{Kind: "sink", Name: "gcs", Path: "/opt/gcs"}, {Kind: "sink", Name: "pinned-only", SHA256: "aa"}, {Kind: "sink", Name: "s3", SHA256: "bb"}},
	}.List()
	if err != nil {
		t.Fatal(err)
	}
	want := []Plugin{
		{Kind: "source", Name: "a-b", Path: first + "/barman-plugin-source-a-b"},
		{Kind: "transform", Name: "compress", Path: first + "/barman-plugin-transform-compress"},
		{Kind: "sink", Name: "azure", Path: second + "/barman-plugin-sink-azure"},
		{Kind: "sink", Name: "gcs", Path: "/opt/gcs"},
		{Kind: "sink", Name: "s3", Path: first + "/barman-plugin-sink-s3", SHA256: "bb"},
		{Kind: "hook", Name: "script", Path: first + "/barman-plugin-hook-script"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseYieldsOnlyNamesThatFindTakes(f *testing.F) {
	for _, seed := range []string{"barman-plugin-sink-s3", "barman-plugin-source-", "barman-plugin-sink-../x", "barman", "barman-plugin-hook-a-b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) {
		kind, name, ok := parse(file)
		if !ok {
			return
		}
		if prefix+kind+"-"+name != file {
			t.Errorf("%q became %q and %q", file, kind, name)
		}
		if _, err := (Finder{}).Find(kind, name); sdk.KindOf(err) != sdk.NotFound {
			t.Errorf("%q: %v", file, err)
		}
	})
}

func TestDefaultDirectoryIsBesideTheBinary(t *testing.T) {
	directories, err := DefaultDirectories()
	if err != nil {
		t.Fatal(err)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{filepath.Dir(executable)}, directories); diff != "" {
		t.Error(diff)
	}
}
