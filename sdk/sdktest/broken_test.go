package sdktest

import (
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
)

// A suite that cannot fail proves nothing: every plugin in testdata/broken is
// broken in one way, and exactly the checks that this way concerns fail. Of the
// others a sample is run.
func TestEveryBrokenPluginFailsExactlyTheChecksThatConcernIt(t *testing.T) {
	quick := []Option{LargestObject(8 << 20), SmallObjects(200), Deadline(2 * time.Second)}
	// What keeps objects in memory needs some that are larger than that.
	large := []Option{LargestObject(300 << 20), SmallObjects(200), Deadline(2 * time.Second)}

	broken := map[string]struct {
		options []Option
		fails   []string
		may     []string // fail if its process ends at a bad moment
	}{
		"sink-acknowledges-early": {
			fails: []string{"acknowledgement", "delete", "emitter vanishes", "memory", "nothing half visible", "sudden death"},
			may:   []string{"cancellation", "emitter fails", "no overwriting", "replacing"},
		},
		"sink-drops-bytes":               {fails: []string{"exact bytes", "exact bytes without a ring", "unknown size", "acknowledgement", "no overwriting", "replacing", "nothing half visible", "lanes at once", "large object", "memory", "emitter fails", "sudden death", "leaks"}},
		"sink-ignores-cancellation":      {fails: []string{"cancellation", "leaks"}},
		"sink-swallows-errors":           {fails: []string{"announced size", "replacing", "cancellation", "emitter fails", "emitter vanishes"}},
		"sink-leaks":                     {fails: []string{"leaks"}},
		"sink-unsorted":                  {fails: []string{"list", "small objects"}},
		"sink-lists-directories":         {fails: []string{"list"}},
		"sink-overwrites":                {fails: []string{"no overwriting"}},
		"sink-never-replaces":            {fails: []string{"replacing"}},
		"sink-half-visible":              {fails: []string{"replacing", "nothing half visible", "sudden death"}},
		"sink-late-not-found":            {fails: []string{"get of a missing object"}},
		"sink-unkind":                    {fails: []string{"no overwriting"}},
		"sink-delete-missing":            {fails: []string{"delete of a missing object"}},
		"sink-deletes-too-much":          {fails: []string{"delete"}},
		"sink-deletes-one":               {fails: []string{"delete"}},
		"sink-hoards":                    {options: large, fails: []string{"memory"}},
		"sink-leaves-leftovers":          {fails: []string{"no overwriting", "replacing", "cancellation", "emitter fails", "emitter vanishes"}},
		"sink-seals-blindly":             {fails: []string{"landing"}},
		"sink-flattens":                  {fails: []string{"names"}},
		"transform-not-inverse":          {fails: []string{"exact bytes", "exact bytes without a ring", "large object", "small objects", "lanes at once", "memory"}},
		"transform-drops-bytes":          {fails: []string{"exact bytes", "exact bytes without a ring", "small objects"}},
		"transform-swallows-truncation":  {fails: []string{"truncation"}},
		"transform-ignores-cancellation": {fails: []string{"cancellation", "emitter fails", "emitter vanishes", "sink fails", "sink vanishes", "leaks"}},
		"transform-leaks":                {fails: []string{"leaks"}},
		"transform-serial":               {fails: []string{"lanes at once"}},
		"transform-hoards":               {options: large, fails: []string{"memory", "sink fails", "sink vanishes"}},
		"transform-panics":               {fails: []string{"exact bytes", "exact bytes without a ring", "order and attributes", "small objects"}},
		"transform-chatty":               {fails: []string{"starts"}},
		"hook-never-vetoes":              {fails: []string{"vetoes"}},
		"hook-ignores-cancellation":      {fails: []string{"cancellation"}},
		"backup-cuts-archives":           {fails: []string{"objects in layout tar", "split archives"}},
		"backup-never-splits":            {fails: []string{"split archives"}},
		"backup-ignores-cancellation":    {fails: []string{"cancellation", "sink fails", "sink vanishes", "leaks"}},
		"backup-swallows-errors":         {fails: []string{"unreachable server"}},
		"wal-starts-over":                {fails: []string{"going on", "sudden death"}},
		"wal-cancellation-fails":         {fails: []string{"cancellation"}},
		"wal-reports-early":              {fails: []string{"going on", "segments", "sudden death"}},
	}
	binaries := t.TempDir()
	binary := filepath.Join(binaries, "broken")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./testdata/broken")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the broken plugins: %v\n%s", err, out)
	}
	folders, err := filepath.Glob("testdata/broken/*/plugin.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		name := filepath.Base(filepath.Dir(folder))
		want, known := broken[name]
		if !known {
			t.Errorf("testdata/broken/%s has no line in the table", name)
			continue
		}
		delete(broken, name)
		if err := os.Link(binary, filepath.Join(binaries, name)); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := want.options
			if options == nil {
				options = quick
			}
			all := checksOf(t, name, Plugin{Path: filepath.Join(binaries, name)}, options)
			checks := all[:1:1] // without it the others mean nothing
			for _, c := range all[1:] {
				if slices.Contains(want.fails, c.Name) || sampled(name, c) {
					checks = append(checks, c)
				}
			}
			var failed, said []string
			Perform(t.Context(), checks, func(r Result) {
				if len(r.Failures) > 0 && !slices.Contains(want.may, r.Check.Name) {
					failed = append(failed, r.Check.Name)
					said = append(said, r.Check.Name+": "+strings.Join(r.Failures, "; "))
				}
			})
			slices.Sort(failed)
			slices.Sort(want.fails)
			if diff := cmp.Diff(want.fails, failed); diff != "" {
				t.Errorf("other checks failed (- expected, + failed):\n%s\n%s", diff, strings.Join(said, "\n"))
			}
		})
	}
	for name := range broken {
		t.Errorf("testdata/broken/%s does not exist", name)
	}
}

