package reconfigure

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/sdk"
)

// site is a barman.conf with a server.
type site struct {
	t          *testing.T
	home, conf string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, home: t.TempDir()}
	s.conf = s.write("barman.conf", "[barman]\nbarman_home = "+s.home+"\nbarman_user =\n"+
		"[main]\nconninfo = host=pg\nbackup_method = postgres\narchiver = on\n; a comment\ndescription = old\n", 0o640)
	return s
}

func (s *site) write(name, text string, mode os.FileMode) string {
	s.t.Helper()
	path := filepath.Join(s.home, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *site) read(name string) string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.home, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(content)
}

func (s *site) load() (*config.Config, error) { return config.Load(s.conf) }

func (s *site) loaded() *config.Config {
	s.t.Helper()
	c, err := s.load()
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func request(settings map[string]string) []byte {
	object := map[string]string{"scope": "server", "server_name": "main"}
	for key, value := range settings {
		object[key] = value
	}
	raw, err := json.Marshal([]map[string]string{object})
	if err != nil {
		panic(err)
	}
	return raw
}

func TestAChangedFileKeepsEverythingElse(t *testing.T) {
	s := newSite(t)
	link := filepath.Join(s.home, "link.conf")
	if err := os.Symlink(s.conf, link); err != nil {
		t.Fatal(err)
	}
	load := func() (*config.Config, error) { return config.Load(link) }
	if _, err := Update(t.Context(), load, request(map[string]string{"description": "new 100%%"})); err != nil {
		t.Fatal(err)
	}
	if c, err := load(); err != nil || c.Servers[0].Description != "new 100%" {
		t.Errorf("%v, %v", c, err)
	}
	if !strings.Contains(s.read("barman.conf"), "; a comment\ndescription = new 100%%\n") {
		t.Errorf("the file is\n%s", s.read("barman.conf"))
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link has been replaced")
	}
	if info, err := os.Stat(s.conf); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode is %v", info.Mode())
	}
}

func TestWhatWasAcceptedIsCarriedOutAfterACrash(t *testing.T) {
	// Every state that a killed update leaves: the queue written, and none, some or all
	// of the files changed.
	changes := func(s *site) []config.Change {
		return []config.Change{{Section: "main", Settings: []config.Setting{
			{Key: "description", Value: "new", File: s.conf},
			{Key: "minimum_redundancy", Value: "3", File: filepath.Join(s.home, ".barman.auto.conf")},
		}}}
	}
	for name, done := range map[string]int{"nothing": 0, "one file": 1, "both files": 2} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			if err := write(s.loaded().Global.ConfigChangesQueue, changes(s)); err != nil {
				t.Fatal(err)
			}
			edited, err := s.loaded().Edit(changes(s))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{s.conf, filepath.Join(s.home, ".barman.auto.conf")}[:done] {
				if err := replace(path, edited[path]); err != nil {
					t.Fatal(err)
				}
			}
			applied, err := Pending(t.Context(), s.loaded())
			if err != nil || len(applied) != 1 {
				t.Fatal(applied, err)
			}
			main := s.loaded().Servers[0]
			if main.Description != "new" || main.Retention.MinimumRedundancy != 3 {
				t.Errorf("%q, %d", main.Description, main.Retention.MinimumRedundancy)
			}
			if again, err := Pending(t.Context(), s.loaded()); err != nil || again != nil {
				t.Errorf("carried out again: %v, %v", again, err)
			}
		})
	}
}

func TestUpdatesAtOnceAreAllCarriedOut(t *testing.T) {
	s := newSite(t)
	settings := []map[string]string{
		{"description": "new"}, {"minimum_redundancy": "3"}, {"check_timeout": "60"}, {"parallel_jobs": "2"}, {"retention_policy": "REDUNDANCY 4"},
	}
	errs := make([]error, len(settings))
	var all sync.WaitGroup
	for i := range settings {
		all.Go(func() { _, errs[i] = Update(t.Context(), s.load, request(settings[i])) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	main := s.loaded().Servers[0]
	got := fmt.Sprint(main.Description, main.Retention.MinimumRedundancy, main.CheckTimeout, main.Backup.Jobs, main.Retention.Policy)
	if diff := cmp.Diff("new3 1m0s 2 REDUNDANCY 4", got); diff != "" {
		t.Error(diff)
	}
}

func TestAnUpdateThatCannotBeWrittenWaits(t *testing.T) {
	s := newSite(t)
	if err := write(s.loaded().Global.ConfigChangesQueue, []config.Change{{Section: "main", Settings: []config.Setting{
		{Key: "description", Value: "evil", File: "/etc/passwd"},
	}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := Pending(t.Context(), s.loaded()); sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "/etc/passwd is no file of the configuration") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(s.read("cfg_changes.queue"), "evil") {
		t.Error("the change is lost")
	}
	s.write("cfg_changes.queue", `[{"section": "ma`, 0o600)
	if _, err := Update(t.Context(), s.load, request(map[string]string{"description": "new"})); sdk.KindOf(err) != sdk.Corrupt {
		t.Errorf("a torn queue: %v", err)
	}
	if s.loaded().Servers[0].Description != "old" {
		t.Error("a change has overtaken those before it")
	}
}

func TestOnlyOneChangesTheConfigurationAtATime(t *testing.T) {
	s := newSite(t)
	c := s.loaded()
	if err := write(c.Global.ConfigChangesQueue, []config.Change{{Section: "main", Settings: []config.Setting{{Key: "description", Value: "new", File: s.conf}}}}); err != nil {
		t.Fatal(err)
	}
	lock, err := catalogue.LockUpdates(t.Context(), c.Global.LockDirectory)
	if err != nil {
		t.Fatal(err)
	}
	if applied, err := Pending(t.Context(), c); err != nil || applied != nil {
		t.Errorf("%v, %v", applied, err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if applied, err := Pending(t.Context(), c); err != nil || len(applied) != 1 {
		t.Errorf("%v, %v", applied, err)
	}
}
