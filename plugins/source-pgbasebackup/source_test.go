package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
	"github.com/barman-go/barman/test/pgtest"
)

func serverOf(c *pgtest.Cluster) sdk.Server {
	return sdk.Server{Name: "main", Conninfo: sdk.Secret(c.Conninfo()), StreamingConninfo: sdk.Secret(c.ReplicationConninfo("postgres"))}
}

func open(t *testing.T, server sdk.Server, settings string) sdk.BackupSource {
	t.Helper()
	config := new(Config)
	if err := schema.Decode([]byte(settings), config); err != nil {
		t.Fatal(err)
	}
	source, err := Open(t.Context(), server, config)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func request(layout sdk.BackupLayout) sdk.BackupRequest {
	return sdk.BackupRequest{Prefix: "base/20260102T030405/", Label: "it's a label", Layout: layout, Jobs: 3}
}

func populated(t *testing.T, major int) *pgtest.Cluster {
	c := pgtest.Start(t, pgtest.Options{Major: major, Tablespaces: []string{"one", "two"}, Checksums: true})
	c.Exec("CREATE TABLE here AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, 20000) i")
	c.Exec("CREATE TABLE there TABLESPACE one AS SELECT i FROM generate_series(1, 1000) i")
	c.Exec("CREATE TABLE empty () TABLESPACE two")
	return c
}

func TestPlainBackupIsWholeAndStarts(t *testing.T) {
	pgtest.EachVersion(t, func(t *testing.T, major int) {
		c := populated(t, major)
		emit := newDirectoryEmitter(t)
		before := time.Now()
		result, err := open(t, serverOf(c), `{"checkpoint": "fast"}`).Backup(t.Context(), request(sdk.LayoutPlain), emit)
		if err != nil {
			t.Fatal(err)
		}
		checkResult(t, c, result, before)
		if emit.expected < emit.bytes*9/10 || emit.expected > emit.bytes*2 {
			t.Errorf("announced %d bytes, emitted %d", emit.expected, emit.bytes)
		}
		root := filepath.Join(emit.root, "base/20260102T030405")
		checkRestored(t, c, root, result)
	})
}

func TestTarBackupHoldsTheSameFiles(t *testing.T) {
	pgtest.EachVersion(t, func(t *testing.T, major int) {
		c := populated(t, major)
		emit := newDirectoryEmitter(t)
		result, err := open(t, serverOf(c), `{"checkpoint": "fast"}`).Backup(t.Context(), request(sdk.LayoutTar), emit)
		if err != nil {
			t.Fatal(err)
		}
		checkResult(t, c, result, time.Time{})
		checkRestored(t, c, untarred(t, emit, result), result)
	})
}

func TestOldProtocolGivesTheSameBackup(t *testing.T) {
	for _, layout := range []sdk.BackupLayout{sdk.LayoutPlain, sdk.LayoutTar} {
		t.Run(string(layout), func(t *testing.T) {
			c := populated(t, 15)
			server := serverOf(c)
			server.StreamingConninfo = sdk.Secret(elder(t, c))
			emit := newDirectoryEmitter(t)
			result, err := open(t, server, `{"checkpoint": "fast"}`).Backup(t.Context(), request(layout), emit)
			if err != nil {
				t.Fatal(err)
			}
			checkResult(t, c, result, time.Time{})
			root := filepath.Join(emit.root, "base/20260102T030405")
			if layout == sdk.LayoutTar {
				root = untarred(t, emit, result)
			}
			checkRestored(t, c, root, result)
		})
	}
}

func TestServerCompressionIsPassedOn(t *testing.T) {
	c := populated(t, 15)
	emit := newDirectoryEmitter(t)
	source := open(t, serverOf(c), `{"checkpoint": "fast", "server_compression": {"codec": "gzip", "level": 1}}`)
	result, err := source.Backup(t.Context(), request(sdk.LayoutTar), emit)
	if err != nil {
		t.Fatal(err)
	}
	if result.Codec != "gzip" || result.Label != "" || result.BeginTime.IsZero() || result.EndTime.Before(result.BeginTime) {
		t.Errorf("unexpected result %+v", result)
	}
	f, err := os.Open(filepath.Join(emit.root, "base/20260102T030405/data/base.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	untar(t, unzipped, filepath.Join(root, "data"))
	if _, err := os.Stat(filepath.Join(root, "data/PG_VERSION")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(emit.root, "base/20260102T030405/data/backup_manifest")); err != nil {
		t.Error(err)
	}
}

func TestMaxRateIsKept(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15})
	emit := newDirectoryEmitter(t)
	start := time.Now()
	if _, err := open(t, serverOf(c), `{"checkpoint": "fast", "max_rate": 16777216}`).Backup(t.Context(), request(sdk.LayoutTar), emit); err != nil {
		t.Fatal(err)
	}
	if rate := float64(emit.bytes) / time.Since(start).Seconds(); rate > 1.5*(16<<20) {
		t.Errorf("%.0f bytes a second", rate)
	}
}

func TestWithoutManifestNoneIsEmitted(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15})
	emit := newDirectoryEmitter(t)
	if _, err := open(t, serverOf(c), `{"checkpoint": "fast", "manifest": false}`).Backup(t.Context(), request(sdk.LayoutPlain), emit); err != nil {
		t.Fatal(err)
	}
	if _, found := emit.objects["base/20260102T030405/data/backup_manifest"]; found {
		t.Error("a manifest was emitted")
	}
}

