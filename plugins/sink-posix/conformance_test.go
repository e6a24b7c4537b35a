package main

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/barman-go/barman/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	leftovers := func(t sdktest.T) []string {
		return temporariesBelow(t, dir)
	}
	sdktest.Sink(t, sdktest.Binary(t, "."), sdktest.Config{"path": dir}, sdktest.Leftovers(leftovers), sdktest.MemoryLimit(40<<20))
}

// temporariesBelow returns the temporary files in a store.
func temporariesBelow(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && isTemporary(entry.Name()) {
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatalf("walk %s: %v", root, err)
	}
	return found
}
