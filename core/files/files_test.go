package files

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func TestMain(m *testing.M) { os.Exit(plugintest.Main(m, "plugins/sink-posix")) }

// site is a server with backups that tests make by hand.
type site struct {
	*plugintest.Server
	t *testing.T
}

// put makes empty files below the server's directory, and directories where a
// name ends with a slash.
func (s *site) put(names ...string) {
	s.t.Helper()
	for _, name := range names {
		path := filepath.Join(s.Home, "main", name)
		if err := os.MkdirAll(filepath.Join(s.Home, "main", filepath.Dir(name)), 0o700); err != nil {
			s.t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) backup(id catalogue.BackupID, state catalogue.State, begin, end string) *catalogue.Backup {
	s.t.Helper()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	b := &catalogue.Backup{
		ID: id, Server: "main", State: state, Mode: catalogue.ModeRsyncConcurrent, SegmentSize: wal.DefaultSegmentSize, Timeline: 1,
		BeginTime: noon, EndTime: noon, BeginWAL: begin, EndWAL: end, BeginLSN: 0x2000028, EndLSN: 0x4000100,
	}
	if err := s.Catalogue.Save(b); err != nil {
		s.t.Fatal(err)
	}
	return b
}

// list is what is listed, relative to root; the files of one directory come
// before those below it, but of directories the file system decides.
func (s *site) list(root string, request Request) ([]string, error) {
	s.t.Helper()
	var names []string
	for path, err := range List(s.t.Context(), s.Server.Server, request) {
		if err != nil {
			return names, err
		}
		names = append(names, strings.TrimPrefix(path, root+"/"))
	}
	return names, nil
}

const (
	firstID  catalogue.BackupID = "20260102T100000"
	secondID catalogue.BackupID = "20260103T100000"
	thirdID  catalogue.BackupID = "20260104T100000"
)

// The names, and which of them belong to which target, are those that Python
// Barman printed for the same catalogue.
func TestEveryTargetListsWhatPythonBarmanDoes(t *testing.T) {
	s := &site{plugintest.NewServer(t, ""), t}
	first := s.backup(firstID, catalogue.StateDone, "000000010000000000000002", "000000010000000000000004")
	second := s.backup(secondID, catalogue.StateDone, "000000020000000000000006", "000000020000000000000007")
	s.backup("20260103T110000", catalogue.StateFailed, "", "")
	third := s.backup(thirdID, catalogue.StateWaitingForWALs, "000000020000000000000009", "00000002000000000000000A")
	base := "base/" + string(firstID)
	s.put(base+"/data/PG_VERSION", base+"/data/base/1259", base+"/data/pg_twophase/", base+"/data/pg_tblspc/", base+"/16400/PG_15/16401")
	for name, to := range map[string]string{"dangling": "/nonexistent", "file": "PG_VERSION", "pg_tblspc/16400": s.Home} {
		if err := os.Symlink(to, filepath.Join(s.Home, "main", base, "data", name)); err != nil {
			t.Fatal(err)
		}
	}
	var index strings.Builder
	for _, name := range []string{
		"000000010000000000000001", "000000010000000000000002", "000000010000000000000002.00000028.backup", "000000010000000000000003",
		"000000010000000000000004", "000000010000000000000007.partial", "00000002.history", "000000020000000000000005", "000000020000000000000006",
		"000000020000000000000007", "000000020000000000000008", "000000020000000000000009", "00000002000000000000000A", "00000002000000000000000B",
		"00000003.history", "00000003000000000000000B",
	} {
		index.WriteString(name + "\t2\t1700000000.0\tNone\n")
	}
	if err := os.WriteFile(filepath.Join(s.Home, "main", "wals", "xlog.db"), []byte(index.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	data := []string{
		base + "/backup.info", base + "/16400/PG_15/16401", base + "/data/PG_VERSION", base + "/data/dangling", base + "/data/file", base + "/data/base/1259",
	}
	one, two := "wals/0000000100000000/0000000100000000000000", "wals/0000000200000000/0000000200000000000000"
	for name, test := range map[string]struct {
		request Request
		want    []string
	}{
		"data":       {Request{Backup: first, Target: Data}, data},
		"standalone": {Request{Backup: first, Target: Standalone}, append(data[:len(data):len(data)], one+"02", one+"03", one+"04")},
		"wal":        {Request{Backup: first, Target: WAL}, []string{one + "02", one + "03", one + "04", "wals/00000002.history", "wals/00000003.history"}},
		"full":       {Request{Backup: first, Target: Full}, append(data[:len(data):len(data)], one+"02", one+"03", one+"04", "wals/00000002.history", "wals/00000003.history")},
		"up to the next backup's end": {Request{Backup: second, Target: WAL}, []string{
			"wals/00000002.history", two + "06", two + "07", two + "08", two + "09", two + "0A"}},
		"up to the newest": {Request{Backup: third, Target: WAL}, []string{"wals/00000002.history", two + "09", two + "0A", two + "0B", "wals/00000003.history"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.list(filepath.Join(s.Home, "main"), test.request)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) > 0 && test.request.Target != WAL {
				sortDirectories(got, len(data))
				sortDirectories(test.want, len(data))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("empty directories", func(t *testing.T) {
		got, err := s.list(filepath.Join(s.Home, "main"), Request{Backup: first, Target: Data, EmptyDirectories: true})
		if err != nil || len(got) != len(data)+1 || !strings.Contains(strings.Join(got, " "), base+"/data/pg_twophase") {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("a backup that never began", func(t *testing.T) {
		failed, err := s.Catalogue.Get("20260103T110000")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.list(s.Home, Request{Backup: failed, Target: Data}); err != nil || len(got) != 1 {
			t.Errorf("%q, %v", got, err)
		}
		for _, target := range []Target{Standalone, WAL, Full} {
			if _, err := s.list(s.Home, Request{Backup: failed, Target: target}); sdk.KindOf(err) != sdk.Invalid {
				t.Errorf("%s: %v", target, err)
			}
		}
	})
	t.Run("a damaged index", func(t *testing.T) {
		path := filepath.Join(s.Home, "main", "wals", "xlog.db")
		if err := os.WriteFile(path, []byte("garbage\n"+index.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := s.list(s.Home, Request{Backup: first, Target: WAL})
		if sdk.KindOf(err) != sdk.Corrupt || len(got) != 5 {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// sortDirectories puts the first n names in an order that the file system does
// not decide, the first of all and those of one directory as they are.
func sortDirectories(names []string, n int) {
	byDirectory := map[string][]string{}
	var order []string
	for _, name := range names[:n] {
		d := filepath.Dir(name)
		if byDirectory[d] == nil {
			order = append(order, d)
		}
		byDirectory[d] = append(byDirectory[d], name)
	}
	slices.Sort(order)
	at := 0
	for _, d := range order {
		at += copy(names[at:], byDirectory[d])
	}
}

func TestWhatIsStoredElsewhereIsListedThere(t *testing.T) {
	elsewhere := t.TempDir()
	sink := "    sink \"posix\" {\n      path = \"" + elsewhere + "\"\n    }\n"
	s := &site{plugintest.NewServer(t, "  backup {\n"+sink+"  }\n  wal {\n    archive = true\n"+sink+"  }\n"), t}
	b := s.backup(firstID, catalogue.StateDone, "000000010000000000000002", "000000010000000000000002")
	for _, name := range []string{"base.tar", "backup_manifest"} {
		path := filepath.Join(elsewhere, "base", string(firstID), "data", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.list("", Request{Backup: b, Target: Standalone})
	if err != nil {
		t.Fatal(err)
	}
	base := strings.TrimPrefix(filepath.Join(elsewhere, "base", string(firstID), "data"), "/")
	want := []string{
		strings.TrimPrefix(filepath.Join(s.Home, "main/base", string(firstID), "backup.info"), "/"), base + "/backup_manifest", base + "/base.tar",
		strings.TrimPrefix(filepath.Join(elsewhere, "wals/0000000100000000/000000010000000000000002"), "/"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
