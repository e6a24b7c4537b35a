package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"

	"github.com/barman-go/barman/sdk"
)

// newTestCopy is a copy of a directory with some files, by the rsync that settings
// lead to.
func newTestCopy(t *testing.T, config *Config, names ...string) (*copying, item, *share) {
	t.Helper()
	program, err := newRsync(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	c := &copying{
		rsync: program, config: config, logger: hclog.NewNullLogger(), jobs: 1, lists: t.TempDir(), starts: rate.NewLimiter(rate.Inf, 1),
		progress: func(int64, int64) {}, expect: func(int64) {},
	}
	it := item{source: t.TempDir(), target: t.TempDir()}
	s, err := newShare(c.lists)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(it.source, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.add(entry{name: name, size: int64(len(name))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	return c, it, s
}

func TestAFileThatIsGoneWhenItIsItsTurnIsNotMissed(t *testing.T) {
	c, it, s := newTestCopy(t, &Config{}, "here", "gone")
	if err := os.Remove(filepath.Join(it.source, "gone")); err != nil {
		t.Fatal(err)
	}
	if err := c.share(t.Context(), it, s, 1); err != nil {
		t.Errorf("%v", err)
	}
	if content, err := os.ReadFile(filepath.Join(it.target, "here")); err != nil || string(content) != "here" {
		t.Errorf("%q, %v", content, err)
	}
}

func TestAFileThatRsyncLeavesOutWithoutAWordIsMissed(t *testing.T) {
	lazy := t.TempDir()
	script := "#!/bin/sh\n[ \"$1\" = --version ] && echo 'rsync  version 3.2.7  protocol version 31'\nexit 0\n"
	if err := os.WriteFile(filepath.Join(lazy, "rsync"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	c, it, s := newTestCopy(t, &Config{PathPrefix: lazy}, "here")
	if err := c.share(t.Context(), it, s, 1); sdk.KindOf(err) != sdk.Corrupt {
		t.Errorf("%s: %v", sdk.KindOf(err), err)
	}
}

// A file with the size and the second of the reference's may still be another one,
// if it was written after the reference was begun.
func TestWhatChangedWithinASecondIsCopied(t *testing.T) {
	c, it, s := newTestCopy(t, &Config{}, "same", "soon")
	it.reference, c.reuse = t.TempDir(), reuseLink
	moment := c.horizon
	for name, content := range map[string]string{"same": "same", "soon": "then"} {
		there := filepath.Join(it.reference, name)
		if err := os.WriteFile(there, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{there, filepath.Join(it.source, name)} {
			info, err := os.Stat(filepath.Join(it.source, "same"))
			if err != nil {
				t.Fatal(err)
			}
			if moment.IsZero() {
				moment = info.ModTime().Truncate(1e9)
			}
			if err := os.Chtimes(path, moment, moment); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.horizon = moment
	for _, name := range []string{"same", "soon"} {
		if !c.doubt(entry{name: name, size: 4, modified: moment}, it) {
			t.Errorf("%s is not looked at closely", name)
		}
	}
	if c.doubt(entry{name: "soon", size: 4, modified: moment.Add(-1e9)}, it) || c.doubt(entry{name: "soon", size: 5, modified: moment}, it) {
		t.Error("what cannot be the reference's, or was not written since, is in doubt")
	}
	if err := c.share(t.Context(), it, s, 1, "--checksum"); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(it.target, "soon")); err != nil || string(content) != "soon" {
		t.Errorf("%q, %v", content, err)
	}
	mine, err := os.Stat(filepath.Join(it.target, "same"))
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := os.Stat(filepath.Join(it.reference, "same")); err != nil || !os.SameFile(mine, theirs) {
		t.Errorf("the same content is not shared: %v", err)
	}
	if content, err := os.ReadFile(filepath.Join(it.reference, "soon")); err != nil || string(content) != "then" {
		t.Errorf("the backup before was written to: %q, %v", content, err)
	}
}
