package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestClusterStartsWritesAndStops(t *testing.T) {
	EachVersion(t, func(t *testing.T, major int) {
		c := Start(t, Options{
			Major: major, Tablespaces: []string{"fast disk"}, SegmentSizeMB: 1, Checksums: true, Auth: "scram-sha-256",
			Config: map[string]string{"work_mem": "5MB"},
		})
		if got := One[int](c, "SELECT current_setting('server_version_num')::int / 10000"); got != major {
			t.Errorf("the server is of version %d", got)
		}
		for setting, want := range map[string]string{"data_checksums": "on", "wal_segment_size": "1MB", "work_mem": "5MB", "wal_level": "replica"} {
			if got := One[string](c, "SELECT current_setting($1)", setting); got != want {
				t.Errorf("%s: got %s, want %s", setting, got, want)
			}
		}
		w := StartWriter(t, c, WriterOptions{Tablespace: "fast disk"})
		w.WaitRows(20)
		end := w.Stop()
		c.BarmanRoles()
		c.Stop(Fast)
		c.Restart()
		end.Check(t, c)
	})
}

func TestWriterNamesAMomentInFourWaysThatRecoveryAgreesOn(t *testing.T) {
	EachVersion(t, func(t *testing.T, major int) {
		archive := filepath.Join(Scratch(t), "archive")
		mkdirAs(t, archive)
		c := Start(t, Options{Major: major, Config: map[string]string{
			"archive_mode": "on", "archive_command": fmt.Sprintf("cp %%p %s/%%f", archive),
		}})
		c.Stop(Fast)
		base := filepath.Join(Scratch(t), "base")
		if out, err := exec.Command("cp", "-a", c.DataDir, base).CombinedOutput(); err != nil {
			t.Fatalf("copying the stopped cluster: %v\n%s", err, out)
		}
		c.Restart()
		w := StartWriter(t, c, WriterOptions{})
		w.WaitRows(50)
		m := w.Moment("here")
		w.WaitRows(50)
		w.Stop()
		segment := c.SwitchWAL()
		c.Wait("SELECT coalesce(last_archived_wal >= $1, false) FROM pg_stat_archiver", segment)

		for target, value := range map[string]string{"time": m.Time, "lsn": m.LSN, "xid": m.XID, "name": m.Name} {
			data := filepath.Join(Scratch(t), "restored")
			if out, err := exec.Command("cp", "-a", base, data).CombinedOutput(); err != nil {
				t.Fatalf("copying the cluster: %v\n%s", err, out)
			}
			if err := os.WriteFile(filepath.Join(data, "recovery.signal"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			r := StartExisting(t, major, data, map[string]string{
				"restore_command": fmt.Sprintf("cp %s/%%f %%p", archive), "archive_mode": "off",
				"recovery_target_" + target: value, "recovery_target_action": "pause",
			})
			r.WaitRecovered()
			m.Check(t, r)
			r.Promote()
			m.Check(t, r)
		}
	})
}

func TestKilledServerRecoversWhatItAcknowledged(t *testing.T) {
	c := Start(t, Options{Major: 18, Config: map[string]string{"fsync": "on"}})
	w := StartWriter(t, c, WriterOptions{})
	w.WaitRows(20)
	children := ChildrenOf(c.server.cmd.Process.Pid)
	c.Kill9()
	for _, pid := range children {
		if syscall.Kill(pid, 0) == nil && !zombie(pid) {
			t.Errorf("process %d of the server outlived Kill9", pid)
		}
	}
	acknowledged := w.Abandon()
	c.Restart()
	if got := One[int64](c, "SELECT max(id) FROM written"); got < acknowledged || got > acknowledged+1 {
		t.Errorf("the server holds rows up to %d, it had acknowledged %d", got, acknowledged)
	}
}

func TestServerDoesNotOutliveAKilledTest(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	test := exec.CommandContext(t.Context(), self, "-test.run=^TestPgbenchFillsEveryVersion$")
	test.Env = append(os.Environ(), "TMPDIR="+Scratch(t))
	if err := test.Start(); err != nil {
		t.Fatal(err)
	}
	var server int
	for server == 0 {
		for _, pid := range ChildrenOf(test.Process.Pid) {
			if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && filepath.Base(exe) == "postgres" {
				server = pid
			}
		}
		if zombie(test.Process.Pid) {
			t.Fatal("the test that was to be killed ended by itself")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := test.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := test.Wait(); err == nil {
		t.Fatal("the killed test passed")
	}
	for deadline := time.Now().Add(30 * time.Second); syscall.Kill(server, 0) == nil && !zombie(server); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server, process %d, outlived its test", server)
		}
	}
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	c := Start(t, Options{Major: 15})
	c.Stop(Immediate)
	if err := os.Remove(filepath.Join(c.DataDir, "global", "pg_control")); err != nil {
		t.Fatal(err)
	}
	_, err := TryStart(t, 15, c.DataDir, nil)
	if err == nil || !strings.Contains(err.Error(), "could not") {
		t.Errorf("starting without pg_control: %v", err)
	}
}

func TestPgbenchFillsEveryVersion(t *testing.T) {
	EachVersion(t, func(t *testing.T, major int) {
		c := Start(t, Options{Major: major})
		c.PgbenchInit(1)
		c.Pgbench("-n", "-t", "10")
		if got := One[int](c, "SELECT count(*)::int FROM pgbench_history"); got != 10 {
			t.Errorf("pgbench has run %d transactions, want 10", got)
		}
	})
}

func TestTmpfsFillsUp(t *testing.T) {
	dir := Tmpfs(t, 1<<20)
	err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, 2<<20), 0o600)
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("writing 2 MiB to 1 MiB: %v", err)
	}
}

func TestMemoryLimitIsMeasuredAndEnforced(t *testing.T) {
	m := LimitMemory(t, 64<<20)
	allocate := func(mib int) Result {
		// tail must hold a line that never ends.
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "head -c "+strconv.Itoa(mib<<20)+" /dev/zero | tail -n 1 | wc -c")
		return Run(t, m.Wrap(cmd))
	}
	if r := allocate(24); strings.TrimSpace(r.Stdout) != strconv.Itoa(24<<20) {
		t.Errorf("24 MiB within 64: %+v", r)
	}
	u := m.Usage()
	if u.Peak < 24<<20 || u.Peak > 64<<20 || u.Kills != 0 {
		t.Errorf("after 24 MiB: %+v", u)
	}
	if r := allocate(200); strings.TrimSpace(r.Stdout) == strconv.Itoa(200<<20) {
		t.Errorf("200 MiB fitted into 64: %+v", r)
	}
	if u := m.Usage(); u.Kills == 0 {
		t.Errorf("nothing was killed: %+v", u)
	}
}
