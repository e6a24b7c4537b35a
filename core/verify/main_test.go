package verify

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/internal/plugintest"
	corewal "github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/pgtest"
)

func TestMain(m *testing.M) {
	os.Exit(plugintest.Main(m, "plugins/sink-posix", "plugins/compress", "plugins/source-pgbasebackup", "core/fetch/testdata/inverted"))
}

// site is a server with one backup that PostgreSQL made.
type site struct {
	*plugintest.Server
	t       *testing.T
	backup  *catalogue.Backup
	cluster *pgtest.Cluster
}

// newCluster makes a cluster with a tablespace. Its segments are small, so that
// many fit into a short test.
func newCluster(t *testing.T) *pgtest.Cluster {
	t.Helper()
	c := pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1, Tablespaces: []string{"side"}, Config: map[string]string{"wal_keep_size": "512MB"}})
	c.Exec("CREATE TABLE here AS SELECT g AS id, repeat('x', 100) AS text FROM generate_series(1, 5000) g")
	c.Exec("CREATE TABLE there TABLESPACE side AS SELECT g AS id FROM generate_series(1, 5000) g")
	return c
}

// take takes a backup of a cluster, with these settings of the server, and
// archives the WAL.
func take(t *testing.T, c *pgtest.Cluster, settings string) *site {
	t.Helper()
	s := &site{Server: plugintest.NewServer(t, settings), t: t, cluster: c}
	configured := s.Server.Server.Config
	configured.Conninfo, configured.StreamingConninfo = sdk.Secret(c.Conninfo()), sdk.Secret(c.Conninfo())
	var err error
	if s.backup, err = backup.Run(t.Context(), s.Server.Server, backup.Options{}); err != nil {
		t.Fatal(err)
	}
	c.SwitchWAL()
	s.archive()
	if s.backup.State != catalogue.StateDone {
		t.Fatalf("the backup is %s", s.backup.State)
	}
	return s
}

// archive archives the WAL that the backup needs.
func (s *site) archive() {
	s.t.Helper()
	segments, err := s.backup.Segments()
	if err != nil {
		s.t.Fatal(err)
	}
	for segment := range segments {
		name := segment.Name(s.backup.SegmentSize)
		content, err := os.ReadFile(filepath.Join(s.cluster.DataDir, "pg_wal", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(s.Catalogue.Layout().IncomingDirectory, name), content, 0o600)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if _, err := corewal.Archive(s.t.Context(), s.Server.Server, corewal.ArchiveOptions{}); err != nil {
		s.t.Fatal(err)
	}
	if s.backup, err = backup.Check(s.t.Context(), s.Server.Server, s.backup.ID); err != nil {
		s.t.Fatal(err)
	}
}

// base is the path of something of the backup.
func (s *site) base(elements ...string) string {
	return filepath.Join(append([]string{s.Catalogue.Directory(s.backup.ID)}, elements...)...)
}

// withoutReceipts hides the receipts, as of a backup of Python Barman, until the
// test is over.
func (s *site) withoutReceipts(t *testing.T) {
	t.Helper()
	path := s.base(catalogue.ReceiptsName)
	rename(t, path, path+".hidden")
	t.Cleanup(func() { rename(t, path+".hidden", path) })
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// run verifies the backup without its WAL.
func (s *site) run(t *testing.T) Report {
	t.Helper()
	return s.runWith(t, Request{SkipWAL: true})
}

func (s *site) runWith(t *testing.T, request Request) Report {
	t.Helper()
	request.Backup = s.backup
	report, err := Run(t.Context(), s.Server.Server, request)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// files are the files that have a problem, each once, in order.
func files(report Report) []string {
	var names []string
	for _, p := range report.Problems {
		names = append(names, p.File)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// wantProblem fails the test unless there is a problem of the kind with a file.
func wantProblem(t *testing.T, report Report, kind Kind, file string) {
	t.Helper()
	if !slices.ContainsFunc(report.Problems, func(p Problem) bool { return p.Kind == kind && p.File == file }) {
		t.Errorf("no problem of the kind %q with %s: %v", kind, file, report.Problems)
	}
}

var quoted = regexp.MustCompile(`"([^"]+)"`)

// judge is what pg_verifybackup says of a directory: the files it has something
// against, and whether it has.
func judge(t *testing.T, major int, directory string, options ...string) (against []string, ok bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), pgtest.Tool(t, major, "pg_verifybackup"), append(options, directory)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for line := range strings.Lines(stderr.String()) {
		if m := quoted.FindStringSubmatch(line); m != nil {
			against = append(against, m[1])
		}
	}
	slices.Sort(against)
	return slices.Compact(against), err == nil
}

// change does something to a file, and undoes it when the test is over.
func change(t *testing.T, path string, how func(content []byte) []byte) {
	t.Helper()
	before, err := os.ReadFile(path)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := os.RemoveAll(path)
		if there && err == nil {
			err = os.WriteFile(path, before, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	after := how(bytes.Clone(before))
	if after == nil {
		err = os.Remove(path)
	} else {
		err = os.WriteFile(path, after, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The ways in which files go bad.
func flipped(b []byte) []byte   { b[len(b)/2] ^= 4; return b }
func truncated(b []byte) []byte { return b[:len(b)/2] }
func emptied([]byte) []byte     { return []byte{} }
func extended(b []byte) []byte  { return append(b, 0) }
func removed([]byte) []byte     { return nil }
func added([]byte) []byte       { return []byte("something") }

// replaced has the manner of a text replaced by another of the same length.
func replaced(old, changed string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(changed), 1) }
}

// relation is the path, below the data directory, of a table.
func (s *site) relation(table string) string {
	return pgtest.One[string](s.cluster, "SELECT pg_relation_filepath('"+table+"')")
}

func receiptsOf(s *site) []catalogue.ObjectReceipt {
	s.t.Helper()
	_, objects, err := s.Catalogue.Receipts(s.backup.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []catalogue.ObjectReceipt
	for o, err := range objects {
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

func walPath(t *testing.T, s *site, name string) string {
	t.Helper()
	return filepath.Join(s.Catalogue.Layout().WALsDirectory, name[:16], name)
}

// signed ends a manifest whose last line is missing with its checksum.
func signed(text string) []byte {
	return fmt.Appendf(nil, "%s\"Manifest-Checksum\": \"%x\"}\n", text, sha256.Sum256([]byte(text)))
}
