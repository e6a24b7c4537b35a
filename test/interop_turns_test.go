package test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
)

// takeTurns has both programs work on one catalogue with one barman.conf, as
// where somebody changes from one to the other, and back again.
func takeTurns(t *testing.T, server *site, below string) {
	c := newCatalogue(t, below).of(server.Cluster).with("streaming_archiver", "on", "slot_name", "barman", "create_slot", "auto", "compression", "gzip")
	c.t = t
	server = &site{Cluster: server.Cluster, t: t}
	server.Exec("ALTER SYSTEM SET archive_command = '" + delivering(c) + "'")
	server.Exec("SELECT pg_reload_conf()")
	server.Wait("SELECT current_setting('archive_command') = $1", delivering(c))
	w := pgtest.StartWriter(t, server.Cluster, pgtest.WriterOptions{Table: "turns", Tablespace: "fast"})
	receive := func(program string) *background {
		t.Helper()
		receiver := start(t, exec.CommandContext(t.Context(), program, "-c", c.barmanConf(), "receive-wal", "main"))
		server.waitStreaming()
		return receiver
	}
	python, barman := debian(t, "barman"), filepath.Join(pgtest.BarmanBin(t), "barman")
	segment := func(by program) {
		t.Helper()
		w.WaitRows(20)
		server.delivered()
		c.must(by, "archive-wal", "main")
	}
	backup := func(by program) string {
		t.Helper()
		c.nextSecond()
		c.must(by, "backup", "--wait", "main")
		return c.newest()
	}

	receiver := receive(python)
	segment(catalogue.debians)
	first := backup(catalogue.debians)
	segment(catalogue.ours)
	c.must(catalogue.ours, "receive-wal", "--stop", "main")
	<-receiver.done

	receiver = receive(barman) // goes on in the partial segment of the other
	second := backup(catalogue.ours)
	segment(catalogue.debians)
	c.must(catalogue.debians, "keep", "--target", "full", "main", second)
	if out := c.must(catalogue.ours, "keep", "--status", "main", second); !strings.Contains(out, "Keep: full") {
		t.Error(out)
	}
	c.must(catalogue.debians, "delete", "main", first)
	segment(catalogue.ours)
	c.must(catalogue.debians, "receive-wal", "--stop", "main")
	<-receiver.done

	receiver = receive(python)
	third := backup(catalogue.debians)
	c.must(catalogue.ours, "keep", "--release", "main", second)
	segment(catalogue.debians)
	fourth := backup(catalogue.ours)
	for name, by := range map[string]program{"Debian's": catalogue.debians, "our": catalogue.ours} {
		if r := by(c, "check", "main"); r.Code != 0 {
			t.Errorf("check by %s barman: %+v", name, r)
		}
	}
	if diff := cmp.Diff([]string{second, third, fourth}, c.ids()); diff != "" {
		t.Fatal(diff)
	}
	last := w.Stop()
	segmentOf := server.SwitchWAL()
	server.delivered()
	c.must(catalogue.ours, "archive-wal", "main")
	c.must(catalogue.ours, "receive-wal", "--stop", "main")
	<-receiver.done
	if theirs, ours := c.must(catalogue.debians, "get-wal", "main", segmentOf), c.must(catalogue.ours, "get-wal", "main", segmentOf); theirs != ours || ours == "" {
		t.Errorf("get-wal %s: %d bytes by Debian's barman, %d by ours", segmentOf, len(theirs), len(ours))
	}

	m := made{catalogue: c}
	m.with("retention_policy", "REDUNDANCY 1").sameList("- OBSOLETE\n")
	m.sameRecovery(func(c *pgtest.Cluster) { last.Check(t, c) }, second)

	alone := []string{"streaming_archiver", "off", "slot_name", "None", "retention_policy", "REDUNDANCY 1"}
	deleted := newTwins(t, m)
	deleted.each(true, alone, "cron")
	eventually(t, "cron has deleted the obsolete backups", func() bool { return len(deleted.ours.ids()) == 1 && len(deleted.theirs.ids()) == 1 })
	deleted.both(true, nil, "rebuild-xlogdb", "main")

	// Debian's knows no tar files without compression, and has to find that out.
	c.nextSecond()
	c.with(append(alone, "backup_compression", "none")...).must(catalogue.ours, "backup", "--wait", "main")
	destination := filepath.Join(pgtest.Scratch(t), "data")
	if r := c.debians("recover", "main", c.newest(), destination); r.Code == 0 || exists(filepath.Join(destination, "base.tar")) {
		t.Errorf("recovery of tar files by Debian's barman: %+v", r)
	}
}
