package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
)

func TestANameThatIsTakenStaysAsItIs(t *testing.T) {
	for way, rename := range map[string]func(from, to string) error{"flag": RenameNew, "link": linkNew} {
		t.Run(way, func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			for path, content := range map[string]string{from: "new", to: "old"} {
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := rename(from, to); !errors.Is(err, fs.ErrExist) {
				t.Errorf("error %v", err)
			}
			wantFile(t, from, "new", 0o600)
			wantFile(t, to, "old", 0o600)
			if err := rename(from, filepath.Join(dir, "free")); err != nil {
				t.Fatal(err)
			}
			wantFile(t, filepath.Join(dir, "free"), "new", 0o600)
			if err := rename(from, to+"2"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("nothing to rename: %v", err)
			}
			if err := os.Mkdir(from, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := rename(from, to); !errors.Is(err, fs.ErrExist) {
				t.Errorf("a directory: %v", err)
			}
			if err := rename(from, to+"2"); err != nil {
				t.Errorf("a directory: %v", err)
			}
		})
	}
}

func TestOfManyWhoCommitANewFileOneWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	won := make(chan byte, 20)
	var group errgroup.Group
	for i := range byte(20) {
		group.Go(func() error {
			r, err := NewReplacement(path, 0o640)
			if err != nil {
				return err
			}
			if _, err := r.Write(version(i)); err != nil {
				return err
			}
			err = r.CommitNew()
			if errors.Is(err, fs.ErrExist) {
				return r.Abort()
			}
			won <- i
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	close(won)
	if len(won) != 1 {
		t.Fatalf("%d won", len(won))
	}
	wantFile(t, path, string(version(<-won)), 0o640)
	if diff := cmp.Diff([]string{"file"}, names(t, filepath.Dir(path))); diff != "" {
		t.Error(diff)
	}
}

func TestANewFileMayReplaceTheOldOneAfterAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := NewReplacement(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	if err := r.SetModTime(at); err != nil {
		t.Fatal(err)
	}
	if err := r.CommitNew(); !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	wantFile(t, path, "old", 0o600)
	content := make([]byte, 3)
	if _, err := r.ReadAt(content, 0); err != nil || string(content) != "new" {
		t.Errorf("%q, %v", content, err)
	}
	wantFile(t, r.Temporary(), "new", 0o600)
	if err := r.Commit(); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "new", 0o600)
	if info, err := os.Stat(path); err != nil || !info.ModTime().Equal(at) {
		t.Errorf("%v, %v", info, err)
	}
}
