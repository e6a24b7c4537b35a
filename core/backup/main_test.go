package backup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/sdk"
)

func TestMain(m *testing.M) {
	os.Exit(plugintest.Main(m, "plugins/sink-posix", "plugins/compress", "plugins/hook-script",
		"core/pipeline/testdata/source-generated", "core/pipeline/testdata/sink-faulty"))
}

// site is a server whose backups come from the source "generated".
type site struct {
	*plugintest.Server
	t   *testing.T
	log *strings.Builder
}

func newSite(t *testing.T, settings string) *site {
	t.Helper()
	log := &strings.Builder{}
	return &site{Server: plugintest.NewServer(t, settings, log), t: t, log: log}
}

// take takes a backup as Run does once it has asked the server.
func (s *site) take(options Options) (*catalogue.Backup, error) {
	s.t.Helper()
	r := newRun(s.Server.Server, options, postgres.Facts{
		VersionNum: 150004, SystemID: "7000000000000000001", SegmentSize: 1 << 20, DataDirectory: "/srv/pg",
		Tablespaces: []postgres.Tablespace{{Name: "side", OID: 16400, Location: "/srv/side"}},
	})
	defer r.hooks.Close()
	if err := r.open(s.t.Context()); err != nil {
		return nil, err
	}
	defer r.stop()
	err := r.locked(s.t.Context())
	return r.backup, err
}

// wantFailed checks that a backup is marked as FAILED in the catalogue, and that
// nothing but metadata is left of it.
func (s *site) wantFailed(b *catalogue.Backup, reason string) {
	s.t.Helper()
	known, err := s.Catalogue.Get(b.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	if known.State != catalogue.StateFailed || !strings.Contains(known.Error, reason) {
		s.t.Errorf("%s: %s; expected FAILED: %q", known.State, known.Error, reason)
	}
	for _, name := range s.files("base/" + string(b.ID)) {
		if name != "backup.info" && name != catalogue.ReceiptsName {
			s.t.Errorf("%s was left behind", name)
		}
	}
}

// files are the names of all files below a directory of the server, and of empty
// directories.
func (s *site) files(directory string) []string {
	s.t.Helper()
	root := filepath.Join(s.Server.Server.Config.Directories.Backup, directory)
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && path != root && !entry.IsDir() {
			found = append(found, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return found
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

// pipelineOf is the configuration of a backup pipeline with the given stages.
func pipelineOf(source string, stages ...string) string {
	if source == "" {
		source = `source "generated" {}`
	}
	return "  backup {\n    " + source + "\n    " + strings.Join(stages, "\n    ") + "\n  }\n"
}
