package recovery

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/sdk/wal"
)

func TestMain(m *testing.M) {
	os.Exit(plugintest.Main(m, "plugins/sink-posix", "plugins/compress", "plugins/hook-script"))
}

// site is a server with one backup.
type site struct {
	*plugintest.Server
	t      *testing.T
	backup *catalogue.Backup
	dir    string // the server's directory
}

func newSite(t *testing.T, settings string) *site {
	t.Helper()
	s := &site{Server: plugintest.NewServer(t, settings), t: t, backup: backupAt("20260102T100000", noon, 0x2180000)}
	s.dir = s.Server.Server.Config.Directories.Backup
	s.save()
	s.wal(segmentName(2, 0x21), asIs) // without which the backup is of no use
	return s
}

func (s *site) save() {
	s.t.Helper()
	if err := s.Catalogue.Save(s.backup); err != nil {
		s.t.Fatal(err)
	}
}

// put writes a file below the server's directory.
func (s *site) put(name string, content []byte) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) base(name string) string { return "base/" + string(s.backup.ID) + "/" + name }

// segment is the content of a WAL segment, by whatever marks it.
func segment(mark string) []byte {
	return append([]byte{0x10, 0xd1, 0, 0}, bytes.Repeat([]byte(mark), (1<<20-4)/len(mark)+1)[:1<<20-4]...)
}

// wal puts a segment into the archive.
func (s *site) wal(name string, encode func([]byte) []byte) {
	s.t.Helper()
	n, err := wal.ParseName(name)
	if err != nil {
		s.t.Fatal(err)
	}
	s.put(filepath.Join("wals", n.HashDir(), name), encode(segment(name)))
}

// lose takes a segment out of the archive.
func (s *site) lose(name string) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, "wals", name[:16], name)); err != nil {
		s.t.Fatal(err)
	}
}

func asIs(b []byte) []byte { return b }

func zipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func zstandard(b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(b, nil)
}

// files is what a data directory holds, directories with a slash at the end.
var dataFiles = map[string]string{
	"PG_VERSION": "15\n", "backup_label": "START WAL LOCATION", "tablespace_map": "16400 /original\n",
	"base/1/1259": strings.Repeat("row", 10000), "base/1/empty": "", "pg_tblspc/": "", "pg_wal/": "", "global/pg_control": "control",
}

var spaceFiles = map[string]string{"PG_15_202209061/": "", "PG_15_202209061/5/16401": "far away"}

func archive(t *testing.T, content map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, text := range content {
		h := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg}
		if strings.HasSuffix(name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o700
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// putPlain stores the backup as plain files; suffix and encode are those of a
// transform.
func (s *site) putPlain(suffix string, encode func([]byte) []byte) {
	s.t.Helper()
	for _, part := range []struct {
		prefix  string
		content map[string]string
	}{{"data/", dataFiles}, {"16400/", spaceFiles}} {
		for name, text := range part.content {
			if dir, ok := strings.CutSuffix(name, "/"); ok {
				if err := os.MkdirAll(filepath.Join(s.dir, s.base(part.prefix+dir)), 0o700); err != nil {
					s.t.Fatal(err)
				}
				continue
			}
			s.put(s.base(part.prefix+name+suffix), encode([]byte(text)))
		}
	}
}

// putTar stores the backup as tar files.
func (s *site) putTar(suffix string, encode func([]byte) []byte) {
	s.t.Helper()
	s.put(s.base("data/base.tar"+suffix), encode(archive(s.t, dataFiles)))
	s.put(s.base("data/16400.tar"+suffix), encode(archive(s.t, spaceFiles)))
	s.put(s.base("data/backup_manifest"), []byte(`{"PostgreSQL-Backup-Manifest-Version": 1}`))
}

// receipts say what the backup was made with.
func (s *site) receipts(transforms ...string) {
	s.t.Helper()
	header := catalogue.ReceiptsHeader{Chain: []catalogue.ChainStage{{Kind: "source", Name: "pgbasebackup"}}}
	for _, name := range transforms {
		header.Chain = append(header.Chain, catalogue.ChainStage{Kind: "transform", Name: name})
	}
	w, err := s.Catalogue.NewReceipts(s.backup.ID, header)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		s.t.Fatal(err)
	}
}

// run recovers into a new directory, with the tablespace beside it.
func (s *site) run(request Request) (Report, error) {
	s.t.Helper()
	root := s.t.TempDir()
	if request.Destination == "" {
		request.Destination = filepath.Join(root, "data")
	}
	if request.Tablespaces == nil && len(s.backup.Tablespaces) > 0 {
		request.Tablespaces = map[string]string{"side": filepath.Join(root, "side")}
	}
	request.Backup = s.backup
	return Run(s.t.Context(), s.Server.Server, request)
}

func (s *site) mustRun(request Request) Report {
	s.t.Helper()
	report, err := s.run(request)
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}

// tree is what lies below a directory: content by name, links with an arrow.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name := strings.TrimPrefix(path, root+"/")
		switch {
		case entry.IsDir():
			found[name+"/"] = ""
		case entry.Type() == fs.ModeSymlink:
			to, err := os.Readlink(path)
			found[name] = "-> " + to
			return err
		default:
			content, err := os.ReadFile(path)
			found[name] = string(content)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func uid(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

func segmentName(timeline, number int) string {
	return fmt.Sprintf("%08X%08X%08X", timeline, 0, number)
}
