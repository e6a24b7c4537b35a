package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
	"github.com/barman-go/barman/test/storetest"
)

// setUp is an example at work: a real server in the place of pg.example.com, a
// barman in that of backup.example.com, and barman cron.
type setUp struct {
	*site
	barman elsewhere
}

// newSetUp starts a server, with the archive_command that the example tells to
// set.
func newSetUp(t *testing.T, example string) setUp {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../examples", example))
	if err != nil {
		t.Fatal(err)
	}
	s := setUp{site: &site{home: pgtest.NewHome(t, ""), t: t}, barman: newElsewhere(t)}
	config := map[string]string{}
	if command := regexp.MustCompile(`(?m)^#\s+archive_command = '(barman-wal-archive .*)'$`).FindSubmatch(text); command != nil {
		there := "barman-wal-archive -U " + s.barman.User + " -c " + s.home.Config
		config["archive_mode"] = "on"
		config["archive_command"] = "PATH=" + s.barman.Client + ":" + pgtest.BarmanBin(t) + ":/usr/bin:/bin " + strings.Replace(string(command[1]), "barman-wal-archive", there, 1)
	}
	s.Cluster = pgtest.Start(t, pgtest.Options{Major: 17, Config: config})
	s.BarmanRoles()
	text = inBuckets(t, text)
	here := strings.NewReplacer("/var/lib/barman", s.home.Dir, "host=pg.example.com", "host=127.0.0.1 port="+strconv.Itoa(s.Port),
		"ssh -q postgres@pg.example.com", filepath.Join(s.barman.Client, "ssh")+" -q "+s.barman.User+"@pg.example.com")
	if err := os.WriteFile(s.home.Config, []byte(here.Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// inBuckets puts the buckets of the test into an example's configuration, in the
// place of those that it names.
func inBuckets(t *testing.T, example []byte) []byte {
	t.Helper()
	text := string(example)
	if place := `"s3://backups/postgres"`; strings.Contains(text, place) {
		b := storetest.NewS3(t)
		text = strings.ReplaceAll(text, place, fmt.Sprintf("%q\nendpoint = %q\naccess_key_id = %q\nsecret_access_key = %q",
			b.URL+"/postgres", b.Endpoint, b.Var("AWS_ACCESS_KEY_ID"), b.Var("AWS_SECRET_ACCESS_KEY")))
	}
	if place := `"https://example.blob.core.windows.net/backups/postgres"`; strings.Contains(text, place) {
		b := storetest.NewAzure(t)
		text = strings.ReplaceAll(text, place, fmt.Sprintf("%q\nconnection_string = %q", b.URL+"/postgres", b.Var("AZURE_STORAGE_CONNECTION_STRING")))
	}
	if place := `"gs://backups/postgres"`; strings.Contains(text, place) {
		b := storetest.NewGCS(t)
		// The one way to a store that asks for no credentials; all buckets of the process are there.
		if err := os.Setenv("STORAGE_EMULATOR_HOST", b.Var("STORAGE_EMULATOR_HOST")); err != nil {
			t.Fatal(err)
		}
		text = strings.ReplaceAll(text, place, strconv.Quote(b.URL+"/postgres"))
	}
	return []byte(text)
}

// cron runs barman cron, as a timer does, and more often. Stopping it stops what
// it has started.
func (s *site) cron() (stop func()) {
	s.t.Helper()
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			out, err := s.home.Command("-q", "cron").CombinedOutput()
			if err != nil && s.t.Context().Err() == nil {
				s.t.Errorf("barman cron: %v\n%s", err, out)
			}
			select {
			case <-stopping:
				return
			case <-time.After(time.Second):
			}
		}
	}()
	halt := func() {
		select {
		case <-stopping:
			return
		default:
		}
		close(stopping)
		<-stopped
		// Nothing is left that would start another one.
		for _, task := range []string{"receive-wal", "archive-wal"} {
			if pid := s.holder(task); pid != 0 {
				_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended
				eventually(s.t, task+" ends", func() bool { return s.holder(task) != pid })
			}
		}
	}
	s.t.Cleanup(halt)
	return halt
}

// holder is the process that does a task in the background; 0 if nobody does.
func (s *site) holder(task string) int {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.home.Dir, ".main-"+task+".lock"))
	if os.IsNotExist(err) {
		return 0
	}
	if err != nil {
		s.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0 // it is being written
	}
	command, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || !strings.Contains(string(command), s.home.Config+"\x00-q\x00"+task+"\x00") {
		return 0 // it has ended
	}
	return pid
}

