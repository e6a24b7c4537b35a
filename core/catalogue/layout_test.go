package catalogue

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

func TestDefaultLayoutIsBarmans(t *testing.T) {
	want := Layout{Name: "main", BackupDirectory: "/b/main", BasebackupsDirectory: "/b/main/base", WALsDirectory: "/b/main/wals", XlogDBDirectory: "/b/main/wals",
		IncomingDirectory: "/b/main/incoming", StreamingDirectory: "/b/main/streaming", ErrorsDirectory: "/b/main/errors", LockDirectory: "/b"}
	if d := cmp.Diff(want, Layout{}.Default("/b", "main")); d != "" {
		t.Error(d)
	}
	got := Layout{BackupDirectory: "/x", WALsDirectory: "/w"}.Default("/b", "main")
	if got.BasebackupsDirectory != "/x/base" || got.XlogDBDirectory != "/w" || got.LockDirectory != "/b" {
		t.Errorf("%+v", got)
	}
}

func TestOpenRefusesWhatCannotBeADirectory(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "../a", "a\x00", "a\nb"} {
		_, err := Open(Layout{}.Default("/b", "main").named(name))
		wantKind(t, err, sdk.Invalid)
	}
	for _, dir := range []string{"", "relative", "/a\x00"} {
		l := Layout{}.Default("/b", "main")
		l.StreamingDirectory = dir
		_, err := Open(l)
		wantKind(t, err, sdk.Invalid, "main")
	}
}

func (l Layout) named(name string) Layout {
	l.Name = name
	return l
}

func TestDirectoriesAreCreatedForTheOwnerAlone(t *testing.T) {
	s, err := Open(Layout{}.Default(filepath.Join(t.TempDir(), "a", "b"), "main"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.CreateDirectories(); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range s.Layout().directories() {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
}

func TestCreateDirectoriesNamesWhatIsInTheWay(t *testing.T) {
	s, err := Open(Layout{}.Default(t.TempDir(), "main"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.Layout().WALsDirectory, "a file")
	wantKind(t, s.CreateDirectories(), sdk.Invalid, "main", "wals", "not a directory")
}
