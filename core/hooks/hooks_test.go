package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/core/version"
	"github.com/barman-go/barman/sdk"
)

func TestMain(m *testing.M) { os.Exit(plugintest.Main(m, "plugins/hook-script")) }

// site is a server with hooks that write down that they ran.
type site struct {
	*plugintest.Server
	t   *testing.T
	dir string
	log bytes.Buffer
}

func (s *site) ran() []string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, "ran"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return strings.Fields(string(content))
}

// newSite makes a hook block of each "event name exit-code".
func newSite(t *testing.T, hooks ...string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	var blocks strings.Builder
	for _, hook := range hooks {
		f := strings.Fields(hook)
		script := filepath.Join(s.dir, f[1])
		text := fmt.Sprintf("#!/bin/sh\necho %s >> %s/ran\nenv > %s.env\nexit %s\n", f[1], s.dir, script, f[2])
		if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&blocks, "  hook %q {\n    script = %q\n    retry = true\n  }\n", f[0], script)
	}
	s.Server = plugintest.NewServer(t, blocks.String(), &s.log)
	return s
}

func (s *site) hooks(operation string) *Hooks {
	h := Of(s.Server.Server, operation)
	s.t.Cleanup(h.Close)
	return h
}

var values = map[string]string{"BACKUP_ID": "20260101T000000"}

func TestOnlyTheHooksOfTheEventRunInTheirOrder(t *testing.T) {
	s := newSite(t, "pre_backup second 0", "post_backup after 0", "pre_recovery recovery 0", "pre_backup first 0")
	if err := s.hooks(Backup).Before(t.Context(), values); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"second", "first"}, s.ran()); diff != "" {
		t.Error(diff)
	}
	s.hooks(Delete).After(t.Context(), values, nil)
	if got := s.ran(); len(got) != 2 || s.hooks(Delete).Configured() || !s.hooks(Recovery).Configured() {
		t.Errorf("%q", got)
	}
}

func TestTheFirstPreHookThatObjectsVetoes(t *testing.T) {
	s := newSite(t, "pre_backup fine 0", "pre_backup objects 63", "pre_backup never 0")
	err := s.hooks(Backup).Before(t.Context(), values)
	for _, part := range []string{"pre_backup", `hook "script"`, "objects", "63"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("does not mention %q: %v", part, err)
		}
	}
	if diff := cmp.Diff([]string{"fine", "objects"}, s.ran()); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsOfPostHooksAreLogged(t *testing.T) {
	s := newSite(t, "post_backup fails 63", "post_backup next 0")
	s.hooks(Backup).After(t.Context(), values, nil)
	if diff := cmp.Diff([]string{"fails", "next"}, s.ran()); diff != "" {
		t.Error(diff)
	}
	for _, part := range []string{"WARN", "post_backup", "fails"} {
		if !strings.Contains(s.log.String(), part) {
			t.Errorf("the log does not mention %q:\n%s", part, s.log.String())
		}
	}
}

func TestAHookIsToldOfTheEvent(t *testing.T) {
	s := newSite(t, "post_backup tells 0")
	s.hooks(Backup).After(t.Context(), values, errors.New("no space left"))
	content, err := os.ReadFile(filepath.Join(s.dir, "tells.env"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"BARMAN_BACKUP_ID=20260101T000000", "BARMAN_SERVER=main", "BARMAN_PHASE=post", "BARMAN_ERROR=no space left",
		"BARMAN_VERSION=" + version.Version, "BARMAN_CONFIGURATION=" + s.Config,
	} {
		if !strings.Contains("\n"+string(content), "\n"+line+"\n") {
			t.Errorf("%s is not in the environment:\n%s", line, content)
		}
	}
	if len(values) != 1 {
		t.Error("the caller's values were changed")
	}
}

func TestAHookThatDoesNotStartVetoesToo(t *testing.T) {
	s := &site{t: t, dir: t.TempDir()}
	s.Server = plugintest.NewServer(t, "  hook \"pre_backup\" {\n    plugin = \"none\"\n  }\n  hook \"post_backup\" {\n    plugin = \"none\"\n  }", &s.log)
	err := s.hooks(Backup).Before(t.Context(), values)
	if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), s.Config) {
		t.Errorf("%v", err)
	}
	s.hooks(Backup).After(t.Context(), values, nil)
	if !strings.Contains(s.log.String(), "post_backup") {
		t.Errorf("the log does not say that the hook failed:\n%s", s.log.String())
	}
}

func TestAHookEndsWithTheOperation(t *testing.T) {
	s := newSite(t, "pre_backup fine 0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.hooks(Backup).Before(ctx, values); sdk.KindOf(err) != sdk.Cancelled {
		t.Errorf("%v", err)
	}
	if got := s.ran(); len(got) > 0 {
		t.Errorf("ran: %q", got)
	}
}

func TestAHookLearnsHowACancelledOperationEnded(t *testing.T) {
	s := newSite(t, "post_backup tells 0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.hooks(Backup).After(ctx, values, errors.New("interrupted"))
	if diff := cmp.Diff([]string{"tells"}, s.ran()); diff != "" {
		t.Error(diff)
	}
}

func TestAPluginIsStartedOnceForManyEvents(t *testing.T) {
	s := newSite(t, "pre_archive fine 0", "post_archive after 0")
	h := s.hooks(Archive)
	for range 5 {
		if err := h.Before(t.Context(), values); err != nil {
			t.Fatal(err)
		}
		h.After(t.Context(), values, nil)
	}
	if got := s.ran(); len(got) != 10 {
		t.Errorf("ran: %q", got)
	}
	// One for each block.
	if started := s.Engine.PIDs(`hook "script"`); len(started) != 2 {
		t.Errorf("%d processes were started", len(started))
	}
}

func TestAPluginThatDiedIsStartedAgainForTheNextEvent(t *testing.T) {
	s := newSite(t, "pre_archive fine 0")
	h := s.hooks(Archive)
	if err := h.Before(t.Context(), values); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.Engine.PIDs(`hook "script"`)[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := h.Before(t.Context(), values); err == nil {
		t.Error("nobody was told that the plugin is dead")
	}
	if err := h.Before(t.Context(), values); err != nil {
		t.Error(err)
	}
}
