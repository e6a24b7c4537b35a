package recovery

import (
	"encoding/binary"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
)

// fullReceipts tell of every file that putPlain stores.
func (s *site) fullReceipts(suffix string, encode func([]byte) []byte, transforms ...string) {
	s.t.Helper()
	header := catalogue.ReceiptsHeader{}
	for _, name := range transforms {
		header.Chain = append(header.Chain, catalogue.ChainStage{Kind: "transform", Name: name})
	}
	w, err := s.Catalogue.NewReceipts(s.backup.ID, header)
	if err != nil {
		s.t.Fatal(err)
	}
	add := func(name, text string, stored []byte) {
		r := catalogue.ObjectReceipt{
			Name: s.base(name), Size: int64(len(text)), CRC32C: catalogue.Checksum(crc32.Checksum([]byte(text), castagnoli)),
			StoredSize: int64(len(stored)), StoredCRC32C: catalogue.Checksum(crc32.Checksum(stored, castagnoli)),
		}
		if err := w.Add(r); err != nil {
			s.t.Fatal(err)
		}
	}
	for prefix, content := range map[string]map[string]string{"data/": dataFiles, "16400/": spaceFiles} {
		for name, text := range content {
			switch dir, isDirectory := strings.CutSuffix(name, "/"); {
			case !isDirectory:
				add(prefix+name+suffix, text, encode([]byte(text)))
			case prefix == "data/": // the others are not listed, because they hold something
				add(prefix+dir, "", nil)
			}
		}
	}
	if err := w.Commit(); err != nil {
		s.t.Fatal(err)
	}
}

// interrupt makes of a complete recovery one that was interrupted at its end.
func (s *site) interrupt(request Request) {
	s.t.Helper()
	request.Backup = s.backup
	r := &run{server: s.Server.Server, host: hostfs.Local{}, request: request, mounts: map[string]string{}, report: Report{Tablespaces: map[string]string{}}}
	if err := r.placeTablespaces(); err != nil {
		s.t.Fatal(err)
	}
	e, err := r.errand()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, d := range r.destinations() {
		if err := d.guard(e); err != nil {
			s.t.Fatal(err)
		}
	}
	time.Sleep(10 * time.Millisecond) // the kernel's clock for files is a coarse one
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// damages are what may be wrong with a destination.
func damage(t *testing.T, root, side string, plain bool) {
	t.Helper()
	table := dataFiles["base/1/1259"]
	write(t, filepath.Join(root, "base/1/1259"), table[:len(table)-1]+"X")
	write(t, filepath.Join(root, "global/pg_control"), "cont")
	write(t, filepath.Join(side, "PG_15_202209061/5/16401"), "far away, and more")
	for _, name := range []string{"base/1/empty", "recovery.signal"} {
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "barman_wal", segmentName(2, 0x99)), "old")
	write(t, filepath.Join(root, "pg_wal", segmentName(2, 0x98)), "old")
	if !plain {
		return
	}
	for _, directory := range []string{"pg_replslot/old", "backup_label.d"} {
		if err := os.MkdirAll(filepath.Join(root, directory), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, directory, "stranger"), "x")
	}
	write(t, filepath.Join(side, "PG_15_202209061/5/99999"), "stranger")
	if err := os.Remove(filepath.Join(root, "backup_label")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(root, "backup_label")); err != nil {
		t.Fatal(err)
	}
}

func TestAnInterruptedRecoveryGoesOnWithWhatIsThere(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		put    func(*site)
		plain  bool
	}{
		"plain files with receipts":            {noTransform, func(s *site) { s.putPlain("", asIs); s.fullReceipts("", asIs) }, true},
		"compressed plain files with receipts": {lz4Today, func(s *site) { s.putPlain(".zst", zstandard); s.fullReceipts(".zst", zstandard, "compress") }, true},
		"plain files of another program":       {noTransform, func(s *site) { s.putPlain("", asIs) }, true},
		"tar files":                            {noTransform, func(s *site) { s.putTar("", asIs) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, test.config)
			s.backup.Tablespaces = side
			test.put(s)
			s.save()
			root := t.TempDir()
			request := Request{Destination: filepath.Join(root, "data"), Tablespaces: map[string]string{"side": filepath.Join(root, "side")}}
			first := s.mustRun(request)
			if first.Continued || first.Kept != (Kept{}) {
				t.Errorf("a new recovery went on: %+v", first.Kept)
			}
			want := tree(t, root)
			s.interrupt(request)
			damage(t, request.Destination, request.Tablespaces["side"], test.plain)
			again := s.mustRun(request)
			if diff := cmp.Diff(want, tree(t, root)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !again.Continued || again.Kept.Files < 1 {
				t.Errorf("%t, %+v", again.Continued, again.Kept)
			}
		})
	}
}

