package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// After the oldest backups are gone, all that is listed can still be recovered,
// and cron deletes what the policy calls obsolete: also where backups and WAL are
// in directories of their own.
func TestWhatIsLeftAfterDeletingBackupsCanBeRecovered(t *testing.T) {
	t.Parallel()
	bases, archive := filepath.Join(pgtest.Scratch(t), "bases"), filepath.Join(pgtest.Scratch(t), "archive")
	s := newSite(t, pgtest.Options{Major: 17}, fmt.Sprintf("  basebackups_directory = %q\n  wals_directory = %q\n", bases, archive)+
		plainFiles+receiveLZ4+"  retention {\n    policy = \"REDUNDANCY 2\"\n  }\n")
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	s.receive()
	var ids []string
	var moments []pgtest.Moment
	for range 4 {
		ids = append(ids, s.backup())
		moments = append(moments, w.Moment(""))
		s.SwitchWAL()
	}
	s.streamed(w.Stop().LSN)
	s.home.Must("archive-wal", "main")
	s.home.Must("keep", "main", ids[0], "--target", "standalone")
	wals := func() int {
		found, err := filepath.Glob(filepath.Join(archive, "*", "0*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	before := wals()

	if out := s.home.Must("retention", "main"); !strings.Contains(out, ids[1]+": OBSOLETE") || !strings.Contains(out, ids[0]+": KEEP:STANDALONE") {
		t.Error(out)
	}
	s.home.Must("cron")
	eventually(t, "cron deletes the obsolete backup", func() bool {
		_, err := os.Stat(filepath.Join(bases, ids[1]))
		return os.IsNotExist(err)
	})
	if out := s.home.Must("list-backups", "main", "--minimal"); strings.Contains(out, ids[1]) || !strings.Contains(out, ids[0]) {
		t.Error(out)
	}
	if after := wals(); after >= before {
		t.Errorf("%d WAL files were archived before, %d after", before, after)
	}

	for i, target := range map[int][]string{0: {"--target-immediate"}, 2: {"--target-time", moments[2].Time}, 3: {"--target-time", moments[3].Time}} {
		c := pgtest.StartExisting(t, s.Major, s.restore(ids[i], target...), nil)
		c.WaitRecovered()
		if i > 0 {
			moments[i].Check(t, c)
		}
		c.Stop(pgtest.Fast)
	}
	s.home.Must("wal-gaps", "main") // it fails when WAL is missing
}
