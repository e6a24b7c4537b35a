package recovery

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
)

// elsewhere is an "SSH command" that leads to this host, through the same shells.
const elsewhere = "sh -c"

func TestNoPathIsMoreThanAWordOnTheOtherHost(t *testing.T) {
	s := newSite(t, noTransform)
	s.backup.Tablespaces = side
	s.putPlain("", asIs)
	s.save()
	for _, name := range []string{"it's \"so\"; touch injected; $(touch injected) `touch injected`", `-x * \ ünï & >injected`} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			t.Chdir(root)
			report := s.mustRun(Request{Remote: elsewhere, Destination: filepath.Join(root, name, "data"), Tablespaces: map[string]string{"side": filepath.Join(root, name+"2")},
				StagingWAL: filepath.Join(root, name+"3")})
			got := tree(t, report.Tablespaces["side"])
			for file, content := range spaceFiles {
				if got[file] != content {
					t.Errorf("%s is %q", file, got[file])
				}
			}
			if content, err := os.ReadFile(filepath.Join(report.WALDirectory, segmentName(2, 0x21))); err != nil || len(content) == 0 {
				t.Errorf("WAL: %v", err)
			}
			entries, err := os.ReadDir(root)
			if err != nil || len(entries) != 3 {
				t.Errorf("%v, %v", entries, err)
			}
			again := Request{Remote: elsewhere, Destination: report.Destination, Tablespaces: map[string]string{"side": report.Tablespaces["side"]}, Delta: true}
			s.mustRun(again)
		})
	}
}