func TestOnlyWhatIsMissingIsReadOfTheStore(t *testing.T) {
	s := newSite(t, noTransform)
	s.putPlain("", asIs)
	s.fullReceipts("", asIs)
	request := Request{Destination: filepath.Join(t.TempDir(), "data")}
	s.mustRun(request)
	s.interrupt(request)
	// What is not read does not matter: it was proven to be there.
	table := filepath.Join(s.dir, s.base("data/base/1/1259"))
	if err := os.Remove(table); err != nil {
		t.Fatal(err)
	}
	write(t, table, "damaged")
	report := s.mustRun(request)
	if want := int64(len(dataFiles["base/1/1259"])); report.Kept.Bytes < want {
		t.Errorf("%d bytes were kept, want at least %d", report.Kept.Bytes, want)
	}
	if got := tree(t, request.Destination)["base/1/1259"]; got != dataFiles["base/1/1259"] {
		t.Errorf("it has %d bytes", len(got))
	}
}

func TestAnotherRequestBeginsAnew(t *testing.T) {
	s := newSite(t, noTransform)
	s.backup.Tablespaces = side
	s.putPlain("", asIs)
	s.save()
	root := t.TempDir()
	first := Request{Destination: filepath.Join(root, "data"), Tablespaces: map[string]string{"side": filepath.Join(root, "side")}}
	for name, next := range map[string]Request{
		"tablespace": {Tablespaces: map[string]string{"side": filepath.Join(root, "elsewhere")}},
		"settings":   {Tablespaces: first.Tablespaces, RecoveryFile: "recovery.inc"},
	} {
		t.Run(name, func(t *testing.T) {
			s.mustRun(first)
			s.interrupt(first)
			left := filepath.Join(first.Destination, "left")
			write(t, left, "x")
			next.Destination = first.Destination
			if report := s.mustRun(next); report.Continued {
				t.Errorf("it went on: %+v", report.Kept)
			}
			if _, err := os.Stat(left); !os.IsNotExist(err) {
				t.Errorf("what was left is still there: %v", err)
			}
			if err := os.RemoveAll(root); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAnotherTargetGoesOn(t *testing.T) {
	s := newSite(t, noTransform)
	s.putPlain("", asIs)
	s.fullReceipts("", asIs)
	request := Request{Destination: filepath.Join(t.TempDir(), "data")}
	s.mustRun(request)
	s.interrupt(request)
	request.Target = Target{Immediate: true}
	report := s.mustRun(request)
	if auto := tree(t, request.Destination)[autoConf]; !report.Continued || strings.Count(auto, "recovery_target = 'immediate'") != 1 {
		t.Errorf("%t\n%s", report.Continued, auto)
	}
}

// oldCluster is an older copy of the cluster, on which other things have happened
// since.
func (s *site) oldCluster() string {
	s.t.Helper()
	root := filepath.Join(s.t.TempDir(), "data")
	for name, content := range map[string]string{
		"PG_VERSION": "15\n", "base/1/1259": dataFiles["base/1/1259"], "base/1/2000": "dropped since", "postmaster.opts": "x", "log/today": "x",
		"global/pg_control": string(binary.LittleEndian.AppendUint64(nil, 7710682887980971706)) + "more",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			s.t.Fatal(err)
		}
		write(s.t, path, content)
	}
	return root
}

func newDeltaSite(t *testing.T) *site {
	s := newSite(t, noTransform)
	s.backup.SystemID = "7710682887980971706"
	s.save()
	s.putPlain("", asIs)
	s.fullReceipts("", asIs)
	return s
}

func TestADeltaRestoreReplacesWhatDiffers(t *testing.T) {
	s := newDeltaSite(t)
	for name, change := range map[string]func(root string){
		"as it is":                         func(string) {},
		"its process ended without a word": func(root string) { write(t, filepath.Join(root, pidFile), "999999999\n/data\n") },
		"WAL elsewhere": func(root string) {
			elsewhere := t.TempDir()
			write(t, filepath.Join(elsewhere, "precious"), "x")
			if err := os.Symlink(elsewhere, filepath.Join(root, "pg_wal")); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if _, err := os.Stat(filepath.Join(elsewhere, "precious")); err != nil {
					t.Errorf("it reached out of the data directory: %v", err)
				}
			})
		},
		"pg_control lost": func(root string) {
			if err := os.Remove(filepath.Join(root, "global/pg_control")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := s.oldCluster()
			change(root)
			report := s.mustRun(Request{Destination: root, Delta: true})
			wantData(t, report, nil)
			if report.Kept.Files != 1 || report.Kept.Bytes != int64(len(dataFiles["base/1/1259"])) {
				t.Errorf("%+v", report.Kept)
			}
		})
	}
}

func TestADeltaRestoreDoesNotWriteToOtherNamesOfAFile(t *testing.T) {
	s := newDeltaSite(t)
	root, elsewhere := s.oldCluster(), filepath.Join(t.TempDir(), "stored")
	write(t, elsewhere, "precious")
	table := filepath.Join(root, "base/1/1259")
	if err := os.Remove(table); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(elsewhere, table); err != nil {
		t.Fatal(err)
	}
	wantData(t, s.mustRun(Request{Destination: root, Delta: true}), nil)
	if got, err := os.ReadFile(elsewhere); string(got) != "precious" {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestADeltaRestoreOnlyTouchesAClusterOfItsOwnThatDoesNotRun(t *testing.T) {
	s := newDeltaSite(t)
	for name, test := range map[string]struct {
		change func(root string)
		part   string
	}{
		"running":                {func(root string) { write(t, filepath.Join(root, pidFile), "1\n/data\n") }, "running PostgreSQL"},
		"another cluster":        {func(root string) { write(t, filepath.Join(root, "global/pg_control"), "otherone") }, "holds another cluster"},
		"another version":        {func(root string) { write(t, filepath.Join(root, "PG_VERSION"), "14\n") }, `its PG_VERSION says "14"`},
		"no data directory":      {func(root string) { _ = os.Remove(filepath.Join(root, "PG_VERSION")) }, "no data directory of PostgreSQL 15"},
		"without being asked to": {nil, "is not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			root := s.oldCluster()
			if test.change != nil {
				test.change(root)
			}
			before := tree(t, root)
			_, err := s.run(Request{Destination: root, Delta: test.change != nil})
			wantError(t, err, sdk.Exists, root, test.part)
			if diff := cmp.Diff(before, tree(t, root)); diff != "" {
				t.Errorf("it was changed: %s", diff)
			}
		})
	}
	tarred := newSite(t, noTransform)
	tarred.putTar("", asIs)
	_, err := tarred.run(Request{Destination: tarred.oldCluster(), Delta: true})
	wantError(t, err, sdk.Invalid, "plain files")
	tarred.mustRun(Request{Delta: true}) // a new directory will do
}

func TestHiddenFilesOfTheUserStay(t *testing.T) {
	s := newDeltaSite(t)
	root := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, ".snapshot"), "mine")
	request := Request{Destination: root}
	mine := map[string]string{".snapshot": "mine"}
	wantData(t, s.mustRun(request), maps.Clone(mine))
	s.interrupt(request)
	wantData(t, s.mustRun(request), maps.Clone(mine))
	s.interrupt(Request{Destination: root, RecoveryFile: "x"}) // of something else
	wantData(t, s.mustRun(request), maps.Clone(mine))
}

