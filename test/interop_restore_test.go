package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// archivedSegments makes a server whose WAL is archived, and the names of the segments.
func archivedSegments(t *testing.T, n int) (*site, []string) {
	t.Helper()
	s := newSite(t, pgtest.Options{Major: 15, SegmentSizeMB: 1}, receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Every: time.Millisecond})
	receiver := s.receive()
	var names []string
	for range n {
		w.WaitRows(5)
		names = append(names, s.SwitchWAL())
	}
	s.allStreamed()
	s.home.Must("archive-wal", "main")
	receiver.stop()
	return s, names
}

// plain is a segment as PostgreSQL wrote it.
func (s *site) plain(name string) []byte {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.DataDir, "pg_wal", name))
	if err != nil {
		s.t.Fatal(err)
	}
	return content
}

// client runs a barman-wal-restore for a segment and compares what comes.
func (r *restorer) client(t *testing.T, program, name string, options ...string) {
	t.Helper()
	to := filepath.Join(r.spool, "RECOVERYXLOG")
	args := append([]string{"-U", r.User, "--spool-dir", filepath.Join(r.spool, filepath.Base(filepath.Dir(program)))}, options...)
	cmd := exec.CommandContext(t.Context(), program, append(args, "backup", "main", name, to)...)
	cmd.Env = append(os.Environ(), "PATH="+r.ClientPath())
	if result := pgtest.Run(t, cmd); result.Code != 0 {
		t.Fatalf("%s %v %s: exit code %d\n%s%s", program, options, name, result.Code, result.Stdout, result.Stderr)
	}
	content, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content, r.site.plain(name)) {
		t.Errorf("%s %v %s: other bytes came", program, options, name)
	}
}

func TestDebiansClientFetchesFromOurServer(t *testing.T) {
	t.Parallel()
	s, names := archivedSegments(t, 6)
	r := newRestorer(t, s)
	debians := debian(t, "barman-wal-restore")
	config := []string{"-c", s.home.Config}
	r.client(t, debians, names[0], config...)
	r.client(t, debians, names[0], append(config, "-z")...)
	r.client(t, debians, names[0], append(config, "-j", "-P")...)
	for _, name := range names {
		r.client(t, debians, name, append(config, "-p", "3")...)
	}
	cmd := exec.CommandContext(t.Context(), debians, "-U", r.User, "-c", s.home.Config, "backup", "main", "000000090000000000000001", filepath.Join(r.spool, "x"))
	cmd.Env = append(os.Environ(), "PATH="+r.ClientPath())
	if result := pgtest.Run(t, cmd); result.Code != 1 {
		t.Errorf("a segment that is not there: exit code %d\n%s%s", result.Code, result.Stdout, result.Stderr)
	}
}

func TestOurClientFetchesFromDebiansServer(t *testing.T) {
	t.Parallel()
	s, names := archivedSegments(t, 8)
	// Python Barman knows no LZ4 at that age.
	for _, name := range names[1:] {
		path := s.path("wals", name[:16], name)
		if err := os.WriteFile(path, s.plain(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(len(s.plain(name)))); err != nil {
			t.Fatal(err)
		}
	}
	debians := catalogue{t: t, home: s.home.Dir}.of(s.Cluster)
	conf := debians.barmanConf()
	bin := pgtest.Scratch(t)
	if err := os.Symlink(debian(t, "barman"), filepath.Join(bin, "barman")); err != nil {
		t.Fatal(err)
	}
	r := newRestorer(t, s, bin)
	ours := filepath.Join(pgtest.BarmanBin(t), "barman-wal-restore")
	r.client(t, ours, names[1], "-c", conf)
	r.client(t, ours, names[1], "-c", conf, "-z")
	for _, name := range names[1:] {
		r.client(t, ours, name, "-c", conf, "-p", "3")
	}
	eventually(t, "no prefetcher is left", func() bool { return len(prefetchers(t, r.spool)) == 0 })
	fails := func(code int, server, name string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), ours, "-U", r.User, "-c", conf, "backup", server, name, filepath.Join(r.spool, "x"))
		cmd.Env = append(os.Environ(), "PATH="+r.ClientPath())
		if result := pgtest.Run(t, cmd); result.Code != code {
			t.Errorf("%s %s: exit code %d, want %d\n%s", server, name, result.Code, code, result.Stderr)
		}
	}
	fails(1, "main", "000000090000000000000001")
	// Python's exit code is 1 here as well, which is not to be taken for a missing
	// segment.
	fails(2, "unknown", names[1])
}