// waitStreaming waits until a receiver of barman's streams.
func (s *site) waitStreaming() {
	s.t.Helper()
	s.Wait("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = 'barman_receive_wal' AND state = 'streaming')")
}

// delivered waits until all WAL up to now was delivered.
func (s *site) delivered() {
	s.t.Helper()
	s.Wait("SELECT coalesce(last_archived_wal >= $1, false) FROM pg_stat_archiver", s.SwitchWAL())
}

func TestTheSetUpsOfTheExamplesLoseAServerAndRecoverItToTheLastRow(t *testing.T) {
	for example, safe := range map[string]func(s *site, lsn string){
		"streaming.hcl":       func(s *site, lsn string) { s.streamed(lsn) },
		"both-channels.hcl":   func(s *site, lsn string) { s.streamed(lsn) },
		"archive-command.hcl": func(s *site, _ string) { s.delivered() },
		"rsync-ssh.hcl":       func(s *site, _ string) { s.delivered() },
		"local-rsync.hcl":     func(s *site, lsn string) { s.streamed(lsn) },
		"s3.hcl":              func(s *site, lsn string) { s.streamed(lsn) },
		"azure.hcl":           func(s *site, lsn string) { s.streamed(lsn) },
		"gcs.hcl":             func(s *site, lsn string) { s.streamed(lsn) },
		"several-sinks.hcl":   func(s *site, lsn string) { s.streamed(lsn) },
	} {
		t.Run(example, func(t *testing.T) {
			t.Parallel()
			s := newSetUp(t, example)
			stop := s.cron()
			streams := !strings.Contains(example, "archive-command") && !strings.Contains(example, "ssh")
			if streams {
				s.waitStreaming()
			}
			w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
			id := s.backup()
			w.WaitRows(20)
			s.SwitchWAL()
			if streams {
				// A receiver that was killed is replaced.
				first := 0
				eventually(t, "a receiver runs", func() bool { first = s.holder("receive-wal"); return first != 0 })
				kill(t, first, syscall.SIGKILL)
				eventually(t, "another receiver runs", func() bool { pid := s.holder("receive-wal"); return pid != 0 && pid != first })
			}
			w.WaitRows(20)
			last := w.Stop()
			safe(s.site, last.LSN)
			s.Kill9()
			stop()
			c := pgtest.StartExisting(t, s.Major, s.restore(id), nil)
			c.WaitRecovered()
			last.Check(t, c)
			if left, err := os.ReadDir(s.path("errors")); err != nil || len(left) > 0 {
				t.Errorf("in the errors directory: %v, %v", left, err)
			}
		})
	}
}