// sampled tells whether a plugin is held against a check that it should pass: a
// tenth of them, always the same, or with BARMAN_CHAOS=all all of them.
func sampled(plugin string, c Check) bool {
	sum := fnv.New32a()
	sum.Write([]byte(plugin + c.Name))
	return os.Getenv("BARMAN_CHAOS") == "all" || sum.Sum32()%10 == 0
}

// checksOf are the checks for a plugin that stands in for the reference of its
// kind, which its name begins with.
func checksOf(t *testing.T, name string, p Plugin, options []Option) []Check {
	t.Helper()
	kind, _, _ := strings.Cut(name, "-")
	switch kind {
	case "sink":
		dir := t.TempDir()
		leftovers := func(T) []string {
			names, err := filepath.Glob(filepath.Join(dir, "incomplete", "*"))
			if err != nil {
				t.Error(err)
			}
			return names
		}
		return SinkChecks(p, Config{"path": dir}, append(options[:len(options):len(options)], Leftovers(leftovers))...)
	case "transform":
		if !strings.Contains(name, "truncation") {
			options = append(options[:len(options):len(options)], Unframed())
		}
		return TransformChecks(p, nil, options...)
	case "hook":
		return HookChecks(p, nil, hookCases(), options...)
	case "backup":
		return BackupSourceChecks(p, nil, append(options[:len(options):len(options)], backupOptions()...)...)
	case "wal":
		cases, walOptions := walCases(t)
		return WALSourceChecks(p, nil, cases, append(options[:len(options):len(options)], walOptions...)...)
	}
	t.Fatalf("%s is of no kind", name)
	return nil
}

func hookCases() HookCases {
	return HookCases{
		Accepts: []sdk.Event{{Operation: "backup", Phase: sdk.PhasePre, Server: "main"}, {Operation: "backup", Phase: sdk.PhasePost, Server: "main", Error: "disk full"}},
		Vetoes:  []sdk.Event{{Operation: "delete", Phase: sdk.PhasePre, Server: "main", Values: map[string]string{"BACKUP_ID": "20260102T030405"}}},
		Lasts:   &sdk.Event{Operation: "recovery", Phase: sdk.PhasePre, Server: "main"},
	}
}

func backupOptions() []Option {
	return []Option{Server(sdk.Server{Name: "main"}), Unreachable(sdk.Server{Name: "gone", Conninfo: "unreachable"})}
}

func walCases(t *testing.T) (WALCases, []Option) {
	t.Helper()
	server := sdk.Server{Name: "main", Directory: t.TempDir()}
	unreachable := server
	unreachable.Conninfo = "unreachable"
	return WALCases{SegmentSize: 1 << 20, Advance: func(T) {
		if err := reference.Advance(server.Directory); err != nil {
			t.Error(err)
		}
	}}, []Option{Server(server), Unreachable(unreachable)}
}
