package wal

import (
	"bytes"
	"context"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk/wal"
)

// Whatever moment the archiver is killed at: in the end every file is archived
// once, equal to the byte, and recorded, and none is left.
func TestAnArchiverThatIsKilledAgainAndAgainLosesNothing(t *testing.T) {
	for name, lines := range map[string]string{
		"one sink":  zstdLine,
		"two sinks": zstdLine + "\nsink \"posix\" {\n  path = \"" + filepath.Join(t.TempDir(), "second") + "\"\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, t.TempDir(), lines)
			all := names(t, "000000010000000000000001", 150)
			for i, segment := range all {
				s.segment("streaming", segment)
				if i%3 == 0 {
					s.segment("incoming", segment)
				}
			}
			killed := 0
			for try := 0; killed < 25 && len(s.files("streaming")) > 0; try++ {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+rand.IntN(400))*time.Millisecond)
				cmd := s.task(ctx, "archive")
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				err := cmd.Run()
				switch {
				case ctx.Err() != nil:
					killed++
				case err != nil && bytes.Contains(stderr.Bytes(), []byte("holds the lock")):
					// The last one was killed while a plugin of its was between fork and exec.
				case err != nil:
					t.Fatalf("archiver %d: %v: %s", try, err, stderr.String())
				}
				cancel()
			}
			t.Logf("killed %d times", killed)
			last := s.archive()
			if len(last.Problems) > 0 {
				t.Errorf("%+v", last.Problems)
			}
			for _, segment := range all {
				if !bytes.Equal(s.stored(segment), segmentOf(segment, testSystemID, 1)) {
					t.Errorf("%s is not what was received", segment)
				}
			}
			if diff := cmp.Diff(all, s.recorded()); diff != "" {
				t.Error(diff)
			}
			for _, dir := range []string{"streaming", "incoming", "errors"} {
				if left := s.files(dir); len(left) > 0 {
					t.Errorf("in %s: %q", dir, left)
				}
			}
			s.sweptUp(names(t, all[len(all)-1], 256)[1:])
		})
	}
}

// sweptUp archives further segments until the sink has swept up after its killed
// predecessors, the last of which may take a moment to end.
func (s *site) sweptUp(more []string) {
	s.t.Helper()
	var strange []string
	for _, name := range more {
		s.segment("streaming", name)
		s.archive()
		if strange = s.strange(); len(strange) == 0 {
			return
		}
	}
	s.t.Errorf("in the archive: %q", strange)
}

// strange lists what lies in the archive and does not belong there.
func (s *site) strange() []string {
	s.t.Helper()
	var found []string
	err := filepath.WalkDir(filepath.Join(s.dir, "wals"), func(path string, entry fs.DirEntry, err error) error {
		if _, notWAL := wal.ParseName(entry.Name()); err == nil && notWAL != nil && !entry.IsDir() && entry.Name() != "xlog.db" {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
	return found
}