func TestCronReturnsWhileWhatItStartedGoesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17}, "")
	scratch := pgtest.Scratch(t)
	begun, goOn := filepath.Join(scratch, "begun"), filepath.Join(scratch, "go-on")
	script := filepath.Join(scratch, "slow")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ntouch "+begun+"\nwhile [ ! -e "+goOn+" ]; do sleep 0.05; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.configure(zstdTar + receiveLZ4 + "  hook \"pre_archive\" {\n    script = \"" + script + "\"\n  }\n")
	stop := s.cron()
	s.waitStreaming()
	name := s.SwitchWAL()
	eventually(t, "archiving has begun", func() bool { return exists(begun) })

	archiver, receiver := s.holder("archive-wal"), s.holder("receive-wal")
	out := s.home.Must("cron") // it comes back while the archiver waits
	if archiver == 0 || receiver == 0 || s.holder("archive-wal") != archiver || s.holder("receive-wal") != receiver {
		t.Errorf("the archiver was process %d and is %d, the receiver %d and %d", archiver, s.holder("archive-wal"), receiver, s.holder("receive-wal"))
	}
	if strings.Contains(out, "Starting") {
		t.Errorf("what runs was started again:\n%s", out)
	}
	if err := os.WriteFile(goOn, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the segment is archived", func() bool { found, _ := filepath.Glob(s.path("wals", name[:16], name+"*")); return len(found) == 1 })

	// Other settings need another receiver.
	s.reconfigure(`"barman"`, `"another"`)
	eventually(t, "the receiver of the old settings is replaced", func() bool { pid := s.holder("receive-wal"); return pid != 0 && pid != receiver })
	s.Wait("SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'another' AND active)")
	stop()
}

// reconfigure changes the configuration under a cron that reads it all the time.
func (s *site) reconfigure(before, after string) {
	s.t.Helper()
	text, err := os.ReadFile(s.home.Config)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.home.Config+".new", []byte(strings.Replace(string(text), before, after, 1)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(s.home.Config+".new", s.home.Config); err != nil {
		s.t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestAReceiverThatCannotWorkSaysWhyEveryTimeItIsStarted(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, zstdTar+strings.Replace(receiveLZ4, `"auto"`, `"manual"`, 1))
	s.home.Must("cron")
	for range 2 {
		var said string
		eventually(t, "cron says what the receiver has ended with", func() bool {
			r := s.home.Run("-q", "cron")
			if r.Code != 0 || r.Stdout != "" {
				t.Fatalf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
			said = r.Stderr
			return said != ""
		})
		for _, want := range []string{"main", "receive-wal", `"barman"`, "--create-slot"} {
			if !strings.Contains(said, want) {
				t.Errorf("it does not say %q:\n%s", want, said)
			}
		}
	}
	eventually(t, "with --keep-descriptors it says so itself", func() bool {
		r := s.home.Run("-q", "cron", "--keep-descriptors")
		return strings.Contains(r.Stderr, "--create-slot") && !strings.Contains(r.Stderr, "an earlier cron")
	})
	eventually(t, "what cron has started has ended", func() bool { return s.holder("receive-wal") == 0 && s.holder("archive-wal") == 0 })
}

func TestTheCommandsOfTheUnitsExist(t *testing.T) {
	t.Parallel()
	units, err := filepath.Glob("../examples/systemd/*")
	if err != nil || len(units) != 3 {
		t.Fatalf("%q, %v", units, err)
	}
	commands := 0
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			if line != "" && !regexp.MustCompile(`^(#.*|\[(Unit|Service|Timer|Install)\]|[A-Z][A-Za-z]+=\S.*)$`).MatchString(line) {
				t.Errorf("%s: %q is neither a section nor a setting", unit, line)
			}
			command, found := strings.CutPrefix(line, "ExecStart=/usr/local/bin/barman ")
			if !found {
				if strings.HasPrefix(line, "Exec") {
					t.Errorf("%s: %s does not run barman", unit, line)
				}
				continue
			}
			commands++
			args := append(strings.Fields(strings.ReplaceAll(command, "%i", "main")), "--help")
			r := pgtest.Run(t, exec.CommandContext(t.Context(), filepath.Join(pgtest.BarmanBin(t), "barman"), args...))
			if r.Code != 0 || !strings.Contains(r.Stdout, "barman "+args[1]) {
				t.Errorf("%s: barman %s: exit code %d\n%s%s", unit, strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
			}
		}
	}
	if commands != 2 {
		t.Errorf("%d commands", commands)
	}
}
