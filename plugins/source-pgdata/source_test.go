package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
	"github.com/barman-go/barman/test/pgtest"
)

const prefix = "base/20260102T030405/"

// store keeps every object as a file below a directory.
type store struct {
	root string

	mu    sync.Mutex
	names []string
}

func (s *store) Expect(int64) {}

func (s *store) Emit(_ context.Context, o sdk.Object, r io.Reader) error {
	s.mu.Lock()
	s.names = append(s.names, strings.TrimPrefix(o.Name, prefix))
	s.mu.Unlock()
	path := filepath.Join(s.root, strings.TrimPrefix(o.Name, prefix))
	if o.Kind == sdk.KindDirectory {
		return os.MkdirAll(path, 0o700)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

func take(t *testing.T, server sdk.Server, settings string, request sdk.BackupRequest) (*store, sdk.BackupResult, error) {
	t.Helper()
	config := new(Config)
	if err := schema.Decode([]byte(settings), config); err != nil {
		t.Fatal(err)
	}
	source, err := Open(t.Context(), server, config)
	if err != nil {
		t.Fatal(err)
	}
	request.Prefix, request.Label = prefix, "it's a label"
	s := &store{root: t.TempDir()}
	result, err := source.Backup(t.Context(), request, s)
	return s, result, err
}

// unpacked is a data directory made of what was stored, its tablespaces linked to
// where they are beside it.
func unpacked(t *testing.T, s *store, result sdk.BackupResult) string {
	t.Helper()
	root := filepath.Join(pgtest.Scratch(t), "restored")
	data := filepath.Join(root, "data")
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	if !slices.Contains(s.names, "data/base.tar") {
		run("cp", "-a", s.root, root)
	}
	for _, name := range s.names {
		stem, isTar := strings.CutSuffix(strings.TrimPrefix(name, "data/"), ".tar")
		if !isTar {
			continue
		}
		stem, _, _ = strings.Cut(stem, "_")
		into := filepath.Join(root, strings.ReplaceAll(stem, "base", "data"))
		run("mkdir", "-p", into)
		run("tar", "-C", into, "-xf", filepath.Join(s.root, name))
	}
	if isTar := slices.Contains(s.names, "data/base.tar"); isTar {
		run("cp", filepath.Join(s.root, "data/backup_manifest"), data)
	}
	for _, tablespace := range result.Tablespaces {
		oid := fmt.Sprint(tablespace.OID)
		run("ln", "-s", filepath.Join(root, oid), filepath.Join(data, "pg_tblspc", oid))
	}
	return data
}

func TestABackupIsWholeAndStarts(t *testing.T) {
	pgtest.EachVersion(t, func(t *testing.T, major int) {
		c := pgtest.Start(t, pgtest.Options{Major: major, Tablespaces: []string{"one", "two"}, Checksums: true})
		c.Exec("CREATE TABLE here AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, 20000) i")
		c.Exec("CREATE TABLE there TABLESPACE one AS SELECT i FROM generate_series(1, 1000) i")
		c.Exec("CREATE UNLOGGED TABLE volatile AS SELECT i FROM generate_series(1, 1000) i")
		for _, request := range []sdk.BackupRequest{
			{Layout: sdk.LayoutTar, Jobs: 3, ArchiveSize: 4 << 20}, {Layout: sdk.LayoutTar, Jobs: 3}, {Layout: sdk.LayoutPlain, Jobs: 3},
		} {
			s, result, err := take(t, serverOf(c), `{"checkpoint": "fast"}`, request)
			if err != nil {
				t.Fatal(err)
			}
			c.SwitchWAL()
			data := unpacked(t, s, result)
			if major == 15 { // whose tools there are
				if out, err := exec.CommandContext(t.Context(), pgtest.Tool(t, c.Major, "pg_verifybackup"), "--no-parse-wal", data).CombinedOutput(); err != nil {
					t.Errorf("%+v: pg_verifybackup: %v\n%s", request, err, out)
				}
			}
			if label, err := os.ReadFile(filepath.Join(data, "backup_label")); err != nil || string(label) != result.Label {
				t.Errorf("backup_label %q, the result says %q (%v)", label, result.Label, err)
			}
			if err := os.WriteFile(filepath.Join(data, "recovery.signal"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			restored := pgtest.StartExisting(t, c.Major, data, map[string]string{
				"restore_command": "cp " + filepath.Join(c.DataDir, "pg_wal") + "/%f %p", "recovery_target": "immediate", "recovery_target_action": "promote",
			})
			restored.WaitRecovered()
			if n := pgtest.One[int64](restored, "SELECT (SELECT count(*) FROM here) + (SELECT count(*) FROM there) + (SELECT count(*) FROM volatile)"); n != 21000 {
				t.Errorf("%+v: %d rows, expected 21000", request, n)
			}
			restored.Stop(pgtest.Immediate)
		}
	})
}

func TestConfigurationFilesFromElsewhereAreInTheBackup(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15})
	elsewhere := pgtest.Scratch(t)
	hba := filepath.Join(elsewhere, "pg_hba.conf")
	content, err := os.ReadFile(filepath.Join(c.DataDir, "pg_hba.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hba, append(content, "# elsewhere\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	pgtest.Own(t, elsewhere)
	c.Exec("ALTER SYSTEM SET hba_file = '" + hba + "'")
	c.Stop(pgtest.Fast)
	c.Restart()
	s, result, err := take(t, serverOf(c), `{"checkpoint": "fast"}`, sdk.BackupRequest{Layout: sdk.LayoutTar, Jobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(unpacked(t, s, result), "pg_hba.conf"))
	if err != nil || !bytes.HasSuffix(got, []byte("# elsewhere\n")) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOnlyTheDirectoryOfTheServerItselfIsBackedUp(t *testing.T) {
	c, other := pgtest.Start(t, pgtest.Options{Major: 15}), pgtest.Start(t, pgtest.Options{Major: 15})
	stopped := filepath.Join(pgtest.Scratch(t), "stopped")
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", c.DataDir, stopped).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Remove(filepath.Join(stopped, "postmaster.pid")); err != nil {
		t.Fatal(err)
	}
	for directory, reason := range map[string]string{
		other.DataDir: "system identifier", stopped: "no server runs in it", "/nowhere": "cannot be read on this host",
	} {
		s, _, err := take(t, serverOf(c), fmt.Sprintf(`{"checkpoint": "fast", "data_directory": %q}`, directory), sdk.BackupRequest{Layout: sdk.LayoutTar, Jobs: 1})
		if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(fmt.Sprint(err), reason) {
			t.Errorf("%s: %v", directory, err)
		}
		if len(s.names) > 0 {
			t.Errorf("%s: %q were emitted", directory, s.names)
		}
	}
}

func TestABackupOfPlainFilesIsPackedAsItIs(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15, Tablespaces: []string{"one"}})
	c.Exec("CREATE TABLE there TABLESPACE one AS SELECT i FROM generate_series(1, 1000) i")
	plain, _, err := take(t, serverOf(c), `{"checkpoint": "fast"}`, sdk.BackupRequest{Layout: sdk.LayoutPlain, Jobs: 2})
	if err != nil {
		t.Fatal(err)
	}
	s, result, err := take(t, sdk.Server{Name: "main"}, fmt.Sprintf(`{"copy": %q}`, plain.root), sdk.BackupRequest{Layout: sdk.LayoutTar, Jobs: 2, ArchiveSize: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	data := unpacked(t, s, result)
	if out, err := exec.CommandContext(t.Context(), pgtest.Tool(t, c.Major, "pg_verifybackup"), "--no-parse-wal", data).CombinedOutput(); err != nil {
		t.Errorf("pg_verifybackup: %v\n%s", err, out)
	}
	if result.SystemID == "" || result.BeginLSN == 0 || result.Timeline != 1 || len(result.Tablespaces) != 1 {
		t.Errorf("%+v", result)
	}
}

func TestAFileKeepsTheSizeItHadWhenItWasOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for name, change := range map[string]struct {
		now  string
		want string
	}{
		"grows": {"0123456789abcdef", "0123456789"}, "shrinks": {"0123", "0123\x00\x00\x00\x00\x00\x00"}, "stays": {"0123456789", "0123456789"},
	} {
		if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
			t.Fatal(err)
		}
		m := &member{path: path}
		if present, err := m.open(); err != nil || !present {
			t.Fatal(present, err)
		}
		if err := os.WriteFile(path, []byte(change.now), 0o600); err != nil { // the same file
			t.Fatal(err)
		}
		got, err := io.ReadAll(iotest.OneByteReader(newContent(m, nil)))
		if err != nil || string(got) != change.want {
			t.Errorf("a file that %s: %q, %v", name, got, err)
		}
	}
}

func TestWhatVanishesOrIsNoFileIsLeftOut(t *testing.T) {
	directory := t.TempDir()
	pipe := filepath.Join(directory, "pipe")
	if out, err := exec.CommandContext(t.Context(), "mkfifo", pipe).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, path := range []string{filepath.Join(directory, "gone"), pipe} {
		if present, err := (&member{path: path}).open(); present || err != nil {
			t.Errorf("%s: %v, %v", path, present, err)
		}
	}
}

func TestLongNamesAreStored(t *testing.T) {
	long := strings.Repeat("directory/", 30) + "größe"
	header, err := headerOf(&member{name: long, mode: 0o600})
	if err != nil || len(header)%blockSize != 0 {
		t.Fatal(len(header), err)
	}
}

func FuzzBeginOf(f *testing.F) {
	f.Add("START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT")
	f.Fuzz(func(t *testing.T, label string) {
		if lsn, timeline, err := beginOf(label); err == nil && timeline == 0 {
			t.Errorf("%q: %s on timeline 0", label, lsn)
		}
	})
}
