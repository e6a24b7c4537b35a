package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
)

// listeners are hook scripts for every event of a catalogue, which write down
// what they see.
type listeners struct {
	catalogue
	out   string
	names *[]string // what differs from one run to the next, and what it is called instead
}

func newListeners(t *testing.T, c catalogue) listeners {
	t.Helper()
	l := listeners{out: filepath.Join(filepath.Dir(c.home), "heard"), names: &[]string{filepath.Dir(c.home), "HOME"}}
	mkdir(t, l.out, 0o755)
	mkdir(t, c.path("base"), 0o755)
	script := filepath.Join(filepath.Dir(c.home), "listen")
	content := fmt.Sprintf("#!/bin/sh\nenv | grep ^BARMAN_ | sort > %[1]s/$(ls %[1]s | wc -l | xargs printf %%04d)\n", l.out)
	if err := os.WriteFile(script, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	var options []string
	for _, operation := range []string{"backup", "archive", "wal_delete", "delete", "recovery"} {
		for _, phase := range []string{"pre_", "post_"} {
			options = append(options, phase+operation+"_script", script, phase+operation+"_retry_script", script)
		}
	}
	l.catalogue = c.with(options...)
	return l
}

var segmentName = regexp.MustCompile(`[0-9A-F]{24}`)

// heard are the events since the last call, each with its variables but for
// those that name the program. What differs from one run to the next has got a
// name: the home, segments, and backups by their order.
func (l listeners) heard() []string {
	l.t.Helper()
	for _, id := range l.ids() {
		if !slices.Contains(*l.names, id) {
			*l.names = append(*l.names, id, fmt.Sprintf("BACKUP%d", len(*l.names)/2))
		}
	}
	var events []string
	for _, file := range glob(l.t, filepath.Join(l.out, "*")) {
		content, err := os.ReadFile(file)
		if err != nil {
			l.t.Fatal(err)
		}
		if err := os.Remove(file); err != nil {
			l.t.Fatal(err)
		}
		var variables []string
		for line := range strings.Lines(segmentName.ReplaceAllString(strings.NewReplacer(*l.names...).Replace(string(content)), "SEGMENT")) {
			name, _, _ := strings.Cut(line, "=")
			if slices.Contains([]string{"BARMAN_VERSION", "BARMAN_CONFIGURATION", "BARMAN_BACKUP_INFO_PATH", "BARMAN_TIMESTAMP"}, name) {
				continue
			}
			variables = append(variables, line)
		}
		events = append(events, strings.Join(variables, ""))
	}
	return events
}

// of keeps the events of some operations. Backup history files, which PostgreSQL
// delivers after the last segment of a backup or somewhat later, are left out.
func of(events []string, operations ...string) []string {
	return slices.DeleteFunc(slices.Clone(events), func(event string) bool {
		return strings.Contains(event, "SEGMENT.") || !slices.ContainsFunc(operations, func(o string) bool {
			return strings.Contains(event, "BARMAN_HOOK="+o+"_script\n") || strings.Contains(event, "BARMAN_HOOK="+o+"_retry_script\n")
		})
	})
}

// Hook scripts cannot tell whether Barman in Python calls them or ours: the same
// ones run in the same order, and see the same variables.
func TestHookScriptsSeeWhatBarmanInPythonShowsThem(t *testing.T) {
	t.Parallel()
	scratch := pgtest.Scratch(t)
	delivered := filepath.Join(scratch, "delivered")
	mkdir(t, delivered, 0o777)
	c := pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1, Tablespaces: []string{"side"}, Config: map[string]string{
		"archive_mode": "on", "archive_command": fmt.Sprintf("cp -p %%p %[1]s/.%%f && mv %[1]s/.%%f $(cat %[1]s/.to)/%%f", delivered),
	}})
	c.BarmanRoles()
	var heard [2]map[string][]string
	for i, by := range []program{catalogue.debians, catalogue.ours} {
		l := newListeners(t, newCatalogue(t, scratch).of(c))
		if err := os.WriteFile(filepath.Join(delivered, ".to"), []byte(l.path("incoming")), 0o644); err != nil {
			t.Fatal(err)
		}
		told := map[string][]string{}
		closed := l.path("incoming", c.SwitchWAL())
		eventually(t, "all segments are delivered", func() bool { return len(glob(t, closed)) > 0 })
		l.must(by, "archive-wal", "main")
		told["archive"] = of(l.heard(), "archive")
		for _, n := range []string{"first", "second"} {
			l.must(by, "backup", "main", "--wait")
			told[n+" backup"] = eventsOfOneSegment(of(l.heard(), "backup", "archive"))
		}
		destination := filepath.Join(filepath.Dir(l.home), "restored")
		l.must(by, "recover", "main", "latest", destination, "--tablespace", "side:"+destination+"-side", "--target-immediate", "--target-action", "promote")
		told["recovery"] = l.heard()
		l.must(by, "delete", "main", "oldest")
		all := l.heard()
		told["delete"] = of(all, "delete")
		told["wal_delete"] = eventsOfOneSegment(of(all, "wal_delete"))
		vetoed := l.with("pre_backup_retry_script", "exit 63")
		if r := by(vetoed, "backup", "main"); r.Code == 0 {
			t.Errorf("a vetoed backup: %+v", r)
		}
		told["vetoed backup"] = of(l.heard(), "backup")
		heard[i] = told
	}
	for operation, theirs := range heard[0] {
		if len(theirs) == 0 {
			t.Errorf("%s: Barman in Python told nothing", operation)
		}
		ours := heard[1][operation]
		if operation == "vetoed backup" {
			// The same in other words.
			theirs, ours = withoutReason(theirs), withoutReason(ours)
		}
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Errorf("%s (- Python's, + ours):\n%s", operation, diff)
		}
	}
}

// eventsOfOneSegment are the last events of each kind. How many segments a backup
// closes depends on what PostgreSQL had written before it began. Barman in Python
// deletes file by file; ours tells the hooks of all of them before it deletes any.
func eventsOfOneSegment(events []string) []string {
	var order []string
	last := map[string]string{}
	for _, event := range events {
		hook := regexp.MustCompile(`(?s)BARMAN_HOOK=.*BARMAN_PHASE=[a-z]*`).FindString(event)
		if last[hook] == "" {
			order = append(order, hook)
		}
		last[hook] = event
	}
	for i, hook := range order {
		order[i] = last[hook]
	}
	return order
}

var reason = regexp.MustCompile(`BARMAN_ERROR=(failure [a-z ]+) \(.*\)`)

func withoutReason(events []string) []string {
	var all []string
	for _, event := range events {
		all = append(all, reason.ReplaceAllString(event, "BARMAN_ERROR=$1"))
	}
	return all
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