func TestACopyThatFailedIsTriedAgainAndGoesOn(t *testing.T) {
	for retries, want := range map[int]bool{0: false, 1: true} {
		s := newDeltaSite(t)
		t.Cleanup(func() { // a process that is killed leaves its sockets
			left, _ := filepath.Glob(filepath.Join(s.Engine.RunDirectory, "*"))
			for _, socket := range left {
				_ = os.Remove(socket)
			}
		})
		killed := false
		_, err := s.run(Request{Retries: retries, RetryPause: time.Millisecond, Progress: func(pipeline.Progress) {
			for _, pid := range s.Engine.PIDs(`sink "posix"`) {
				if !killed {
					_ = syscall.Kill(pid, syscall.SIGKILL) // those that have ended cannot be killed
				}
			}
			killed = true
		}})
		if (err == nil) != want || !killed {
			t.Errorf("%d retries: %v", retries, err)
		}
	}
}

func TestADamagedBackupIsNotTriedAgain(t *testing.T) {
	s := newDeltaSite(t)
	write(t, filepath.Join(s.dir, s.base("data/base/1/1259")), "damaged")
	report, err := s.run(Request{Retries: 5, RetryPause: time.Hour})
	wantError(t, err, sdk.Corrupt, "is not what was stored")
	if len(report.Warnings) > 0 {
		t.Errorf("%q", report.Warnings)
	}
}
