package hostfs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/remote"
	"github.com/barman-go/barman/sdk"
)

// here is an "SSH command" that leads to this host, through the same shells.
const here = "sh -c"

func connect(t testing.TB) *Remote {
	t.Helper()
	r, err := Connect(context.Background(), remote.Shell{Command: here}) // which outlives the context of a test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// nasty are names that a shell would make something else of.
var nasty = []string{"it's \"so\"; touch x; $(touch x) `touch x`", "-rf", `*\ ünï & b|c>d`, "~#!\nline"}

func TestBothHostsDoTheSame(t *testing.T) {
	for _, h := range []Host{Local{}, connect(t)} {
		for _, name := range nasty {
			t.Run(strconv.Quote(h.Remote()+" "+name), func(t *testing.T) { exercise(t, h, name) })
		}
	}
}

func exercise(t *testing.T, h Host, name string) {
	root := t.TempDir()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(root, name)
	_, err := h.Lstat(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lstat of a missing file: %v", err)
	}
	if _, err := h.ReadDir(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list of a missing directory: %v", err)
	}
	check(h.MakeDirectory(filepath.Join(dir, "below")))
	check(h.Chmod(dir, 0o700))
	file := filepath.Join(dir, name)
	content := []byte("a\x00b\xff\\n%s\n'\"" + name)
	if err := h.WriteFile(filepath.Join(dir, "gone", name), content, 0o600); err == nil {
		t.Error("a file was written into no directory")
	}
	check(h.WriteFile(file, []byte("before"), 0o644))
	check(h.WriteFile(file, content, 0o640))
	got, err := h.ReadFile(file, 1<<10)
	check(err)
	if !bytes.Equal(got, content) {
		t.Errorf("read %q", got)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if _, err := h.ReadFile(file, 3); sdk.KindOf(err) != sdk.Corrupt {
		t.Errorf("too long a file: %v", err)
	}
	if _, err := h.ReadFile(file+"x", 3); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read of a missing file: %v", err)
	}
	check(h.CopyFile(file, file+".copy", 0o600))
	check(h.Rename(file+".copy", filepath.Join(dir, ".hidden")))
	if err := h.Rename(file+"x", file+"y"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("rename of a missing file: %v", err)
	}
	check(os.Symlink(name, filepath.Join(dir, "link")))
	entries, err := h.ReadDir(dir)
	check(err)
	want := []Entry{{Name: name}, {Name: ".hidden"}, {Name: "below", Type: fs.ModeDir}, {Name: "link", Type: fs.ModeSymlink}}
	slices.SortFunc(want, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	if diff := cmp.Diff(want, entries); diff != "" {
		t.Error(diff)
	}
	var walked []Entry
	for e, err := range h.Walk(t.Context(), root) {
		check(err)
		e.ModTime, e.Changed = time.Time{}, time.Time{}
		if e.Type != 0 {
			e.Size = 0
		}
		walked = append(walked, e)
	}
	slices.SortFunc(walked, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	want = append(want, Entry{Name: "", Type: fs.ModeDir})
	for i := range want {
		want[i].Name = filepath.Join(name, want[i].Name)
		if want[i].Type == 0 {
			want[i].Size = int64(len(content))
		}
	}
	slices.SortFunc(want, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	if diff := cmp.Diff(want, walked); diff != "" {
		t.Error(diff)
	}
	if resolved, err := h.Resolve(filepath.Join(dir, "link", "..", "new", "dir")); err != nil || !strings.HasSuffix(resolved, "/new/dir") {
		t.Errorf("%q, %v", resolved, err)
	}
	info, err := h.Lstat(file)
	check(err)
	if info.Type != 0 || info.Size != int64(len(content)) || time.Since(info.ModTime) > time.Hour {
		t.Errorf("%+v", info)
	}
	if owner, err := h.Owner(filepath.Join(dir, "not", "there")); err != nil || int(owner.User) != os.Geteuid() {
		t.Errorf("%+v, %v", owner, err)
	}
	check(h.SyncDirectory(dir))
	check(h.Sync(dir))
	check(h.Remove(file))
	check(h.Remove(file))
	h.RemoveEmpty(dir)
	check(h.RemoveAll(filepath.Join(dir, "below")))
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left: %v, %v", entries, err)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 1 {
		t.Errorf("something else was made: %v, %v", left, err)
	}
	check(h.RemoveAll(dir))
	if running, err := h.Running(os.Getpid()); err != nil || !running {
		t.Errorf("this process: %t, %v", running, err)
	}
	if running, err := h.Running(1 << 30); err != nil || running {
		t.Errorf("no process: %t, %v", running, err)
	}
}

func TestOnlyOneRecoversIntoADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's; here")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	first := connect(t)
	if _, err := first.Lock(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Lock(t.TempDir()); err != nil {
		t.Errorf("the second lock of one recovery: %v", err)
	}
	if _, err := first.ReadDir(dir); err != nil {
		t.Errorf("after the locks: %v", err)
	}
	if _, err := connect(t).Lock(dir); sdk.KindOf(err) != sdk.Busy {
		t.Errorf("of another recovery: %v", err)
	}
	if _, err := (Local{}).Lock(dir); sdk.KindOf(err) != sdk.Busy {
		t.Errorf("of a local one: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		held, err := Local{}.Lock(dir)
		if err == nil {
			if err := held.Close(); err != nil {
				t.Error(err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the lock outlives the connection: %v", err)
		}
	}
	if _, err := first.ReadDir(dir); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("after the end: %v", err)
	}
}

func TestALostConnectionIsRenewedWithItsLocks(t *testing.T) {
	dir := t.TempDir()
	r := connect(t)
	if _, err := r.Lock(dir); err != nil {
		t.Fatal(err)
	}
	if err := r.Renew(t.Context()); err != nil {
		t.Errorf("a connection that lives: %v", err)
	}
	_, err := r.session.Call(`kill -9 $PPID $$`)
	if sdk.KindOf(err) != sdk.Unavailable {
		t.Fatalf("%v", err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := r.Renew(context.Background()) // which the connection outlives
		if err == nil {
			break
		}
		if sdk.KindOf(err) != sdk.Busy || time.Now().After(deadline) { // the lock ends with its processes
			t.Fatal(err)
		}
	}
	if _, err := (Local{}).Lock(dir); sdk.KindOf(err) != sdk.Busy {
		t.Errorf("the lock: %v", err)
	}
	if _, err := r.ReadDir(dir); err != nil {
		t.Error(err)
	}
}

func TestATemporaryFileOfAnotherHostIsKnownAsOne(t *testing.T) {
	if !durable.IsTemporary(".postmaster.pid.4711.tmp", "postmaster.pid") || Temporary("postmaster.pid", "postmaster.pid") {
		t.Error("the name is not recognised")
	}
}

func TestAnUnreachableHostSaysWhy(t *testing.T) {
	for command, part := range map[string]string{
		"echo no route to it >&2; exit 255; :": "no route to it",
		"nonexistent-ssh":                      "not found",
		"":                                     "is empty",
	} {
		_, err := Connect(t.Context(), remote.Shell{Command: command})
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", command, err)
		}
	}
}

func FuzzLinesOfFind(f *testing.F) {
	f.Add("f 12 1.5 2.5 base/1/2")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := parseEntry(line)
		if err == nil && (e.Name == "" || !strings.HasSuffix(line, " "+e.Name)) {
			t.Errorf("%q is %+v", line, e)
		}
	})
}
