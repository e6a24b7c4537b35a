package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

// envWrite makes the test binary write the named file again and again.
const envWrite = "DURABLE_TEST_WRITE"

func TestMain(m *testing.M) {
	path := os.Getenv(envWrite)
	if path == "" {
		os.Exit(m.Run())
	}
	for i := byte(0); ; i++ {
		if err := WriteFile(path, version(i), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// version is content that shows when two versions were mixed.
func version(i byte) []byte { return bytes.Repeat([]byte{i}, 100_000+int(i)) }

func names(t *testing.T, directory string) []string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func wantFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != content {
		t.Errorf("%s holds %q, expected %q", path, got, content)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != mode {
		t.Errorf("%s has mode %v, expected %v", path, info.Mode(), mode)
	}
}

func TestWriteFileReplacesContentAndMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o400, 0o644} {
		content := mode.String()
		if err := WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, content, mode)
	}
	if diff := cmp.Diff([]string{"file"}, names(t, filepath.Dir(path))); diff != "" {
		t.Error(diff)
	}
}

func TestNothingIsVisibleBeforeCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"abort", "commit"} {
		r, err := NewReplacement(path, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Write([]byte("new")); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, "old", 0o600)
		found := names(t, filepath.Dir(path))
		if len(found) != 2 || !IsTemporary(found[0], "file") || IsTemporary(found[0], "other") || IsTemporary(found[1], "file") {
			t.Errorf("%q", found)
		}
		if end == "abort" {
			if err := r.Abort(); err != nil {
				t.Error(err)
			}
			wantFile(t, path, "old", 0o600)
			continue
		}
		if err := r.Commit(); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, "new", 0o640)
	}
	if diff := cmp.Diff([]string{"file"}, names(t, filepath.Dir(path))); diff != "" {
		t.Error(diff)
	}
}

func TestAFailureLeavesTheOldFileAlone(t *testing.T) {
	directory := t.TempDir()
	taken := filepath.Join(directory, "directory")
	if err := os.MkdirAll(filepath.Join(taken, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(taken, nil, 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	if err := WriteFile(filepath.Join(directory, "missing", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"directory"}, names(t, directory)); diff != "" {
		t.Error(diff)
	}
}

func TestAFullDiskLeavesTheOldFileAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts a small file system: run it as root")
	}
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=65536"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(small, "file")
	if err := WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, make([]byte, 100_000), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if err := CopyFile(large, path, 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	wantFile(t, path, "old", 0o600)
	if diff := cmp.Diff([]string{"file"}, names(t, small)); diff != "" {
		t.Error(diff)
	}
}

func TestAKilledWriterLeavesTheOldFileOrTheNewOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for round := range 20 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envWrite+"="+path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(path); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(round*137%1000) * 10 * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(content) == 0 || !bytes.Equal(content, version(content[0])) {
			t.Fatalf("%d bytes that were never written together", len(content))
		}
	}
	for _, name := range names(t, filepath.Dir(path)) {
		if name != "file" && !IsTemporary(name, "file") {
			t.Errorf("%s was left behind", name)
		}
	}
}

func TestCopyFileKeepsTheTimeOfModification(t *testing.T) {
	directory := t.TempDir()
	from, to := filepath.Join(directory, "from"), filepath.Join(directory, "to")
	modified := time.Date(2020, 2, 29, 12, 0, 0, 123456789, time.UTC)
	if err := os.WriteFile(from, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(from, modified, modified); err != nil {
		t.Fatal(err)
	}
	if err := CopyFile(from, to, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, to, "content", 0o600)
	info, err := os.Stat(to)
	if err != nil || !info.ModTime().Equal(modified) {
		t.Errorf("%v, %v", info.ModTime(), err)
	}
}

func TestOnlyRegularFilesAreCopied(t *testing.T) {
	directory := t.TempDir()
	fifo := filepath.Join(directory, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for from, kind := range map[string]sdk.ErrorKind{fifo: sdk.Invalid, directory: sdk.Invalid, "/dev/zero": sdk.Invalid, filepath.Join(directory, "missing"): sdk.Unknown} {
		err := CopyFile(from, filepath.Join(directory, "to"), 0o600)
		if err == nil || sdk.KindOf(err) != kind {
			t.Errorf("%s: %v", from, err)
		}
	}
	if diff := cmp.Diff([]string{"fifo"}, names(t, directory)); diff != "" {
		t.Error(diff)
	}
}

func TestRemoveOfAMissingFileIsNoError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Remove(path); err != nil {
			t.Error(err)
		}
	}
	if found := names(t, filepath.Dir(path)); len(found) > 0 {
		t.Errorf("%q", found)
	}
	if err := Remove(filepath.Join(path, "x", "y")); err == nil {
		t.Error("no error where there is no directory")
	}
}

func TestMakeDirectoryMakesAllThatIsMissing(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a", "b", "c")
	for range 2 {
		if err := MakeDirectory(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, made := range []string{path, filepath.Dir(path), filepath.Join(root, "a")} {
		info, err := os.Stat(made)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s has mode %v", made, info.Mode())
		}
	}
	if err := os.Chmod(path, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := MakeDirectory(path); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("a directory that exists was changed: %v, %v", info, err)
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, filepath.Join(file, "below")} {
		if err := MakeDirectory(bad); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
	link := filepath.Join(root, "link")
	if err := os.Symlink("missing", link); err != nil {
		t.Fatal(err)
	}
	if err := MakeDirectory(link); err == nil {
		t.Error("a link to nothing was taken for a directory")
	}
}

func TestTheNextWriterRemovesWhatAKilledOneLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fi[l*e")
	left := filepath.Join(filepath.Dir(path), ".fi[l*e.123.tmp")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := NewReplacement(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
	// One that is still being written is no leftover.
	if _, err := other.Write([]byte("later")); err != nil {
		t.Fatal(err)
	}
	if err := other.Commit(); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "later" {
		t.Errorf("%q, %v", content, err)
	}
}

func TestWritersOfOneFileDoNotTakeEachOthersForLeftovers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			for range 50 {
				if err := WriteFile(path, []byte("content"), 0o600); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}
