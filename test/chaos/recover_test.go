//go:build linux && amd64

package chaos_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/chaos"
)

// recovering is "barman recover" of a backup that is DONE.
type recovering struct {
	*site
	backup info
	before string // what the home looks like
}

func newRecovering(t *testing.T, transform string) *recovering {
	r := &recovering{site: newSite(t, transform)}
	b := backing{r.site}
	if err := b.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := b.next(); err != nil {
		t.Fatal(err)
	}
	all, err := r.backups()
	if err != nil {
		t.Fatal(err)
	}
	r.backup = all[0]
	return r
}

func (r *recovering) prepare() (err error) {
	for _, dir := range []string{"to", "run"} {
		if err := os.RemoveAll(r.path(dir)); err != nil {
			return err
		}
		if err := os.Mkdir(r.path(dir), 0o700); err != nil {
			return err
		}
	}
	r.before, err = r.home()
	return err
}

// home describes what is stored; lock files do not count.
func (r *recovering) home() (string, error) {
	var all strings.Builder
	err := filepath.WalkDir(r.path("home"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || strings.HasSuffix(path, ".lock") || entry.IsDir() {
			return err
		}
		i, err := entry.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&all, path, i.Mode(), i.Size(), i.ModTime())
		return nil
	})
	return all.String(), err
}

func (r *recovering) command() chaos.Command { return r.barman(r.recoverCommand(r.backup.id)...) }

// complete tells whether PostgreSQL would start from the destination.
func (r *recovering) complete() (bool, error) {
	for _, dir := range []string{"data", "fast"} {
		guard, err := os.ReadFile(r.path("to", dir, "postmaster.pid"))
		switch {
		case err == nil && strings.HasPrefix(string(guard), "barman:"):
			if dir == "data" {
				return false, nil
			}
			return false, errors.New("the tablespace is guarded and the data directory is not")
		case err == nil:
			return false, fmt.Errorf("a postmaster.pid with %q", guard)
		case !errors.Is(err, os.ErrNotExist):
			return false, err
		}
	}
	if _, err := os.Stat(r.path("to/data/global/pg_control")); err == nil {
		return true, nil
	}
	entries, err := os.ReadDir(r.path("to/data"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			return false, fmt.Errorf("%s is in a destination without guard", entry.Name())
		}
	}
	return false, nil
}

func (r *recovering) check(o chaos.Outcome) error {
	after, err := r.home()
	if err != nil {
		return err
	}
	if after != r.before {
		return errors.New("recovery changed what is stored")
	}
	complete, err := r.complete()
	if err != nil {
		return err
	}
	if o.Code == 0 && !complete {
		return errors.New("it says that all is well, and PostgreSQL does not start")
	}
	if complete {
		return r.restored(r.backup)
	}
	return nil
}

func (r *recovering) next() error {
	complete, err := r.complete()
	if err != nil {
		return err
	}
	if complete {
		return nil
	}
	if err := r.run(r.recoverCommand(r.backup.id)...); err != nil {
		return err
	}
	return r.restored(r.backup)
}

func TestChaosOfRecover(t *testing.T) {
	for name, transform := range map[string]string{"plain": "", "zstd": `transform "compress" { codec = "zstd" }`} {
		t.Run(name, func(t *testing.T) { walk(t, newRecovering(t, transform)) })
	}
}
