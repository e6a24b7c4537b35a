package test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// Both programs work on one catalogue with one barman.conf whose backups are made
// with rsync over ssh, each on top of the other's.
func TestChainsOfBackupsByRsyncAreBothProgramsOwn(t *testing.T) {
	t.Parallel()
	host := pgtest.StartSSHD(t, pgtest.SSHDOptions{})
	c := newCatalogue(t, pgtest.Scratch(t)).with("backup_method", "rsync", "ssh_command", filepath.Join(host.Client, "ssh")+" "+host.User+"@pg",
		"reuse_backup", "link", "parallel_jobs", "2", "compression", "gzip")
	server := &site{t: t, Cluster: pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1, Tablespaces: []string{"fast"},
		Config: map[string]string{"archive_mode": "on", "archive_command": delivering(c)}})}
	server.BarmanRoles()
	c = c.of(server.Cluster)
	server.Exec("CREATE TABLE still AS SELECT i, repeat('x', 500) AS t FROM generate_series(1, 5000) i; CHECKPOINT")
	w := pgtest.StartWriter(t, server.Cluster, pgtest.WriterOptions{Table: "turns", Tablespace: "fast"})
	server.delivered()
	c.must(catalogue.debians, "archive-wal", "main") // it takes no backup before any WAL has come
	var chain []string
	for _, by := range []program{catalogue.debians, catalogue.ours, catalogue.ours, catalogue.debians} {
		w.WaitRows(20)
		c.nextSecond()
		c.must(by, "backup", "--wait", "main")
		chain = append(chain, c.newest())
	}
	last := w.Stop()
	server.delivered()
	c.must(catalogue.ours, "archive-wal", "main")

	still := server.fileOf("still")
	first, err := os.Stat(c.path("base", chain[0], "data", still))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range chain[1:] {
		if info, err := os.Stat(c.path("base", id, "data", still)); err != nil || !os.SameFile(first, info) {
			t.Errorf("backup %s does not share %s with the first one: %v", id, still, err)
		}
	}
	m := made{catalogue: c}
	for _, id := range []string{chain[1], chain[3]} {
		m.sameRecovery(func(c *pgtest.Cluster) { last.Check(t, c) }, id)
	}
	// Deleting in the middle leaves the rest as it is.
	c.must(catalogue.debians, "delete", "main", chain[0])
	c.must(catalogue.ours, "delete", "main", chain[1])
	m.sameRecovery(func(c *pgtest.Cluster) { last.Check(t, c) }, chain[2])
	c.must(catalogue.ours, "verify-backup", "main", chain[2])
}
