package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/test/pgtest"
)

// The connection strings lead to a socket that nobody listens on, so that Python
// Barman, which connects to tell its configuration, fails at once.
func TestABarmanConfMeansWhatItMeansToPythonBarman(t *testing.T) {
	t.Parallel()
	site := newExampleSite(t)
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../examples/barman.conf")
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("barman_user = barman", "barman_user = "+self.Username, "host=pg.example.com", "host="+site.directory, "host=standby.example.com", "host="+site.directory)
	path := filepath.Join(site.directory, "barman.conf")
	if err := os.WriteFile(path, []byte(here.Replace(site.places.Replace(string(text)))), 0o600); err != nil {
		t.Fatal(err)
	}
	r := pgtest.Run(t, exec.CommandContext(t.Context(), debian(t, "barman"), "-c", path, "diagnose"))
	_, document, _ := strings.Cut(r.Stdout, "{")
	var python struct {
		Servers map[string]struct {
			Config map[string]any `json:"config"`
		} `json:"servers"`
	}
	if err := json.Unmarshal([]byte("{"+document), &python); err != nil {
		t.Fatalf("%v\n%+v", err, r)
	}
	loaded, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded.Servers) != len(python.Servers) {
		t.Fatalf("%d servers, not %d", len(loaded.Servers), len(python.Servers))
	}
	for _, s := range loaded.Servers {
		if s.Err() != nil {
			t.Errorf("server %s: %v", s.Name, s.Err())
		}
		want, got := map[string]string{}, options(s)
		for name := range got {
			value := python.Servers[s.Name].Config[name]
			if value == nil {
				value = ""
			}
			want[name] = fmt.Sprint(value)
		}
		// Python Barman writes the policy in a short form of its own.
		short := map[string]string{"RECOVERY WINDOW OF 2 WEEKS": "window 2 w", "REDUNDANCY 2": "redundancy 2 b"}
		got["retention_policy"] = short[got["retention_policy"]]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("server %s: %s", s.Name, diff)
		}
	}
}

// options are what holds for a server under the names of Python Barman's options.
func options(s *config.Server) map[string]string {
	slot, codec, script := "", "", ""
	if s.WAL.Source != nil {
		slot = s.WAL.Source.Text("slot")
	}
	for _, transform := range s.WAL.Transforms {
		codec = transform.Text("codec")
	}
	for _, hook := range s.Hooks {
		script = hook.Stage.Text("script")
	}
	age := ""
	if s.LastBackupMaximumAge > 0 {
		age = fmt.Sprintf("%d days", int(s.LastBackupMaximumAge.Hours())/24)
	}
	return map[string]string{
		"name": s.Name, "description": s.Description, "active": fmt.Sprint(s.Active), "disabled": fmt.Sprint(s.Err() != nil),
		"conninfo": s.Conninfo.Reveal(), "streaming_conninfo": s.StreamingConninfo.Reveal(),
		"backup_directory": s.Directories.Backup, "basebackups_directory": s.Directories.Basebackups, "wals_directory": s.Directories.WALs,
		"incoming_wals_directory": s.Directories.IncomingWALs, "streaming_wals_directory": s.Directories.StreamingWALs, "errors_directory": s.Directories.Errors,
		"check_timeout": fmt.Sprint(s.CheckTimeout.Seconds()), "last_backup_maximum_age": age,
		"archiver": fmt.Sprint(s.WAL.Archive), "streaming_archiver": fmt.Sprint(s.WAL.Source != nil), "slot_name": slot, "compression": codec,
		"immediate_checkpoint": fmt.Sprint(s.Backup.Source.Text("checkpoint") == "fast"), "parallel_jobs": fmt.Sprint(s.Backup.Jobs),
		"basebackup_retry_times": fmt.Sprint(s.Backup.RetryTimes), "basebackup_retry_sleep": fmt.Sprint(s.Backup.RetrySleep.Seconds()),
		"minimum_redundancy": fmt.Sprint(s.Retention.MinimumRedundancy), "retention_policy": s.Retention.Policy.String(),
		"post_backup_script": script,
	}
}
