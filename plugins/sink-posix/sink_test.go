package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/barman-go/barman/sdk"
)

func start(t testing.TB, config Config) *Sink {
	t.Helper()
	s, err := New(sdk.Server{}, &config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t testing.TB, s *Sink, o sdk.Object, content string) {
	t.Helper()
	receipt, err := s.Put(t.Context(), o, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	want := sdk.Receipt{Name: o.Name, Size: int64(len(content)), CRC32C: crc32.Checksum([]byte(content), castagnoli)}
	if receipt != want {
		t.Fatalf("the receipt is %+v, want %+v", receipt, want)
	}
}

func flush(t testing.TB, s *Sink) {
	t.Helper()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, what string, err error, want sdk.ErrorKind) {
	t.Helper()
	if err == nil || sdk.KindOf(err) != want {
		t.Errorf("%s gives %v (%s), want an error of kind %s", what, err, sdk.KindOf(err), want)
	}
}

func names(t testing.TB, s *Sink, prefix string) []string {
	t.Helper()
	var found []string
	for o, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, o.Name)
	}
	return found
}

// everything returns all paths below a directory.
func everything(t testing.TB, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		if err == nil && name != root {
			found = append(found, strings.TrimPrefix(name, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestModeAndTimeAreKept(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{Path: dir})
	when := time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)
	put(t, s, sdk.Object{Name: "a/given", Mode: 0o640, ModTime: when}, "x")
	put(t, s, sdk.Object{Name: "a/default"}, "x")
	flush(t, s)
	for name, want := range map[string]fs.FileMode{"a": 0o700 | fs.ModeDir, "a/given": 0o640, "a/default": 0o600} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
	o, r, err := s.Get(t.Context(), "a/given")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if !o.ModTime.Equal(when) || o.Mode != 0o640 || o.Size != 1 {
		t.Errorf("Get describes %+v", o)
	}
}

func TestServersDirectoryIsTheDefaultPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not/yet/there")
	s, err := New(sdk.Server{Directory: dir}, &Config{})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, sdk.Object{Name: "a"}, "x")
	flush(t, s)
	if _, err := os.Stat(filepath.Join(dir, "a")); err != nil {
		t.Error(err)
	}
	if _, err := New(sdk.Server{}, &Config{}); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("no path at all gives %v", err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestDirectoriesElsewhereStandForThoseOfTheServer(t *testing.T) {
	dir, other := t.TempDir(), filepath.Join(t.TempDir(), "not/yet/there")
	if err := os.MkdirAll(filepath.Join(dir, "wals/00"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "wals/00/shadowed"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New(sdk.Server{Directory: dir, Elsewhere: map[string]string{"wals": other}}, &Config{})
	if err != nil {
		t.Fatal(err)
	}
	if found := names(t, s, "wals/"); len(found) > 0 {
		t.Errorf("%v is listed before anything is stored", found)
	}
	all := []string{"base/1/x", "wals/00/y", "walsend"}
	for _, name := range all {
		put(t, s, sdk.Object{Name: name}, name)
	}
	flush(t, s)
	if diff := cmp.Diff(all, names(t, s, "")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(all[1:2], names(t, s, "wals/0")); diff != "" {
		t.Error(diff)
	}
	if content, err := os.ReadFile(filepath.Join(other, "00/y")); err != nil || string(content) != all[1] {
		t.Errorf("%q, %v", content, err)
	}
	_, err = s.Put(t.Context(), sdk.Object{Name: "wals/00/y"}, strings.NewReader("again"))
	wantKind(t, "storing an object again", err, sdk.Exists)
	if err := s.Delete(t.Context(), all[1:2]); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"base/1/x", "walsend"}, names(t, s, "")); diff != "" {
		t.Error(diff)
	}
	for _, stays := range []string{other, filepath.Join(dir, "wals/00/shadowed")} {
		if _, err := os.Stat(stays); err != nil {
			t.Error(err)
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestALimitHoldsForAllObjectsTogether(t *testing.T) {
	const size, rate = 2 * bufferSize, 4 * bufferSize
	s := start(t, Config{Path: t.TempDir(), BandwidthLimit: rate})
	begun := time.Now()
	for i := range 2 {
		put(t, s, sdk.Object{Name: fmt.Sprint(i)}, strings.Repeat("x", size))
	}
	// The first bufferSize is free.
	if least := time.Second * (2*size - bufferSize) / rate; time.Since(begun) < least {
		t.Errorf("it took %s, at least %s is right", time.Since(begun), least)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := s.Put(ctx, sdk.Object{Name: "long"}, strings.NewReader(strings.Repeat("x", 8*size))); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped while waiting: %v", err)
	}
}

func TestObjectsAppearWithTheFlush(t *testing.T) {
	for _, count := range []int{1, fewFiles, fewFiles + 1, 3 * maxOpen} {
		for _, fsync := range []bool{true, false} {
			s := start(t, Config{Path: t.TempDir(), Fsync: &fsync})
			for i := range count {
				put(t, s, sdk.Object{Name: fmt.Sprintf("d%d/%d", i%40, i)}, "x")
			}
			if found := names(t, s, ""); len(found) > 0 {
				t.Errorf("%d objects are visible before the flush", len(found))
			}
			flush(t, s)
			if found := names(t, s, ""); len(found) != count {
				t.Errorf("%d of %d objects are visible after the flush", len(found), count)
			}
		}
	}
}

func TestWaitingObjectsAreBounded(t *testing.T) {
	s := start(t, Config{Path: t.TempDir()})
	for i := range maxObjects + 10 {
		put(t, s, sdk.Object{Name: fmt.Sprintf("%d", i)}, "x")
	}
	if waiting := len(s.commits.names); waiting != 10 {
		t.Errorf("%d objects wait", waiting)
	}
}

func TestWithoutGroupsFilesAreSyncedOneByOne(t *testing.T) {
	s := start(t, Config{Path: t.TempDir()})
	s.tree.grouped = false
	for i := range 3 * maxOpen {
		put(t, s, sdk.Object{Name: fmt.Sprintf("%d/%d", i%50, i)}, "x")
	}
	if open := len(s.commits.batch.files); open > maxOpen || s.commits.batch.group {
		t.Errorf("%d files are open, group %v", open, s.commits.batch.group)
	}
	flush(t, s)
	if found := names(t, s, ""); len(found) != 3*maxOpen {
		t.Errorf("%d objects are visible", len(found))
	}
}

func TestSecondObjectOfANameIsRefused(t *testing.T) {
	s := start(t, Config{Path: t.TempDir()})
	put(t, s, sdk.Object{Name: "a"}, "first")
	_, err := s.Put(t.Context(), sdk.Object{Name: "a"}, strings.NewReader("second"))
	wantKind(t, "Put on a name that waits", err, sdk.Exists)
	flush(t, s)
	_, err = s.Put(t.Context(), sdk.Object{Name: "a"}, strings.NewReader("second"))
	wantKind(t, "Put on a name that is taken", err, sdk.Exists)
	_, err = s.Put(t.Context(), sdk.Object{Name: "a/b"}, strings.NewReader("x"))
	wantKind(t, "Put below a file", err, sdk.Invalid)
	put(t, s, sdk.Object{Name: "a", Replace: true}, "third")
	put(t, s, sdk.Object{Name: "a", Replace: true}, "fourth")
	flush(t, s)
	wantContent(t, s, "a", "fourth")
}

func wantContent(t testing.TB, s *Sink, name, want string) {
	t.Helper()
	_, r, err := s.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s holds %q, want %q", name, got, want)
	}
}

func TestOfTwoProcessesOneGetsTheName(t *testing.T) {
	dir := t.TempDir()
	one, two := start(t, Config{Path: dir}), start(t, Config{Path: dir})
	put(t, one, sdk.Object{Name: "d/a"}, "one")
	put(t, two, sdk.Object{Name: "d/a"}, "two")
	flush(t, one)
	err := two.Flush(t.Context())
	wantKind(t, "the flush of the second", err, sdk.Exists)
	wantContent(t, one, "d/a", "one")
	put(t, two, sdk.Object{Name: "d/b"}, "x")
	if err := two.Flush(t.Context()); err == nil {
		t.Error("a flush after one that failed succeeds")
	}
	if left := temporariesBelow(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestConcurrentPutsOfOneNameLeaveOneObject(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{Path: dir})
	var group sync.WaitGroup
	var mu sync.Mutex
	var stored []string
	for i := range 16 {
		group.Go(func() {
			content := strings.Repeat(fmt.Sprint(i), 100_000)
			_, err := s.Put(t.Context(), sdk.Object{Name: "d/e/a"}, strings.NewReader(content))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				stored = append(stored, content)
			case sdk.KindOf(err) != sdk.Exists:
				t.Error(err)
			}
		})
	}
	group.Wait()
	flush(t, s)
	if len(stored) != 1 {
		t.Fatalf("%d of the Puts succeeded", len(stored))
	}
	wantContent(t, s, "d/e/a", stored[0])
	if left := temporariesBelow(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Directories come and go while objects are stored in them and deleted.
func TestPutsAndDeletesAtOnceDoNotDisturbEachOther(t *testing.T) {
	s := start(t, Config{Path: t.TempDir(), Fsync: new(bool)})
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 100 {
				name := fmt.Sprintf("a/b/%d/%d-%d", i%2, worker, i)
				if _, err := s.Put(t.Context(), sdk.Object{Name: name}, strings.NewReader("x")); err != nil {
					t.Error(err)
				}
				if err := s.Flush(t.Context()); err != nil {
					t.Error(err)
				}
				if err := s.Delete(t.Context(), []string{name}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if left := everything(t, s.tree.path); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestPutLeavesNothingBehindWhenItFails(t *testing.T) {
	broken := errors.New("the other end is gone")
	for _, size := range []int64{0, 100, 5 << 20} {
		dir := t.TempDir()
		s := start(t, Config{Path: dir})
		r := io.MultiReader(io.LimitReader(zeroes{}, size), failing{broken})
		if _, err := s.Put(t.Context(), sdk.Object{Name: "a/b/c"}, r); !errors.Is(err, broken) {
			t.Errorf("Put gives %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := s.Put(ctx, sdk.Object{Name: "a/b/c"}, io.MultiReader(io.LimitReader(zeroes{}, size), calling(cancel), zeroes{}))
		wantKind(t, "a cancelled Put", err, sdk.Cancelled)
		flush(t, s)
		if left := everything(t, dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		put(t, s, sdk.Object{Name: "a/b/c"}, "x")
		flush(t, s)
		wantContent(t, s, "a/b/c", "x")
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type calling func()

func (c calling) Read([]byte) (int, error) {
	c()
	return 0, io.EOF
}

func TestLinksAreStoredAndNeverFollowed(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Path: dir})
	for name, link := range map[string]string{"out": outside, "inside": "d", "file": filepath.Join(outside, "secret")} {
		if _, err := s.Put(t.Context(), sdk.Object{Name: name, Kind: sdk.KindSymlink, LinkTarget: link}, nil); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, sdk.Object{Name: "d/x"}, "x")
	flush(t, s)
	for _, link := range []string{"out", "inside"} {
		_, err := s.Put(t.Context(), sdk.Object{Name: link + "/new"}, strings.NewReader("x"))
		wantKind(t, "Put through a link", err, sdk.Invalid)
		_, err = s.Put(t.Context(), sdk.Object{Name: link, Kind: sdk.KindDirectory}, nil)
		wantKind(t, "a directory over a link", err, sdk.Exists)
	}
	if _, r, err := s.Get(t.Context(), "out/secret"); err == nil {
		_ = r.Close()
		t.Error("Get follows a link")
	}
	o, r, err := s.Get(t.Context(), "file")
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil || len(content) > 0 || o.Kind != sdk.KindSymlink || o.LinkTarget != filepath.Join(outside, "secret") {
		t.Errorf("Get of a link gives %+v, %q, %v", o, content, err)
	}
	put(t, s, sdk.Object{Name: "file", Replace: true}, "mine")
	flush(t, s)
	if got := everything(t, outside); !slices.Equal(got, []string{"secret"}) {
		t.Errorf("outside there is %v", got)
	}
	if want := []string{"d/x", "file", "inside", "out"}; !slices.Equal(names(t, s, ""), want) {
		t.Errorf("%v is listed, want %v", names(t, s, ""), want)
	}
	if err := s.Delete(t.Context(), []string{"out"}); err != nil {
		t.Error(err)
	}
	if err := s.Delete(t.Context(), []string{"inside/x"}); err == nil {
		wantContent(t, s, "d/x", "x")
	}
}

func TestListIsSortedByWholeNamesInAnyWindow(t *testing.T) {
	s := start(t, Config{Path: t.TempDir(), Fsync: new(bool)})
	random := rand.New(rand.NewPCG(1, 2))
	want := map[string]bool{}
	for range 300 {
		var parts []string
		for range 1 + random.IntN(4) {
			parts = append(parts, string("ab-."[random.IntN(4)])+string("0/-"[random.IntN(3)]))
		}
		name := strings.Join(parts, "")
		if !sdk.ValidName(name) {
			continue
		}
		if _, err := s.Put(t.Context(), sdk.Object{Name: name}, strings.NewReader("")); err == nil {
			flush(t, s)
			want[name] = true
		}
	}
	var sorted []string
	for name := range want {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, prefix := range []string{"", "a", "a-", "b0", "-", "a0/"} {
		expected := slices.DeleteFunc(slices.Clone(sorted), func(name string) bool { return !strings.HasPrefix(name, prefix) })
		for _, window := range []int{1, 2, 3, 7, listWindow} {
			var got []string
			l := &listing{ctx: t.Context(), tree: s.tree, prefix: prefix, window: window, yield: func(o sdk.Object, _ error) bool {
				got = append(got, o.Name)
				return true
			}}
			if err := l.directory("."); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(expected, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("prefix %q, window %d (-want +got):\n%s", prefix, window, diff)
			}
		}
	}
}

func TestDeleteRemovesEmptyDirectoriesThatAreNoObjects(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{Path: dir})
	put(t, s, sdk.Object{Name: "a/b/c/x"}, "x")
	put(t, s, sdk.Object{Name: "a/y"}, "x")
	for _, name := range []string{"kept", "a/b"} {
		if _, err := s.Put(t.Context(), sdk.Object{Name: name, Kind: sdk.KindDirectory}, nil); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, s)
	if want := []string{"a/b", "a/b/c/x", "a/y", "kept"}; !slices.Equal(names(t, s, ""), want) {
		t.Errorf("%v is listed, want %v", names(t, s, ""), want)
	}
	for _, step := range []struct {
		name string
		want []string
	}{
		{"a", []string{"a", "a/b", "a/b/c", "a/b/c/x", "a/y", "kept"}}, // implied: no object
		{"a/b/c/x", []string{"a", "a/b", "a/y", "kept"}},
		{"a/b", []string{"a", "a/y", "kept"}},
		{"a/y", []string{"kept"}},
		{"kept", nil},
		{"never", nil},
	} {
		if err := s.Delete(t.Context(), []string{step.name}); err != nil {
			t.Fatal(err)
		}
		if got := everything(t, dir); !slices.Equal(got, step.want) {
			t.Errorf("after %s was deleted there is %v, want %v", step.name, got, step.want)
		}
	}
	put(t, s, sdk.Object{Name: "waiting"}, "x")
	if err := s.Delete(t.Context(), []string{"waiting"}); err != nil {
		t.Error(err)
	}
	flush(t, s)
	if got := everything(t, dir); len(got) > 0 {
		t.Errorf("an object that was deleted while it waited is there: %v", got)
	}
}

func TestNoDescriptorsLeak(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	s, err := New(sdk.Server{Directory: t.TempDir()}, &Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		put(t, s, sdk.Object{Name: fmt.Sprintf("%d/%d/x", i%100, i)}, "x")
		if open := count() - before; open > 256 {
			t.Fatalf("%d descriptors are open", open)
		}
	}
	flush(t, s)
	for range names(t, s, "") {
		break
	}
	if open := count() - before; open > maxCached+8 {
		t.Errorf("%d descriptors stay open", open)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if open := count() - before; open > 0 {
		t.Errorf("%d descriptors are left open", open)
	}
}

func TestInvalidSettingsAreReported(t *testing.T) {
	for name, config := range map[string]Config{
		"relative path":      {Path: "a/b"},
		"mounts alone":       {Path: "/a", Mounts: map[string]string{"x": "/b"}},
		"relative mount":     {Path: "/a", Unpack: true, Mounts: map[string]string{"x": "b"}},
		"name out of root":   {Path: "/a", Unpack: true, Mounts: map[string]string{"../x": "/b"}},
		"mount in the path":  {Path: "/a", Unpack: true, Mounts: map[string]string{"x": "/a/b"}},
		"path in the mount":  {Path: "/a/b", Unpack: true, Mounts: map[string]string{"x": "/a"}},
		"mount in a mount":   {Path: "/a", Unpack: true, Mounts: map[string]string{"x": "/b", "y": "/b/c"}},
		"name below another": {Path: "/a", Unpack: true, Mounts: map[string]string{"x": "/b", "x/y": "/c"}},
	} {
		if len(config.Validate()) == 0 {
			t.Errorf("%s: no diagnostic", name)
		}
	}
	good := Config{Path: "/a", Unpack: true, Mounts: map[string]string{"pg_tblspc/1": "/b", "pg_tblspc/12": "/bc"}}
	if found := good.Validate(); len(found) > 0 {
		t.Error(found)
	}
}

func FuzzTemporaryNames(f *testing.F) {
	f.Add(".barman-h-1-2-3.tmp")
	f.Add(".barman----.tmp")
	f.Fuzz(func(t *testing.T, base string) {
		by, ok := parseTemporary(base)
		if ok && (!strings.HasPrefix(base, temporaryPrefix) || by.pid < 0 && !bytes.Contains([]byte(base), []byte("-"))) {
			t.Errorf("%q is taken for a temporary file's name of %+v", base, by)
		}
	})
}
