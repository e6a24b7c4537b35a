package recovery

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/removal"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
)

var side = []catalogue.Tablespace{{Name: "side", OID: 16400, Location: "/nonexistent/original"}}

// wantData checks that a data directory holds the backup and what a recovery
// adds, and nothing else.
func wantData(t *testing.T, report Report, more map[string]string, but ...string) {
	t.Helper()
	got := tree(t, report.Destination)
	want := map[string]string{"base/": "", "base/1/": "", "global/": "", "barman_wal/": "", "pg_wal/archive_status/": "", "recovery.signal": "",
		"barman_wal/" + segmentName(2, 0x21): string(segment(segmentName(2, 0x21)))}
	maps.Copy(want, dataFiles)
	delete(want, "tablespace_map")
	maps.Copy(want, more)
	if location := report.Tablespaces["side"]; location != "" {
		want["pg_tblspc/16400"] = "-> " + location
		spaces := map[string]string{"PG_15_202209061/5/": ""}
		maps.Copy(spaces, spaceFiles)
		if diff := cmp.Diff(spaces, tree(t, location)); diff != "" {
			t.Errorf("tablespace (-want +got):\n%s", diff)
		}
	}
	if !strings.Contains(got["postgresql.auto.conf"], "restore_command = 'cp "+report.Destination+"/barman_wal/%f %p'") {
		t.Errorf("postgresql.auto.conf:\n%s", got["postgresql.auto.conf"])
	}
	delete(got, "postgresql.auto.conf")
	if !strings.Contains(got[".barman-recover.info"], "server_name=main\n") {
		t.Errorf(".barman-recover.info:\n%s", got[".barman-recover.info"])
	}
	delete(got, ".barman-recover.info")
	for _, name := range but {
		delete(got, name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const (
	noTransform = "  backup {\n    sink \"posix\" {}\n  }\n"
	lz4Today    = "  backup {\n    transform \"compress\" {\n      codec = \"lz4\"\n    }\n    sink \"posix\" {}\n  }\n"
	// filters are settings of the codec custom; see filtered.
	filters     = "      decompression_filter = \"tail -c +5 | gzip -d\"\n      magic = \"0x5a495021\"\n"
	customToday = "  backup {\n    transform \"compress\" {\n      codec = \"custom\"\n      filter = \"printf ZIP! && gzip\"\n" + filters + "    }\n    sink \"posix\" {}\n  }\n"
	customOnce  = "  backup {\n    transform \"compress\" {\n      codec = \"lz4\"\n" + filters + "    }\n    sink \"posix\" {}\n  }\n"
)

// filtered is what the codec custom makes.
func filtered(content []byte) []byte { return append([]byte("ZIP!"), zipped(content)...) }

func xzipped(content []byte) []byte {
	var b bytes.Buffer
	w, err := codec.NewWriter(codec.XZ, "", &b)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestEveryFormOfABackupIsRecovered(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		put    func(*site)
		more   map[string]string
	}{
		"plain files":                        {noTransform, func(s *site) { s.putPlain("", asIs) }, nil},
		"plain files, lz4 configured today":  {lz4Today, func(s *site) { s.putPlain("", asIs) }, nil},
		"plain files with receipts":          {lz4Today, func(s *site) { s.putPlain("", asIs); s.receipts() }, nil},
		"compressed plain files":             {lz4Today, func(s *site) { s.putPlain(".zst", zstandard); s.receipts("compress") }, nil},
		"compressed plain files, none today": {noTransform, func(s *site) { s.putPlain(".gz", zipped); s.receipts("compress") }, nil},
		"tar files":                          {noTransform, func(s *site) { s.putTar("", asIs) }, manifest},
		"plain files in another format":      {lz4Today, func(s *site) { s.putPlain(".xz", xzipped); s.receipts("compress") }, nil},
		"plain files by a command":           {customToday, func(s *site) { s.putPlain(".custom", filtered); s.receipts("compress") }, nil},
		"plain files by a command of once":   {customOnce, func(s *site) { s.putPlain(".custom", filtered); s.receipts("compress") }, nil},
		"tar files by a command of once":     {customOnce, func(s *site) { s.putTar(".custom", filtered); s.receipts("compress"); s.backup.Compression = "custom" }, manifest},
		"tar files of Barman in Python":      {noTransform, func(s *site) { s.putTar(".gz", zipped); s.backup.Compression = "gzip" }, manifest},
		"compressed tar files":               {lz4Today, func(s *site) { s.putTar(".zst", zstandard); s.receipts("compress"); s.backup.Compression = "zstd" }, manifest},
		"compressed by the server":           {noTransform, func(s *site) { s.putTar(".gz", zipped); s.receipts(); s.backup.Compression = "gzip" }, manifest},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, test.config)
			s.backup.Tablespaces = side
			test.put(s)
			s.save()
			wantData(t, s.mustRun(Request{}), test.more)
			if !strings.Contains(name, "once") && !strings.Contains(name, "today") { // which is the same for both hosts
				wantData(t, s.mustRun(Request{Remote: elsewhere}), test.more)
			}
		})
	}
}

