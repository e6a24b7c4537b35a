package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// Nobody writes on the primary: without a WAL switch there, the segment in which
// the standby's backup ends would never be complete.
func TestABackupOfAStandbyGetsItsLastWALFromThePrimary(t *testing.T) {
	t.Parallel()
	primary := newSite(t, pgtest.Options{Major: 15}, plainFiles+receiveLZ4)
	primary.receive()
	primary.Exec("CREATE TABLE copied AS SELECT generate_series(1, 1000) AS i")
	id := primary.backup("--name", "for the standby")
	if want := fmt.Sprintf("restore point \"barman_%s\"", id); !strings.Contains(primary.Log(), want) {
		t.Errorf("the server knows of no %s", want)
	}
	standby := pgtest.StartExisting(t, 15, primary.restore("for the standby", "--standby-mode"), map[string]string{"primary_conninfo": primary.ConninfoAs("streaming_barman")})
	connections := func(prefix string, c *pgtest.Cluster) string {
		return fmt.Sprintf("  %[1]sconninfo = %[2]q\n  %[3]sstreaming_conninfo = %[4]q\n", prefix, c.ConninfoAs("barman")+" dbname=postgres", prefix, c.ReplicationConninfo("streaming_barman"))
	}
	for _, blocks := range []string{plainFiles, rsyncBlock(reuseLink)} {
		primary.home.Configure("server \"main\" {\n" + connections("", standby) + connections("wal_", primary.Cluster) +
			fmt.Sprintf("  primary_conninfo = %q\n  primary_checkpoint_timeout = \"10s\"\n", primary.ConninfoAs("barman")+" dbname=postgres") + blocks + receiveLZ4 + "}\n")
		taken := primary.backup()
		recovered := pgtest.StartExisting(t, 15, primary.restore(taken), nil)
		recovered.WaitRecovered()
		if rows := pgtest.One[int](recovered, "SELECT count(*) FROM copied"); rows != 1000 {
			t.Errorf("%s: %d rows", blocks, rows)
		}
	}
	primary.wantStatuses("DONE", "DONE", "DONE")
	r := primary.home.Run("check", "main")
	for _, row := range []string{"PostgreSQL server is standby: OK", "Primary server is not a standby: OK", "Primary and standby have same system ID: OK"} {
		if !strings.Contains(r.Stdout, "\t"+row+"\n") {
			t.Errorf("no row %q: %+v", row, r)
		}
	}
}

func TestABackupWhoseHookHangsEndsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(t.TempDir(), "pid")
	hang := fmt.Sprintf("  hook \"pre_backup\" {\n    script = \"echo not yet; sleep 600 & echo $! > %s; wait\"\n  }\n  hook \"post_backup\" {\n    script = \"echo then $BARMAN_STATUS\"\n  }\n", pid)
	s := newSite(t, pgtest.Options{Major: 15}, plainFiles+hang)
	backup := start(t, s.home.Command("backup", "main"))
	var sleeper string
	eventually(t, "the hook hangs", func() bool {
		backup.mustRun()
		content, err := os.ReadFile(pid)
		sleeper = strings.TrimSpace(string(content))
		return err == nil && strings.HasSuffix(string(content), "\n")
	})
	r := backup.stop()
	for _, part := range []string{"not yet", "then FAILED", "interrupted by SIGTERM"} {
		if r.Code == 0 || !strings.Contains(r.Stderr, part) {
			t.Errorf("does not say %q: %+v", part, r)
		}
	}
	s.wantStatuses("FAILED")
	eventually(t, "what the hook has started is gone", func() bool {
		_, err := os.Stat("/proc/" + sleeper)
		return os.IsNotExist(err)
	})
}