func TestCancelledBackupLeavesNoWALSender(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15, Config: map[string]string{"checkpoint_timeout": "1h"}})
	for _, test := range []struct{ name, settings string }{
		{"in the middle of the data", `{"checkpoint": "fast", "max_rate": 32768}`},
		{"while the server waits for its checkpoint", `{"checkpoint": "spread"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.Exec("DROP TABLE IF EXISTS dirty; CREATE TABLE dirty AS SELECT i, repeat('x', 500) AS t FROM generate_series(1, 30000) i")
			ctx, cancel := context.WithCancel(t.Context())
			failed := make(chan error, 1)
			go func() {
				_, err := open(t, serverOf(c), test.settings).Backup(ctx, request(sdk.LayoutTar), new(discardEmitter))
				failed <- err
			}()
			c.Wait("SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'walsender' AND query LIKE 'BASE_BACKUP%'")
			cancel()
			if err := <-failed; sdk.KindOf(err) != sdk.Cancelled {
				t.Errorf("kind %v of %v", sdk.KindOf(err), err)
			}
			c.Wait("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'walsender'")
		})
	}
}

func TestEmitterFailureEndsTheBackup(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15})
	full := errors.New("disk full")
	for _, layout := range []sdk.BackupLayout{sdk.LayoutPlain, sdk.LayoutTar} {
		emit := newDirectoryEmitter(t)
		emit.before = func(o sdk.Object) error {
			if strings.Contains(o.Name, "pg_control") || o.Kind == sdk.KindTar {
				return sdk.Errorf(sdk.Unavailable, "put %s: %w", o.Name, full)
			}
			return nil
		}
		_, err := open(t, serverOf(c), `{"checkpoint": "fast"}`).Backup(t.Context(), request(layout), emit)
		if !errors.Is(err, full) || sdk.KindOf(err) != sdk.Unavailable {
			t.Errorf("%s: got %v", layout, err)
		}
		c.Wait("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'walsender'")
	}
}

func TestPipelineThatTakesOnlyAPartIsAnError(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15})
	for _, layout := range []sdk.BackupLayout{sdk.LayoutPlain, sdk.LayoutTar} {
		_, err := open(t, serverOf(c), `{"checkpoint": "fast"}`).Backup(t.Context(), request(layout), lazyEmitter{})
		if err == nil {
			t.Errorf("%s: no error", layout)
		}
	}
}

type lazyEmitter struct{}

func (lazyEmitter) Expect(int64) {}
func (lazyEmitter) Emit(_ context.Context, _ sdk.Object, r io.Reader) error {
	if r != nil {
		_, _ = r.Read(make([]byte, 10))
	}
	return nil
}

func TestServerDeathIsUnavailable(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15})
	failed := make(chan error, 1)
	go func() {
		_, err := open(t, serverOf(c), `{"checkpoint": "fast", "max_rate": 65536}`).Backup(t.Context(), request(sdk.LayoutPlain), new(discardEmitter))
		failed <- err
	}()
	c.Wait("SELECT count(*) > 0 FROM pg_stat_progress_basebackup WHERE backup_streamed > 0")
	c.Kill9()
	if err := <-failed; sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("kind %v of %v", sdk.KindOf(err), err)
	}
}

func TestDamagedPageIsCorruptAndNamed(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15, Checksums: true})
	c.Exec("CREATE TABLE damaged AS SELECT i FROM generate_series(1, 10000) i; CHECKPOINT")
	path := pgtest.One[string](c, "SELECT pg_relation_filepath('damaged')")
	f, err := os.OpenFile(filepath.Join(c.DataDir, path), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("damage"), 8192+4000); err != nil {
		t.Fatal(err)
	}
	_, err = open(t, serverOf(c), `{"checkpoint": "fast"}`).Backup(t.Context(), request(sdk.LayoutTar), new(discardEmitter))
	if sdk.KindOf(err) != sdk.Corrupt || !strings.Contains(fmt.Sprint(err), path) {
		t.Errorf("kind %v of %v", sdk.KindOf(err), err)
	}
}

func TestRefusalsAreClassified(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15, Config: map[string]string{"max_wal_senders": "1"}})
	c.Exec("CREATE ROLE plain LOGIN; CREATE ROLE nologin REPLICATION")
	minimal := pgtest.Start(t, pgtest.Options{Major: 15, Config: map[string]string{"wal_level": "minimal", "max_wal_senders": "0"}})
	scram := pgtest.Start(t, pgtest.Options{Major: 15, Auth: "scram-sha-256"})
	const secret = "hunter2"
	for _, test := range []struct {
		name     string
		conninfo string
		kind     sdk.ErrorKind
		advice   string
	}{
		{"nothing listens", "host=127.0.0.1 port=1 user=postgres password=" + secret, sdk.Unavailable, "listen_addresses"},
		{"no socket", "host=/nonexistent port=1 user=postgres", sdk.Unavailable, "/nonexistent"},
		{"no privilege", c.ReplicationConninfo("plain"), sdk.Denied, `ALTER ROLE "plain" REPLICATION`},
		{"no login", c.ReplicationConninfo("nologin"), sdk.Denied, "may log in"},
		{"wrong password", scram.ReplicationConninfo("postgres") + " password=" + secret, sdk.Denied, ".pgpass"},
		{"minimal WAL", minimal.ReplicationConninfo("postgres"), sdk.Invalid, "wal_level = replica"},
		{"malformed", "host=x password=" + secret + " port", sdk.Invalid, "quote values that hold spaces"},
		{"malformed URI", "postgres://u:" + secret + "/%zz@h:port/db", sdk.Invalid, "percent-encode"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := sdk.Server{Name: "main", StreamingConninfo: sdk.Secret(test.conninfo)}
			_, err := open(t, server, `{}`).Backup(t.Context(), request(sdk.LayoutTar), new(discardEmitter))
			if sdk.KindOf(err) != test.kind || !strings.Contains(fmt.Sprint(err), test.advice) {
				t.Errorf("kind %v of %v", sdk.KindOf(err), err)
			}
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
				t.Errorf("the password is in %v", err)
			}
		})
	}
	t.Run("no free WAL sender", func(t *testing.T) {
		taken := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := open(t, serverOf(c), `{"checkpoint": "fast", "max_rate": 32768}`).Backup(ctx, request(sdk.LayoutTar), new(discardEmitter))
			taken <- err
		}()
		c.Wait("SELECT count(*) > 0 FROM pg_stat_replication")
		_, err := open(t, serverOf(c), `{}`).Backup(t.Context(), request(sdk.LayoutTar), new(discardEmitter))
		if sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(fmt.Sprint(err), "raise max_wal_senders") {
			t.Errorf("kind %v of %v", sdk.KindOf(err), err)
		}
		cancel()
		<-taken
	})
}

func checkResult(t *testing.T, c *pgtest.Cluster, result sdk.BackupResult, before time.Time) {
	t.Helper()
	id := pgtest.One[string](c, "SELECT system_identifier::text FROM pg_control_system()")
	if result.SystemID != id || result.Timeline != 1 || result.Codec != "" {
		t.Errorf("unexpected result %+v", result)
	}
	if result.BeginLSN == 0 || result.EndLSN <= result.BeginLSN {
		t.Errorf("from %s to %s", result.BeginLSN, result.EndLSN)
	}
	if result.BeginTime.Before(before) || !result.EndTime.After(result.BeginTime) || time.Until(result.EndTime) > time.Second {
		t.Errorf("from %s to %s", result.BeginTime, result.EndTime)
	}
	for _, line := range []string{"START WAL LOCATION: " + result.BeginLSN.String(), "LABEL: it's a label"} {
		if !strings.Contains(result.Label, line) {
			t.Errorf("label %q has no line %q", result.Label, line)
		}
	}
	want := map[uint32]string{}
	for _, name := range []string{"one", "two"} {
		want[pgtest.One[uint32](c, "SELECT oid FROM pg_tablespace WHERE spcname = $1", name)] = c.Tablespaces[name]
	}
	got := map[uint32]string{}
	for _, tablespace := range result.Tablespaces {
		got[tablespace.OID] = tablespace.Location
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// checkRestored compares what is in root with the manifest, starts it on the
// WAL of the original cluster and counts rows.
func checkRestored(t *testing.T, c *pgtest.Cluster, root string, result sdk.BackupResult) {
	t.Helper()
	data := filepath.Join(root, "data")
	var tablespaces strings.Builder
	for _, tablespace := range result.Tablespaces {
		oid := fmt.Sprint(tablespace.OID)
		place := filepath.Join(root, oid)
		if err := os.Symlink(place, filepath.Join(data, "pg_tblspc", oid)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&tablespaces, "%s %s\n", oid, place)
	}
	checkManifest(t, data)
	if c.Major == 15 {
		if out, err := exec.Command(pgtest.Tool(t, c.Major, "pg_verifybackup"), "--no-parse-wal", data).CombinedOutput(); err != nil {
			t.Errorf("pg_verifybackup: %v\n%s", err, out)
		}
	}
	c.SwitchWAL()
	home := pgtest.Scratch(t)
	if err := os.Rename(root, filepath.Join(home, "restored")); err != nil { // pgtest.Own opens only its own directories
		if out, err := exec.Command("cp", "-a", root, filepath.Join(home, "restored")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	data = filepath.Join(home, "restored", "data")
	for _, tablespace := range result.Tablespaces {
		oid := fmt.Sprint(tablespace.OID)
		if err := os.Remove(filepath.Join(data, "pg_tblspc", oid)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(home, "restored", oid), filepath.Join(data, "pg_tblspc", oid)); err != nil {
			t.Fatal(err)
		}
	}
	moved := strings.ReplaceAll(tablespaces.String(), root, filepath.Join(home, "restored"))
	for name, content := range map[string]string{"tablespace_map": moved, "recovery.signal": ""} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	restored := pgtest.StartExisting(t, c.Major, data, map[string]string{
		"restore_command": "cp " + filepath.Join(c.DataDir, "pg_wal") + "/%f %p", "recovery_target": "immediate", "recovery_target_action": "promote",
	})
	restored.WaitRecovered()
	if n := pgtest.One[int64](restored, "SELECT (SELECT count(*) FROM here) + (SELECT count(*) FROM there)"); n != 21000 {
		t.Errorf("%d rows, expected 21000", n)
	}
}

func checkManifest(t *testing.T, data string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(data, "backup_manifest"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Files []struct {
			Path     string
			Size     int64
			Checksum string
		}
	}
	if err := json.Unmarshal(content, &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest.Files) < 500 {
		t.Errorf("the manifest has only %d files", len(manifest.Files))
	}
	for _, file := range manifest.Files {
		content, err := os.ReadFile(filepath.Join(data, file.Path))
		if err != nil {
			t.Error(err)
			continue
		}
		sum := crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli))
		little := hex.EncodeToString([]byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
		if int64(len(content)) != file.Size || little != file.Checksum {
			t.Errorf("%s: %d bytes with checksum %s, the manifest says %d and %s", file.Path, len(content), little, file.Size, file.Checksum)
		}
	}
}

// untarred unpacks a backup of the tar layout.
func untarred(t *testing.T, emit *directoryEmitter, result sdk.BackupResult) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "untarred")
	stored := filepath.Join(emit.root, "base/20260102T030405/data")
	unpack := func(name, into string) {
		f, err := os.Open(filepath.Join(stored, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		untar(t, f, into)
	}
	unpack("base.tar", filepath.Join(root, "data"))
	for _, tablespace := range result.Tablespaces {
		unpack(fmt.Sprintf("%d.tar", tablespace.OID), filepath.Join(root, fmt.Sprint(tablespace.OID)))
	}
	manifest, err := os.ReadFile(filepath.Join(stored, "backup_manifest"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "data/backup_manifest"), manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

func untar(t *testing.T, r io.Reader, root string) {
	t.Helper()
	in := tar.NewReader(r)
	for {
		header, err := in.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, header.Name)
		switch header.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o700)
		case tar.TypeReg:
			var content []byte
			if content, err = io.ReadAll(in); err == nil {
				err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
