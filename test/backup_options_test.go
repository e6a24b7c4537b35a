package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
	example, err := os.ReadFile("../examples/standby.hcl")
	if err != nil {
		t.Fatal(err)
	}
	at := func(c *pgtest.Cluster) string { return "host=127.0.0.1 port=" + strconv.Itoa(c.Port) }
	config := strings.NewReplacer("/var/lib/barman", primary.home.Dir, "host=standby.example.com", at(standby), "host=pg.example.com", at(primary.Cluster), `"60s"`, `"10s"`).Replace(string(example))
	native := config[strings.Index(config, "  backup {"):strings.Index(config, "  wal {")]
	for _, block := range []string{native, rsyncBlock(reuseLink)} {
		if err := os.WriteFile(primary.home.Config, []byte(strings.Replace(config, native, block, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		taken := primary.backup()
		recovered := pgtest.StartExisting(t, 15, primary.restore(taken), nil)
		recovered.WaitRecovered()
		if rows := pgtest.One[int](recovered, "SELECT count(*) FROM copied"); rows != 1000 {
			t.Errorf("%s: %d rows", block, rows)
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
