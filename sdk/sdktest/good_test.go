package sdktest

import (
	"path/filepath"
	"testing"
)

func TestRot13PassesEveryCheck(t *testing.T) {
	Transform(t, Binary(t, "testdata/good/rot13"), nil, Unframed())
}

func TestGzipPassesEveryCheck(t *testing.T) {
	Transform(t, Binary(t, "testdata/good/gzip"), nil, LargestObject(1<<30))
}

func TestTheReferenceSinkPassesEveryCheck(t *testing.T) {
	dir := t.TempDir()
	// What a killed process leaves is no leftover of the others.
	leftovers := func(t T) []string {
		names, err := filepath.Glob(filepath.Join(dir, "incomplete", "*"))
		if err != nil {
			t.Errorf("%v", err)
		}
		return names
	}
	Sink(t, Binary(t, "testdata/good/directory"), Config{"path": dir}, LargestObject(1<<30), Leftovers(leftovers))
}

func TestTheReferenceHookPassesEveryCheck(t *testing.T) {
	Hook(t, Binary(t, "testdata/good/hook"), nil, hookCases())
}

func TestTheReferenceBackupSourcePassesEveryCheck(t *testing.T) {
	BackupSource(t, Binary(t, "testdata/good/backup"), nil, backupOptions()...)
}

func TestTheReferenceWALSourcePassesEveryCheck(t *testing.T) {
	cases, options := walCases(t)
	WALSource(t, Binary(t, "testdata/good/wal"), nil, cases, options...)
}