var manifest = map[string]string{"backup_manifest.20260102T100000": `{"PostgreSQL-Backup-Manifest-Version": 1}`}

func TestABackupThatIsNotWholeIsNotRecovered(t *testing.T) {
	for name, test := range map[string]struct {
		put   func(*site)
		kind  sdk.ErrorKind
		parts []string
	}{
		"nothing there":    {func(*site) {}, sdk.NotFound, []string{"the store holds no data of backup 20260102T100000"}},
		"a tar is missing": {func(s *site) { s.put(s.base("data/base.tar"), archive(t, dataFiles)) }, sdk.Corrupt, []string{"16400.tar is not among them"}},
		"a tar is cut off": {func(s *site) { s.putTar("", func(b []byte) []byte { return b[:len(b)/2] }) }, sdk.Corrupt, nil},
		"a gzip is cut off": {func(s *site) {
			s.putTar(".gz", func(b []byte) []byte { z := zipped(b); return z[:len(z)-5] })
			s.backup.Compression = "gzip"
		}, sdk.Corrupt, nil},
		"damaged receipts": {func(s *site) { s.putPlain("", asIs); s.put(s.base(catalogue.ReceiptsName), []byte("{")) }, sdk.Corrupt, []string{"receipts of backup"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, noTransform)
			s.backup.Tablespaces = side
			test.put(s)
			s.save()
			destination := filepath.Join(t.TempDir(), "data")
			_, err := s.run(Request{Destination: destination})
			wantError(t, err, test.kind, append(test.parts, "recover backup 20260102T100000 of server main to "+destination)...)
			if _, err := os.Stat(destination); os.IsNotExist(err) {
				return // it was refused before anything was written
			}
			guard, err := os.ReadFile(filepath.Join(destination, pidFile))
			if err != nil || !strings.HasPrefix(string(guard), guardText) {
				t.Errorf("no guard where recovery failed: %q, %v", guard, err)
			}
		})
	}
}

func TestAFailedRecoveryIsCleanedUpByTheNext(t *testing.T) {
	s := newSite(t, noTransform)
	s.backup.Tablespaces = side
	s.save()
	s.put(s.base("data/base.tar"), archive(t, map[string]string{"left/over": "x", "PG_VERSION": "14\n"}))
	s.put(s.base("data/16400.tar"), []byte("no tar file at all, but long enough to be read"))
	root := t.TempDir()
	request := Request{Destination: filepath.Join(root, "data"), Tablespaces: map[string]string{"side": filepath.Join(root, "side")}}
	if _, err := s.run(request); err == nil {
		t.Fatal("no error")
	}
	s.putTar("", asIs)
	wantData(t, s.mustRun(request), manifest)
	_, err := s.run(request)
	wantError(t, err, sdk.Exists, "is not empty")
}

