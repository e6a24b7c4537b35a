package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
)

// TestMain runs the child of TestKilledPut.
func TestMain(m *testing.M) {
	if dir := os.Getenv("POSIX_CHILD"); dir != "" {
		storeForever(dir)
	}
	os.Exit(m.Run())
}

// storeForever stores one object durably, puts another, and begins a third
// that never ends.
func storeForever(dir string) {
	s, err := New(sdk.Server{}, &Config{Path: dir})
	if err != nil {
		panic(err)
	}
	o := func(name string) sdk.Object { return sdk.Object{Name: name} }
	ctx := context.Background()
	if _, err := s.Put(ctx, o("d/durable"), strings.NewReader("x")); err != nil {
		panic(err)
	}
	if err := s.Flush(ctx); err != nil {
		panic(err)
	}
	if _, err := s.Put(ctx, o("d/waiting"), strings.NewReader("x")); err != nil {
		panic(err)
	}
	said := calling(func() { fmt.Println("in the middle") })
	_, err = s.Put(ctx, o("d/half"), io.MultiReader(io.LimitReader(zeroes{}, 1<<20), said, endless{}))
	panic(err)
}

type endless struct{}

func (endless) Read([]byte) (int, error) { select {} }

func TestKilledPutIsInvisibleAndSweptByTheNext(t *testing.T) {
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), "POSIX_CHILD="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Path: dir})
	put(t, s, sdk.Object{Name: "d/mine"}, "x")
	flush(t, s)
	if left := temporariesBelow(t, dir); len(left) != 2 {
		t.Errorf("while the other process lives, its temporary files are %v", left)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	if want := []string{"d/durable", "d/mine"}; !slices.Equal(names(t, s, ""), want) {
		t.Errorf("%v is listed, want %v", names(t, s, ""), want)
	}
	next := start(t, Config{Path: dir})
	put(t, next, sdk.Object{Name: "d/half"}, "whole")
	flush(t, next)
	wantContent(t, next, "d/half", "whole")
	if left := temporariesBelow(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLeftoversOfOtherMachinesAreSweptWhenOld(t *testing.T) {
	dir := t.TempDir()
	old, young, mine := temporaryPrefix+"elsewhere-1-2-3"+temporarySuffix, temporaryPrefix+"elsewhere-1-2-4"+temporarySuffix, ".barman-notes.tmp"
	for _, name := range []string{old, young, mine} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * abandonedAfter)
	if err := os.Chtimes(filepath.Join(dir, old), past, past); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Path: dir})
	put(t, s, sdk.Object{Name: "a"}, "x")
	flush(t, s)
	if want := []string{young, mine, "a"}; !slices.Equal(everything(t, dir), want) {
		t.Errorf("%v is there, want %v", everything(t, dir), want)
	}
	if want := []string{mine, "a"}; !slices.Equal(names(t, s, ""), want) {
		t.Errorf("%v is listed, want %v", names(t, s, ""), want)
	}
}

// smallDisk mounts a file system of a few megabytes.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount a small file system (this needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDiskSaysHowMuchIsFreeAndLeavesNothing(t *testing.T) {
	dir := smallDisk(t, "size=4m")
	s := start(t, Config{Path: dir})
	put(t, s, sdk.Object{Name: "before"}, "x")
	_, err := s.Put(t.Context(), sdk.Object{Name: "base/big"}, io.LimitReader(zeroes{}, 8<<20))
	wantKind(t, "Put on a full disk", err, sdk.Unavailable)
	for _, part := range []string{"base/big", dir, "no space left", "free"} {
		if !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("the error does not mention %q: %v", part, err)
		}
	}
	put(t, s, sdk.Object{Name: "after"}, "x")
	flush(t, s)
	if want := []string{"after", "before"}; !slices.Equal(everything(t, dir), want) {
		t.Errorf("%v is there, want %v", everything(t, dir), want)
	}
}

func TestDiskWithoutInodesIsFull(t *testing.T) {
	dir := smallDisk(t, "size=4m,nr_inodes=5")
	s := start(t, Config{Path: dir})
	var err error
	for i := 0; err == nil; i++ {
		_, err = s.Put(t.Context(), sdk.Object{Name: fmt.Sprint(i)}, strings.NewReader("x"))
	}
	wantKind(t, "Put on a disk without inodes", err, sdk.Unavailable)
	if !strings.Contains(err.Error(), " 0 inodes are free") {
		t.Errorf("the error does not say that there are no inodes: %v", err)
	}
}

func TestUnpackingOnAFullDiskFails(t *testing.T) {
	dir := smallDisk(t, "size=4m")
	s := start(t, Config{Path: dir, Unpack: true})
	archive := archiveOf(t, member{name: "a", size: 1 << 20}, member{name: "b", size: 8 << 20}, member{name: "c", size: 1})
	_, err := s.Put(t.Context(), sdk.Object{Name: "base.tar", Kind: sdk.KindTar}, archive)
	wantKind(t, "unpacking on a full disk", err, sdk.Unavailable)
	if !strings.Contains(fmt.Sprint(err), " b ") {
		t.Errorf("the error does not name the file: %v", err)
	}
}

// What is mounted below the root is not reached by the root's syncfs.
func TestFilesOnAnotherFileSystemAreSyncedOneByOne(t *testing.T) {
	dir := t.TempDir()
	inner := filepath.Join(dir, "wals")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", inner, "tmpfs", 0, "size=16m"); err != nil {
		t.Fatalf("mount a small file system (this needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(inner, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := start(t, Config{Path: dir})
	for i := range 2 * fewFiles {
		put(t, s, sdk.Object{Name: fmt.Sprintf("wals/%d", i)}, "x")
	}
	if open := len(s.commits.batch.files); open != 2*fewFiles || s.commits.batch.group {
		t.Errorf("%d files wait to be synced one by one, group %v", open, s.commits.batch.group)
	}
	if _, waits := s.commits.batch.directories["wals"]; !waits {
		t.Error("their directory does not")
	}
	flush(t, s)
	if found := names(t, s, "wals/"); len(found) != 2*fewFiles {
		t.Errorf("%d objects are visible", len(found))
	}
}

func TestDirectoryThatCannotBeWrittenIsDenied(t *testing.T) {
	dir := smallDisk(t, "size=1m")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Path: dir})
	_, err := s.Put(t.Context(), sdk.Object{Name: "a"}, strings.NewReader("x"))
	wantKind(t, "Put on a read-only file system", err, sdk.Denied)
}
