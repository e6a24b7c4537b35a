package sdktest

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/barman-go/barman/sdk"
)

// sinkLands checks a sink that declares landing directories; others have none.
func (s subject) sinkLands(t T) {
	session := s.open(t)
	description, err := session.Describe(t.Context())
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	if !description.Landing {
		return
	}
	prefix := s.below(t, session)
	land := func(name, reference string) sdk.Landing {
		t.Helper()
		landing, err := session.Land(t.Context(), prefix+name, prefix+reference)
		if err != nil {
			t.Fatalf("land: %v", err)
		}
		return landing
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("fill the landing directory: %v", err)
		}
	}
	first := land("first", "none")
	if first.Reference != "" {
		t.Errorf("a reference that is not there is %q", first.Reference)
	}
	must(os.MkdirAll(filepath.Join(first.Directory, "data", "below"), 0o700))
	must(os.WriteFile(filepath.Join(first.Directory, "data", "below", "one"), []byte("one"), 0o640))
	must(os.WriteFile(filepath.Join(first.Directory, "data", "empty"), nil, 0o600))
	for range 2 {
		sealed, err := session.Seal(t.Context(), prefix+"first")
		if want := (sdk.Sealed{Files: 2, Size: 3, Unshared: 3}); err != nil || sealed != want {
			t.Errorf("seal: %+v, expected %+v; %v", sealed, want, err)
		}
	}
	second := land("second", "first")
	if second.Reference != first.Directory {
		t.Errorf("the reference is %q, expected %q", second.Reference, first.Directory)
	}
	must(os.Mkdir(filepath.Join(second.Directory, "data"), 0o700))
	must(os.Link(filepath.Join(second.Reference, "data", "below", "one"), filepath.Join(second.Directory, "data", "one")))
	must(os.WriteFile(filepath.Join(second.Directory, "data", "two"), []byte("2"), 0o600))
	sealed, err := session.Seal(t.Context(), prefix+"second")
	if want := (sdk.Sealed{Files: 2, Size: 4, Unshared: 1}); err != nil || sealed != want {
		t.Errorf("seal: %+v, expected %+v; %v", sealed, want, err)
	}
	if _, content, err := s.get(t, session, prefix+"second/data/one"); err != nil || string(content) != "one" {
		t.Errorf("what landed is %q, %v", content, err)
	}
	names, err := listNames(t.Context(), session, prefix)
	for _, name := range []string{"first/data/below/one", "first/data/empty", "second/data/one", "second/data/two"} {
		if err != nil || !slices.Contains(names, prefix+name) {
			t.Errorf("%s is not listed: %q, %v", name, names, err)
		}
	}
	must(os.Symlink("two", filepath.Join(second.Directory, "data", "link")))
	if _, err := session.Seal(t.Context(), prefix+"second"); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("a symbolic link among what landed: %v", err)
	}
	if _, err := session.Land(t.Context(), "../"+prefix, ""); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("a directory outside of the store: %v", err)
	}
	s.clean(t)
}
