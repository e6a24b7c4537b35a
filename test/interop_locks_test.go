package test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// sideBySide is a site with a second program: Debian's barman, for the same
// server, home and lock directory.
type sideBySide struct {
	*site
	python string // its configuration
	gate   string // the hooks of both programs wait until this file is there
}

func newSideBySide(t *testing.T) *sideBySide {
	t.Helper()
	s := &sideBySide{site: newSite(t, pgtest.Options{Major: 15}, "")}
	dir := pgtest.Scratch(t)
	s.gate = filepath.Join(dir, "go on")
	hook := filepath.Join(dir, "wait")
	script := fmt.Sprintf("#!/bin/sh\nwhile [ ! -e '%s' ]; do sleep 0.05; done\n", s.gate)
	if err := os.WriteFile(hook, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.open)
	s.configure(fmt.Sprintf(`
  backup {
    source "pgbasebackup" { checkpoint = "fast" }
    sink "posix" {}
  }
  wal {
    source "pgreceivewal" {
      slot            = "barman"
      create_slot     = "auto"
      status_interval = "100ms"
    }
    sink "posix" {}
  }
  hook "pre_backup" { script = %q }
  hook "pre_archive" { script = %q }
`, hook, hook))
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s.python = filepath.Join(dir, "barman.conf")
	content := fmt.Sprintf(`[barman]
barman_home = %s
barman_user = %s
log_file = %s
[main]
conninfo = %s dbname=postgres
streaming_conninfo = %s
backup_method = postgres
streaming_archiver = on
slot_name = barman
path_prefix = /usr/lib/postgresql/15/bin
pre_backup_script = %s
pre_archive_script = %s
`, s.home.Dir, self.Username, filepath.Join(dir, "barman.log"), s.ConninfoAs("barman"), s.ReplicationConninfo("streaming_barman"), hook, hook)
	if err := os.WriteFile(s.python, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// open lets the hooks end; close makes them wait again.
func (s *sideBySide) open() {
	if err := os.WriteFile(s.gate, nil, 0o600); err != nil {
		s.t.Error(err)
	}
}

func (s *sideBySide) close() {
	if err := os.Remove(s.gate); err != nil {
		s.t.Fatal(err)
	}
}

// debians is Debian's barman with the same home.
func (s *sideBySide) debians(args ...string) *exec.Cmd {
	s.t.Helper()
	return exec.CommandContext(s.t.Context(), debian(s.t, "barman"), append([]string{"-c", s.python}, args...)...)
}

// holds waits until a process has the lock of a task.
func (s *sideBySide) holds(b *background, task string) {
	s.t.Helper()
	want := fmt.Sprintf("%d %s\n", b.cmd.Process.Pid, task)
	eventually(s.t, "it holds the lock", func() bool {
		b.mustRun()
		return strings.Contains(s.home.Must("list-processes", "main"), want)
	})
}

// refused expects Debian's barman to leave a task to whoever is at it.
func (s *sideBySide) refused(says string, args ...string) {
	s.t.Helper()
	if r := pgtest.Run(s.t, s.debians(args...)); !strings.Contains(r.Stdout+r.Stderr, says) {
		s.t.Errorf("barman %s in Python: %+v", strings.Join(args, " "), r)
	}
}

// busy expects ours to leave a task to whoever is at it.
func (s *sideBySide) busy(args ...string) {
	s.t.Helper()
	if r := s.home.Run(args...); r.Code != 5 || !strings.Contains(r.Stderr, "holds the lock") {
		s.t.Errorf("barman %s: %+v", strings.Join(args, " "), r)
	}
}

func TestBothProgramsSideBySideExcludeEachOther(t *testing.T) {
	t.Parallel()
	s := newSideBySide(t)

	receiver := s.receive()
	s.holds(receiver, "receive-wal")
	s.wantSameServer()
	s.refused("Another receive-wal process is already running", "receive-wal", "main")
	s.allStreamed()
	s.SwitchWAL()
	s.open()
	eventually(t, "a segment is archived", func() bool { return strings.Contains(s.home.Must("archive-wal", "main"), "\t0000") })
	s.close()
	s.SwitchWAL()
	s.allStreamed()

	// Ours works first, and is ended.
	archiver := start(t, s.home.Command("archive-wal", "main"))
	s.holds(archiver, "archive-wal")
	s.refused("Another archive-wal process is already running", "archive-wal", "main")
	s.home.Must("terminate-process", "main", "archive-wal")
	archiver.end()
	backup := start(t, s.home.Command("backup", "main"))
	s.holds(backup, "backup")
	s.refused("Another backup process is running", "backup", "main")
	if out := s.home.Must("terminate-process", "main", "backup"); !strings.Contains(out, "Stopped process backup(") {
		t.Error(out)
	}
	if r := backup.end(); r.Code != 130 {
		t.Errorf("the backup that was ended: %+v", r)
	}
	s.wantStatuses("FAILED")

	// Then Debian's does.
	archiver = start(t, s.debians("archive-wal", "main"))
	s.holds(archiver, "archive-wal")
	s.busy("archive-wal", "main")
	s.home.Must("terminate-process", "main", "archive-wal")
	archiver.end()
	backup = start(t, s.debians("backup", "main"))
	s.holds(backup, "backup")
	s.busy("backup", "main")
	s.home.Must("terminate-process", "main", "backup")
	s.open() // for it goes on to archive WAL
	backup.end()

	// A run of cron is too short to meet one: somebody else has its lock.
	cron := start(t, exec.CommandContext(t.Context(), "flock", "-F", filepath.Join(s.home.Dir, ".main-cron.lock"), "sleep", "1h"))
	eventually(t, "the lock is held", func() bool {
		return strings.Contains(s.home.Must("cron"), "Skipping server 'main': another cron is at work")
	})
	s.refused("Another cron process is already running", "cron")
	cron.mustRun()
}

// wantSameServer compares what both programs show of the server.
func (s *sideBySide) wantSameServer() {
	s.t.Helper()
	read := func(text string) map[string]string {
		values := map[string]string{}
		for line := range strings.Lines(text) {
			if key, value, found := strings.Cut(strings.TrimSpace(line), ": "); found && strings.HasPrefix(line, "\t") {
				values[key] = value
			}
		}
		return values
	}
	ours := read(s.home.Must("show-server", "main"))
	theirs := read(pgtest.Run(s.t, s.debians("show-server", "main")).Stdout)
	for _, key := range []string{
		"active", "archiver", "backup_directory", "backup_method", "basebackups_directory", "barman_home", "check_timeout", "compression", "config_file",
		"connection_error", "conninfo", "current_xlog", "data_directory", "disabled", "has_backup_privileges", "incoming_wals_directory", "is_in_recovery",
		"is_superuser", "last_wal_maximum_age", "minimum_redundancy", "msg_list", "passive_node", "postgres_systemid", "retention_policy",
		"server_txt_version", "slot_name", "streaming", "streaming_archiver", "streaming_archiver_name", "streaming_systemid", "timeline", "wal_level", "wals_directory",
		"wal_retention_policy", "xlog_segment_size",
	} {
		mine, mineKnown := ours[key]
		other, otherKnown := theirs[key]
		if !mineKnown || !otherKnown || !strings.EqualFold(mine, other) {
			s.t.Errorf("show-server: %s is %q (%v), in Python %q (%v)", key, mine, mineKnown, other, otherKnown)
		}
	}
}
