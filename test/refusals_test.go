package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// Exit codes of barman.
const exitCorrupt = 6

func TestARecoveryThatCannotSucceedIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15, Tablespaces: []string{"side"}}, zstdTar+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "side"})
	s.receive()
	early := w.Moment("")
	first := s.backup()
	between := w.Moment("")
	w.WaitRows(10)
	second := s.backup("--name", "the second")
	after := w.Moment("")
	tooLong := strings.Repeat("x", 64)

	for _, refused := range []struct {
		name    string
		backup  string
		options []string
		code    int
		says    []string
	}{
		{"time before the end of the backup", second, []string{"--target-time", between.Time}, exitInvalid, []string{second, "the nearest usable backup is " + first}},
		{"lsn before the end of the backup", second, []string{"--target-lsn", between.LSN}, exitInvalid, []string{second, "the nearest usable backup is " + first}},
		{"time before every backup", "latest", []string{"--target-time", early.Time}, exitInvalid, []string{second, "no backup of this server ends before it"}},
		{"unknown backup", "20010101T010101", nil, exitFailed, []string{"20010101T010101"}},
		{"a name that leads elsewhere", "../../" + first, nil, exitFailed, []string{"../../" + first}},
		{"two targets", "latest", []string{"--target-time", after.Time, "--target-xid", after.XID}, exitInvalid, []string{"target"}},
		{"action without a target", "latest", []string{"--target-action", "promote"}, exitInvalid, []string{"target"}},
		{"unknown action", "latest", []string{"--target-immediate", "--target-action", "explode"}, exitInvalid, []string{"promote"}},
		{"no moment", "latest", []string{"--target-time", "yesterday"}, exitInvalid, []string{"yesterday"}},
		{"no xid", "latest", []string{"--target-xid", "1; DROP"}, exitInvalid, []string{"1; DROP"}},
		{"no lsn", "latest", []string{"--target-lsn", "0-1"}, exitInvalid, []string{"0-1"}},
		{"no timeline", "latest", []string{"--target-tli", "0"}, exitInvalid, []string{"timeline"}},
		{"name that PostgreSQL does not allow", "latest", []string{"--target-name", tooLong}, exitInvalid, []string{"63"}},
		{"exclusive without a target", "latest", []string{"--exclusive"}, exitInvalid, []string{"exclusive"}},
		{"unknown tablespace", "latest", []string{"--tablespace", "nowhere:/nowhere"}, exitInvalid, []string{"nowhere"}},
		{"relative tablespace", "latest", []string{"--tablespace", "side:here"}, exitInvalid, []string{"absolute"}},
	} {
		t.Run(refused.name, func(t *testing.T) {
			s := s.in(t)
			directory, options := s.destination()
			if !strings.Contains(refused.name, "tablespace") {
				refused.options = append(refused.options, options...)
			}
			r := s.home.Run(append([]string{"recover", "main", refused.backup, directory}, refused.options...)...)
			if r.Code != refused.code {
				t.Errorf("exit code %d, want %d\n%s", r.Code, refused.code, r.Stderr)
			}
			for _, text := range refused.says {
				if !strings.Contains(r.Stderr, text) {
					t.Errorf("it does not say %q: %s", text, r.Stderr)
				}
			}
			if _, err := os.Stat(directory); !os.IsNotExist(err) {
				t.Errorf("it left a destination: %v", err)
			}
		})
	}
	t.Run("tablespace in use", func(t *testing.T) {
		s := s.in(t)
		directory, _ := s.destination()
		r := s.home.Run("recover", "main", "latest", directory)
		if r.Code != exitFailed || !strings.Contains(r.Stderr, s.Tablespaces["side"]) {
			t.Errorf("exit code %d: %s", r.Code, r.Stderr)
		}
		s.refusesToStart(directory)
	})
	t.Run("directory that holds something", func(t *testing.T) {
		s := s.in(t)
		directory, options := s.destination()
		precious := filepath.Join(directory, "precious")
		if err := os.Mkdir(directory, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(precious, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := s.home.Run(append([]string{"recover", "main", "latest", directory}, options...)...)
		if r.Code != exitFailed || !strings.Contains(r.Stderr, "not empty") {
			t.Errorf("exit code %d: %s", r.Code, r.Stderr)
		}
		if got, err := os.ReadFile(precious); string(got) != "mine" || err != nil {
			t.Errorf("the file that was there holds %q now: %v", got, err)
		}
		if entries, err := os.ReadDir(directory); len(entries) != 1 || err != nil {
			t.Errorf("the directory holds %v now: %v", entries, err)
		}
	})
	t.Run("running cluster", func(t *testing.T) {
		s := s.in(t)
		_, options := s.destination()
		r := s.home.Run(append([]string{"recover", "main", "latest", s.DataDir}, options...)...)
		if r.Code != exitFailed || !strings.Contains(r.Stderr, "running") {
			t.Errorf("exit code %d: %s", r.Code, r.Stderr)
		}
		w.WaitRows(10) // it is still well
	})
	t.Run("failed backup", func(t *testing.T) {
		s := s.in(t)
		id := "20300101T000000"
		if err := os.MkdirAll(s.path("base", id), 0o700); err != nil {
			t.Fatal(err)
		}
		info, err := os.ReadFile(s.path("base", second, "backup.info"))
		if err != nil {
			t.Fatal(err)
		}
		half := strings.Replace(string(info), "status=DONE", "status=STARTED", 1)
		if err := os.WriteFile(s.path("base", id, "backup.info"), []byte(half), 0o600); err != nil {
			t.Fatal(err)
		}
		directory, options := s.destination()
		r := s.home.Run(append([]string{"recover", "main", id, directory}, options...)...)
		if r.Code != exitInvalid || !strings.Contains(r.Stderr, "FAILED") {
			t.Errorf("exit code %d: %s", r.Code, r.Stderr)
		}
		s.home.Must(append([]string{"recover", "main", "latest", directory}, options...)...)
	})
	t.Run("damaged backup.info", func(t *testing.T) {
		s := s.in(t)
		path := s.path("base", second, "backup.info")
		info, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, damaged := range map[string]string{
			"empty": "", "binary": "\x00\xff\x00", "half": string(info[:len(info)/2]), "other words": "status=EXCELLENT\n",
			"impossible": strings.Replace(string(info), "begin_wal=", "begin_wal=../../", 1),
		} {
			if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			directory, options := s.destination()
			r := s.home.Run(append([]string{"recover", "main", second, directory}, options...)...)
			if r.Code != exitCorrupt || !strings.Contains(r.Stderr, path) {
				t.Errorf("%s: exit code %d, want %d: %s", name, r.Code, exitCorrupt, r.Stderr)
			}
			// The other backups are none the worse.
			list := s.home.Run("list-backups", "main")
			if !strings.Contains(list.Stdout, first) {
				t.Errorf("%s: the other backup is not listed (exit code %d): %s%s", name, list.Code, list.Stdout, list.Stderr)
			}
			s.home.Must(append([]string{"recover", "main", first, directory}, options...)...)
		}
		if err := os.WriteFile(path, info, 0o600); err != nil {
			t.Fatal(err)
		}
	})
}