func TestADeltaRestoreOnAnotherHostSendsWhatDiffers(t *testing.T) {
	s := newSite(t, lz4Today)
	s.backup.Tablespaces = side
	s.putPlain(".zst", zstandard)
	old := time.Now().Add(-time.Hour)
	s.backup.BeginTime = old.Add(time.Minute)
	s.fullReceipts(".zst", zstandard, "compress")
	s.save()
	s.age(old)
	report := s.mustRun(Request{Remote: elsewhere})
	root := report.Destination
	changed, same, damaged := filepath.Join(root, "base/1/1259"), filepath.Join(root, "global/pg_control"), filepath.Join(report.Tablespaces["side"], "PG_15_202209061/5/16401")
	for path, content := range map[string]string{changed: "other", damaged: "far off!", filepath.Join(root, "base/1/stranger"): "x"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(damaged, old, old.Add(2*time.Minute)); err != nil { // of after the backup began
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(root, "base/1/empty")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "base/1/empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := inode(t, same)
	again := s.mustRun(Request{Remote: elsewhere, Destination: root, Tablespaces: report.Tablespaces, Delta: true})
	wantData(t, again, nil)
	if inode(t, same) != before {
		t.Error("a file that was the same has been written again")
	}
	if again.Kept.Files == 0 || !again.Continued {
		t.Errorf("%+v", again)
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// age gives all files of the backup a time.
func (s *site) age(at time.Time) {
	s.t.Helper()
	out, err := exec.Command("find", filepath.Join(s.dir, s.base("")), "-type", "f", "-exec", "touch", "-d", "@"+strconv.FormatInt(at.Unix(), 10), "{}", "+").CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

func TestADirectoryInUseIsNotRestoredIntoOnAnotherHost(t *testing.T) {
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
	for name, test := range map[string]struct{ file, content, part string }{
		"something in it":  {"file", "", "is not empty"},
		"a running server": {pidFile, strconv.Itoa(sleeper.Process.Pid) + "\n/data\n", "running PostgreSQL"},
	} {
		t.Run(name, func(t *testing.T) {
			d := t.TempDir()
			if err := os.WriteFile(filepath.Join(d, test.file), []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := s.run(Request{Remote: elsewhere, Destination: d})
			wantError(t, err, sdk.Exists, d, test.part)
			if diff := cmp.Diff(map[string]string{test.file: test.content}, tree(t, d)); diff != "" {
				t.Errorf("was changed: %s", diff)
			}
		})
	}
}

func TestARecoveryToAnotherHostThatBreaksOffGoesOn(t *testing.T) {
	s := newSite(t, noTransform)
	s.backup.Tablespaces = side
	s.putPlain("", asIs)
	s.save()
	root := t.TempDir()
	request := Request{Destination: filepath.Join(root, "data"), Tablespaces: map[string]string{"side": filepath.Join(root, "side")}}
	// The first connection lasts, all others break after 30000 bytes.
	request.Remote = `f() { case $1 in *tar*) head -c 30000 | sh -c "$1"; echo 'Connection reset by peer' >&2; exit 255;; *) exec sh -c "$1";; esac; }; f`
	_, err := s.run(request)
	wantError(t, err, sdk.Unavailable, "Connection reset by peer")
	guard, err := os.ReadFile(filepath.Join(request.Destination, pidFile))
	if err != nil || !strings.HasPrefix(string(guard), guardText) {
		t.Errorf("no guard: %q, %v", guard, err)
	}
	request.Remote = elsewhere
	report := s.mustRun(request)
	if !report.Continued {
		t.Error("it began anew")
	}
	wantData(t, report, nil)
	left, err := os.ReadDir(filepath.Join(root, "data"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if entry.Name() == pidFile {
			t.Error("the guard stayed")
		}
	}
}

func TestARecoveryToAnotherHostTriesAgainByItself(t *testing.T) {
	s := newSite(t, noTransform)
	s.putPlain("", asIs)
	// The first connection for data breaks.
	once := filepath.Join(t.TempDir(), "once")
	remote := `f() { case $1 in *tar*) if mkdir '` + once + `' 2>/dev/null; then echo reset >&2; exit 255; fi;; esac; exec sh -c "$1"; }; f`
	report := s.mustRun(Request{Remote: remote, Retries: 1, RetryPause: time.Millisecond})
	wantData(t, report, nil)
	if !strings.Contains(strings.Join(report.Warnings, "\n"), "trying again") {
		t.Errorf("%q", report.Warnings)
	}
}

func TestHooksAreToldOfTheOtherHost(t *testing.T) {
	told := filepath.Join(t.TempDir(), "told")
	s := newSite(t, noTransform+"  hook \"post_recovery\" {\n    script = \"printf %s \\\"$BARMAN_REMOTE_COMMAND\\\" > "+told+"\"\n  }\n")
	s.putPlain("", asIs)
	s.mustRun(Request{Remote: elsewhere})
	if content, err := os.ReadFile(told); err != nil || string(content) != elsewhere {
		t.Errorf("%q, %v", content, err)
	}
}

func TestWhatTheOtherHostCannotTakeIsSaid(t *testing.T) {
	s := newSite(t, noTransform)
	s.putPlain("", asIs)
	for name, test := range map[string]struct{ command, part string }{
		"no tar":        {`f() { PATH=/nonexistent; case $1 in *tar*) /bin/sh -c "PATH=/nonexistent; $1";; *) PATH=/usr/bin:/bin; sh -c "$1";; esac; }; f`, "not found"},
		"a full disk":   {`f() { case $1 in *tar*) echo 'tar: No space left on device' >&2; exit 2;; *) exec sh -c "$1";; esac; }; f`, "No space left on device"},
		"nobody there":  {`f() { echo 'ssh: connect to host pg port 22: Connection refused' >&2; exit 255; }; f`, "Connection refused"},
		"a changed key": {`f() { echo 'Host key verification failed.' >&2; exit 255; }; f`, "Host key verification failed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.run(Request{Remote: test.command, Destination: filepath.Join(t.TempDir(), "data")})
			if err == nil || !strings.Contains(err.Error(), test.part) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestWhatIsBeingReceivedReachesAnotherHost(t *testing.T) {
	s := newSite(t, noTransform)
	s.putPlain("", asIs)
	s.put("streaming/"+segmentName(2, 0x22)+".partial", segment("partial")[:5000])
	report := s.mustRun(Request{Remote: elsewhere, NetworkCompression: true, BandwidthLimit: 100 << 20})
	info, err := os.Stat(filepath.Join(report.WALDirectory, segmentName(2, 0x22)))
	if err != nil || info.Size() != 1<<20 || report.WALFiles != 2 {
		t.Errorf("%v, %v, %d files", info, err, report.WALFiles)
	}
	standby := s.mustRun(Request{Remote: elsewhere, Standby: true})
	if _, err := os.Stat(filepath.Join(standby.Destination, "pg_wal", "archive_status", segmentName(2, 0x21)+".done")); err != nil {
		t.Error(err)
	}
	if _, err := s.run(Request{Remote: elsewhere, GetWAL: &GetWAL{Executable: "/usr/bin/barman"}}); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("WAL from another host without its name: %v", err)
	}
}

func TestABackupWithAPidFileDoesNotReplaceTheGuard(t *testing.T) {
	s := newSite(t, noTransform)
	hostile := maps.Clone(dataFiles)
	hostile[pidFile] = "1\n"
	s.put(s.base("data/base.tar"), archive(t, hostile))
	s.backup.Tablespaces = []catalogue.Tablespace{}
	s.save()
	_, err := s.run(Request{Remote: elsewhere})
	wantError(t, err, sdk.Corrupt, pidFile)
}
