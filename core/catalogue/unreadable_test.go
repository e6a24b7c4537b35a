package catalogue

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/barman-go/barman/sdk"
)

// asNobody runs something without root's right to read everything.
func asNobody(t *testing.T, home string, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	const nobody = 65534
	// The directories above are the test's: only what is checked below is nobody's.
	err := filepath.WalkDir(home, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, nobody, nobody)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for above := filepath.Dir(home); above != "/"; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(above, info.Mode().Perm()|0o011); err != nil {
			t.Fatal(err)
		}
	}
	runtime.LockOSThread() // the identity for files is the thread's
	defer runtime.UnlockOSThread()
	if err := syscall.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setfsuid(0); err != nil {
			t.Fatal(err)
		}
	}()
	do()
}

func TestWhatMayNotBeReadIsDeniedAndHidesNothingElse(t *testing.T) {
	s := newServer(t)
	base := s.Layout().BasebackupsDirectory
	for _, id := range []string{"20260101T000000", "20260102T000000", "20260103T000000"} {
		write(t, filepath.Join(base, id, infoName), "status=DONE\n")
	}
	write(t, xlogPath(s), "000000010000000000000001\t3\t1.0\tNone\n")
	for path, mode := range map[string]fs.FileMode{filepath.Join(base, "20260101T000000", infoName): 0, filepath.Join(base, "20260102T000000"): 0, xlogPath(s): 0} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(filepath.Join(base, "20260102T000000"), 0o700)
	asNobody(t, s.layout.BackupDirectory, func() {
		good, bad := listed(t, s)
		if len(good) != 1 || good[0] != "20260103T000000" || len(bad) != 2 {
			t.Errorf("%v, %v", good, bad)
		}
		for id, err := range bad {
			wantKind(t, err, sdk.Denied, "main", string(id))
		}
		for _, err := range s.WALRecords() {
			wantKind(t, err, sdk.Denied, "main", xlogPath(s))
		}
		_, err := s.WALStatistics(nil)
		wantKind(t, err, sdk.Denied, xlogPath(s))
		_, err = s.Leftovers()
		if err != nil {
			wantKind(t, err, sdk.Denied)
		}
	})
}