func TestOnlyANewOrEmptyDestinationIsTaken(t *testing.T) {
	s := newSite(t, noTransform)
	s.putPlain("", asIs)
	sleeper := exec.Command("sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait() // killed
	})
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	pid := func(c *exec.Cmd) string { return strconv.Itoa(c.Process.Pid) + "\n/data\n" }
	for name, test := range map[string]struct {
		file, content string
		part          string
	}{
		"something in it":     {"file", "", "is not empty"},
		"a running server":    {pidFile, pid(sleeper), "running PostgreSQL"},
		"a server that ended": {pidFile, pid(dead), "is not empty"},
		"a strange pid file":  {pidFile, "x", "is not empty"},
		"a negative pid":      {pidFile, "-1\n", "is not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			d := t.TempDir()
			if err := os.WriteFile(filepath.Join(d, test.file), []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := s.run(Request{Destination: d})
			wantError(t, err, sdk.Exists, d, test.part)
			if diff := cmp.Diff(map[string]string{test.file: test.content}, tree(t, d)); diff != "" {
				t.Errorf("was changed: %s", diff)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{file, filepath.Join(file, "below")} {
		if _, err := s.run(Request{Destination: d}); err == nil {
			t.Errorf("%s: no error", d)
		}
	}
	_, err := s.run(Request{Destination: "relative/data"})
	wantError(t, err, sdk.Invalid, "relative/data", "absolute")
}

func TestARefusedRecoveryLeavesNoDirectory(t *testing.T) {
	s := newSite(t, noTransform)
	s.backup.Tablespaces = side
	s.putPlain("", asIs)
	s.save()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "side", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	begun := false
	_, err := s.run(Request{Destination: filepath.Join(root, "data"), Tablespaces: map[string]string{"side": filepath.Join(root, "side")}, Begin: func() { begun = true }})
	wantError(t, err, sdk.Exists, filepath.Join(root, "side"), "is not empty")
	if _, err := os.Stat(filepath.Join(root, "data")); !os.IsNotExist(err) || begun {
		t.Errorf("%v, begun: %t", err, begun)
	}
}

func TestADestinationMayBeALinkToADirectory(t *testing.T) {
	s := newSite(t, noTransform)
	s.backup.Tablespaces = side
	s.putPlain("", asIs)
	s.save()
	root := t.TempDir()
	for _, name := range []string{"data", "side"} {
		if err := os.Mkdir(filepath.Join(root, "real-"+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("real-"+name, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	report := s.mustRun(Request{Destination: filepath.Join(root, "data"), Tablespaces: map[string]string{"side": filepath.Join(root, "side")}})
	if report.Destination != filepath.Join(root, "real-data") {
		t.Errorf("destination %s", report.Destination)
	}
	wantData(t, report, nil)
}

func TestTablespacesMayNotOverlap(t *testing.T) {
	s := newSite(t, noTransform)
	s.backup.Tablespaces = append(append([]catalogue.Tablespace{}, side...), catalogue.Tablespace{Name: "far", OID: 16500, Location: "/nonexistent/far"})
	s.putPlain("", asIs)
	s.save()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("data", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		side, far string
		part      string
	}{
		"inside the data directory":    {root + "/data/x", root + "/far", "overlap"},
		"above the data directory":     {root, root + "/far", "overlap"},
		"the data directory":           {root + "/data/", root + "/far", "overlap"},
		"each other":                   {root + "/side", root + "/side/../side", "overlap"},
		"one in the other":             {root + "/side", root + "/side/far", "overlap"},
		"inside by way of a link":      {root + "/link/x", root + "/far", "overlap"},
		"relative":                     {"side", root + "/far", "absolute"},
		"names that only begin alike":  {root + "/data-side", root + "/data-side2", ""},
		"one of which nobody has said": {root + "/side", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := &run{server: s.Server.Server, host: hostfs.Local{}, request: Request{Backup: s.backup, Destination: filepath.Join(root, "data"), Tablespaces: map[string]string{"side": test.side}},
				mounts: map[string]string{}, report: Report{Tablespaces: map[string]string{}}}
			if test.far != "" {
				r.request.Tablespaces["far"] = test.far
			}
			err := r.placeTablespaces()
			if test.part == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, sdk.Invalid, "tablespace", test.part)
		})
	}
	_, err := s.run(Request{Destination: s.base("new")})
	wantError(t, err, sdk.Invalid, "absolute")
	for _, own := range []string{s.dir, filepath.Dir(s.dir), filepath.Join(s.dir, "new"), filepath.Join(s.dir, "wals", "new")} {
		_, err := s.run(Request{Destination: own})
		wantError(t, err, sdk.Invalid, "destination: "+own, "where barman keeps")
		_, err = s.run(Request{Tablespaces: map[string]string{"side": own, "far": filepath.Join(root, "far")}})
		wantError(t, err, sdk.Invalid, "tablespace side: "+own, "where barman keeps")
	}
	_, err = s.run(Request{Tablespaces: map[string]string{"sied": "/x"}})
	wantError(t, err, sdk.Invalid, `no tablespace "sied"`)
}

func TestRootHandsOverToTheOwnerOfTheDestination(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test gives files away: run it as root")
	}
	const postgres = 26
	s := newSite(t, noTransform)
	s.backup.Tablespaces = side
	s.putPlain("", asIs)
	s.save()
	root := t.TempDir()
	if err := os.Chown(root, postgres, postgres); err != nil {
		t.Fatal(err)
	}
	report := s.mustRun(Request{Destination: filepath.Join(root, "new", "data"), Tablespaces: map[string]string{"side": filepath.Join(root, "side")}})
	for _, d := range []string{report.Destination, report.Tablespaces["side"]} {
		if uid(t, d) != postgres {
			t.Errorf("%s belongs to %d", d, uid(t, d))
		}
		for name := range tree(t, d) {
			if got := uid(t, filepath.Join(d, name)); got != postgres {
				t.Errorf("%s belongs to %d", name, got)
			}
		}
	}
}

func TestOnlyACompleteBackupIsRecovered(t *testing.T) {
	for _, state := range []catalogue.State{catalogue.StateEmpty, catalogue.StateStarted, catalogue.StateFailed, catalogue.StateSyncing} {
		s := newSite(t, noTransform)
		s.backup.State = state
		s.save()
		_, err := s.run(Request{})
		wantError(t, err, sdk.Invalid, string(state), "only a complete backup")
	}
}

func TestABackupIsNotDeletedWhileItIsRecovered(t *testing.T) {
	s := newSite(t, "")
	s.putPlain("", asIs)
	deleting, err := s.Catalogue.Lock(string(s.backup.ID))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.run(Request{})
	wantError(t, err, sdk.Busy, string(s.backup.ID))
	if err := deleting.Release(); err != nil {
		t.Fatal(err)
	}
	var refused error
	s.mustRun(Request{Progress: func(pipeline.Progress) {
		if refused == nil {
			_, refused = removal.Delete(t.Context(), s.Server.Server, s.backup.ID, removal.Options{})
		}
	}})
	wantError(t, refused, sdk.Busy, string(s.backup.ID))
	if _, err := removal.Delete(t.Context(), s.Server.Server, s.backup.ID, removal.Options{}); err != nil {
		t.Error(err)
	}
	_, err = s.run(Request{}) // what was found before it was deleted
	wantError(t, err, sdk.NotFound, string(s.backup.ID))
}

func TestABackupWhoseDeletionWasInterruptedIsNotRecovered(t *testing.T) {
	s := newSite(t, "")
	s.putPlain("", asIs)
	if err := s.Catalogue.Annotate(s.backup.ID, catalogue.AnnotationDelete, catalogue.Deleting); err != nil {
		t.Fatal(err)
	}
	_, err := s.run(Request{})
	wantError(t, err, sdk.Invalid, "has begun and was not finished", "barman delete")
}

func TestAPreRecoveryHookVetoesBeforeAnythingIsWritten(t *testing.T) {
	s := newSite(t, noTransform+"  hook \"pre_recovery\" {\n    script = \"exit 63\"\n    retry = true\n  }\n")
	s.putPlain("", asIs)
	destination := filepath.Join(t.TempDir(), "data")
	_, err := s.run(Request{Destination: destination})
	if err == nil || !strings.Contains(err.Error(), "pre_recovery") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(destination); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}
