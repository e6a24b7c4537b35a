package main

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
)

// reusing is a sink that goes on in a directory.
func reusing(t *testing.T, directory string) *Sink {
	t.Helper()
	s, err := New(sdk.Server{}, &Config{Path: directory, Unpack: true, Reuse: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var long = strings.Repeat("0123456789abcdef", 40_000) // more than two pieces

func TestOnlyWhatDiffersIsWrittenAgain(t *testing.T) {
	const name = "base/1/1259"
	for what, there := range map[string]string{
		"the same": long, "nothing": "", "its beginning": long[:300_000], "too much": long + "more",
		"another byte at the end": long[:len(long)-1] + "X", "another byte at the beginning": "X" + long[1:], "something else": "short",
	} {
		for _, kind := range []sdk.ObjectKind{sdk.KindFile, sdk.KindTar} {
			t.Run(what, func(t *testing.T) {
				directory := t.TempDir()
				path := filepath.Join(directory, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(there), 0o640); err != nil {
					t.Fatal(err)
				}
				modified := time.Unix(1_700_000_000, 0)
				if err := os.Chtimes(path, modified, modified); err != nil {
					t.Fatal(err)
				}
				before := statOf(t, path)
				time.Sleep(10 * time.Millisecond) // the kernel's clock for files is a coarse one
				object, content := sdk.Object{Name: name, Mode: 0o640, ModTime: modified}, long
				if kind == sdk.KindTar {
					object = sdk.Object{Name: "base.tar", Kind: sdk.KindTar}
					content = archiveWith(t, &tar.Header{Name: name, Mode: 0o640, ModTime: modified, Size: int64(len(long))}, long)
				}
				s := reusing(t, directory)
				if _, err := s.Put(t.Context(), object, strings.NewReader(content)); err != nil {
					t.Fatal(err)
				}
				if err := s.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(path); err != nil || string(got) != long {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
				after := statOf(t, path)
				if untouched := after.Ctim == before.Ctim; untouched != (there == long) {
					t.Errorf("untouched: %t", untouched)
				}
				if after.Ino != before.Ino || after.Mode&0o777 != 0o640 || after.Mtim.Sec != modified.Unix() {
					t.Errorf("%+v", after)
				}
			})
		}
	}
}

func TestAFileWithAnotherNameIsNotWrittenTo(t *testing.T) {
	directory, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "stored")
	if err := os.WriteFile(elsewhere, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(elsewhere, filepath.Join(directory, "file")); err != nil {
		t.Fatal(err)
	}
	s := reusing(t, directory)
	if _, err := s.Put(t.Context(), sdk.Object{Name: "file"}, strings.NewReader("new")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{elsewhere: "precious", filepath.Join(directory, "file"): "new"} {
		if got, err := os.ReadFile(path); string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

func TestWhatIsNoFileIsNotReused(t *testing.T) {
	directory, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(directory, "file")); err != nil {
		t.Fatal(err)
	}
	s := reusing(t, directory)
	if _, err := s.Put(t.Context(), sdk.Object{Name: "file"}, strings.NewReader("new")); sdk.KindOf(err) != sdk.Exists {
		t.Errorf("%v", err)
	}
	if got, err := os.ReadFile(outside); string(got) != "precious" {
		t.Errorf("%q, %v", got, err)
	}
}

// archiveWith is an archive of one file.
func archiveWith(t *testing.T, header *tar.Header, content string) string {
	t.Helper()
	var out strings.Builder
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func statOf(t *testing.T, path string) *syscall.Stat_t {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t)
}
