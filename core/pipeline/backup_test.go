package pipeline_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// contents collects objects.
type contents struct {
	mu  sync.Mutex
	all map[string][]byte
}

func (c *contents) take(_ context.Context, o sdk.Object, r io.Reader) error {
	content, err := io.ReadAll(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string][]byte{}
	}
	c.all[o.Name] = content
	return err
}

func TestABackupComesBackAsItWent(t *testing.T) {
	for name, noRing := range map[string]bool{"through rings": false, "through sockets alone": true} {
		t.Run(name, func(t *testing.T) {
			e := plugintest.NewEngine(t)
			if noRing {
				e.NoRing()
			}
			const objects, size = 20, 300_000
			l := line(source(values{"objects": objects, "size": size}), posix(t.TempDir()))
			var receipts []sdk.Receipt
			var last pipeline.Progress
			result, err := backup(t.Context(), e, l, request, pipeline.Observer{
				Progress: func(p pipeline.Progress) { last = p },
				Receipts: func(r []sdk.Receipt) error { receipts = append(receipts, r...); return nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			if result.SystemID != "7000000000000000001" || result.Label != "a label" {
				t.Errorf("%+v", result)
			}
			diff(t, pipeline.Progress{Objects: objects, Bytes: objects * size, Expected: objects * size}, last)
			if len(receipts) != objects {
				t.Errorf("%d receipts", len(receipts))
			}
			for _, r := range receipts {
				if r.Name != r.SourceName+".zst" || r.SourceSize != size || r.Output != 0 {
					t.Errorf("%+v", r)
				}
			}
			e.WantNothingLeft()
			wantObjects(t, e, l, objects, size)
		})
	}
}

func TestARestoreFillsAnotherSink(t *testing.T) {
	e := plugintest.NewEngine(t)
	l := line(source(values{"objects": 5}), posix(t.TempDir()))
	if _, err := backup(t.Context(), e, l, request, pipeline.Observer{}); err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	var last pipeline.Progress
	err := e.Restore(t.Context(), l, []host.Selection{{Name: "base/1/data/", Prefix: true, Rename: "x/"}}, posix(target),
		pipeline.Observer{Progress: func(p pipeline.Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, []string{"x/object-0000", "x/object-0001", "x/object-0002", "x/object-0003", "x/object-0004"}, files(t, target))
	content, err := os.ReadFile(filepath.Join(target, "x/object-0003"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(content, generated(objectName(3), 100000)) {
		t.Error("object 3 differs")
	}
	if last.Objects != 5 || last.Bytes != 500000 {
		t.Errorf("%+v", last)
	}
}

func TestFindListsWhatIsStored(t *testing.T) {
	e := plugintest.NewEngine(t)
	l := line(source(values{"objects": 12}), posix(t.TempDir()))
	if _, err := backup(t.Context(), e, l, request, pipeline.Observer{}); err != nil {
		t.Fatal(err)
	}
	found, err := e.Find(t.Context(), l.Server, l.Sinks[0], "base/1/data/object-000", "base/1/data/object-0011", "nothing")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 11 || found[10].Name != objectName(11)+".zst" {
		t.Errorf("%+v", found)
	}
	_, err = e.Find(t.Context(), l.Server, faulty(values{}), "x")
	wantFailure(t, err, `sink "faulty"`, sdk.Denied, "the disk is on fire")
}

func TestTwoPipelinesRunAtOnceOnOneEngine(t *testing.T) {
	e := plugintest.NewEngine(t)
	first, second := line(source(values{"objects": 10}), posix(t.TempDir())), line(source(values{"objects": 7}), posix(t.TempDir()))
	var group errgroup.Group
	for _, l := range []pipeline.Line{first, second} {
		group.Go(func() error {
			_, err := backup(t.Context(), e, l, request, pipeline.Observer{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	wantObjects(t, e, first, 10, 100000)
	wantObjects(t, e, second, 7, 100000)
}

func TestAFailureNamesTheStageThatWasItsCause(t *testing.T) {
	endless := values{"objects": 4, "endless": true}
	for name, test := range map[string]struct {
		line  pipeline.Line
		stage string
		kind  sdk.ErrorKind
		parts []string
	}{
		"a sink that fails":           {line(source(endless), faulty(values{"takes": 2})), `sink "faulty"`, sdk.Denied, []string{"the disk is on fire"}},
		"a sink that fails at once":   {line(source(endless), faulty(values{"at_once": true})), `sink "faulty"`, sdk.Denied, []string{"the disk is on fire"}},
		"one of two sinks":            {line(source(endless), posix(t.TempDir()), faulty(values{"takes": 2})), `sink "faulty"`, sdk.Denied, []string{"the disk is on fire"}},
		"a source that fails":         {line(source(values{"complaint": "no more tape"}), posix(t.TempDir())), `source "generated"`, sdk.Unknown, []string{"no more tape"}},
		"a sink that does not open":   {line(source(values{}), faulty(values{"broken": true})), `sink "faulty"`, sdk.Unavailable, []string{"no connection to the store"}},
		"a plugin of the wrong kind":  {line(pipeline.Stage{Kind: "source", Name: "faulty", Settings: values{}}, posix(t.TempDir())), `source "faulty"`, sdk.Invalid, []string{"is a sink, not a source"}},
		"a plugin that is not there":  {line(source(values{}), pipeline.Stage{Kind: "sink", Name: "none", Settings: placed{place: "main.hcl:7"}}), `sink "none"`, sdk.Invalid, []string{"main.hcl:7", "barman-plugin-sink-none"}},
		"settings it does not know":   {line(pipeline.Stage{Kind: "source", Name: "generated", Settings: placed{values{"colour": 1}, "main.hcl:8"}}, posix(t.TempDir())), `source "generated"`, sdk.Invalid, []string{"main.hcl:8", "colour"}},
		"settings that it refuses":    {line(pipeline.Stage{Kind: "source", Name: "generated", Settings: placed{values{"refused": "so"}, "main.hcl:9"}}, posix(t.TempDir())), `source "generated"`, sdk.Invalid, []string{"main.hcl:9", `"so" is refused`}},
		"a source that can't back up": {line(source(values{}), posix("relative")), `sink "posix"`, sdk.Invalid, []string{"relative"}},
	} {
		t.Run(name, func(t *testing.T) {
			// A sink's binary under a source's name.
			strange := t.TempDir()
			if err := os.Symlink(filepath.Join(plugintest.Directories()[0], "barman-plugin-sink-faulty"), filepath.Join(strange, "barman-plugin-source-faulty")); err != nil {
				t.Fatal(err)
			}
			e := plugintest.NewEngine(t, strange)
			_, err := backup(t.Context(), e, test.line, request, pipeline.Observer{})
			t.Log(err)
			wantFailure(t, err, test.stage, test.kind, test.parts...)
		})
	}
}

// killWhenFlowing kills a stage as soon as bytes flow.
func killWhenFlowing(e *plugintest.Engine, label string, once *sync.Once) func(pipeline.Progress) {
	return func(p pipeline.Progress) {
		if p.Bytes > 4<<20 {
			once.Do(func() { _ = syscall.Kill(e.PIDs(label)[0], syscall.SIGKILL) })
		}
	}
}

func TestAStageThatIsKilledIsTheCause(t *testing.T) {
	for _, label := range []string{`source "generated"`, `transform "noop"`, `transform "compress"`, `sink "posix"`} {
		t.Run(label, func(t *testing.T) {
			e := plugintest.NewEngine(t)
			store := t.TempDir()
			_, err := backup(t.Context(), e, line(source(values{"objects": 1, "endless": true}), posix(store)), request,
				pipeline.Observer{Progress: killWhenFlowing(e, label, new(sync.Once))})
			if err == nil || err.Error() != label+": stopped unexpectedly: signal: killed" {
				t.Errorf("%v", err)
			}
			e.WantNothingLeft()
			for _, name := range files(t, store) {
				// A sink that was killed sweeps up the next time.
				if !(label == `sink "posix"` && filepath.Base(name)[0] == '.') {
					t.Errorf("%s was left behind", name)
				}
			}
		})
	}
}

func TestACancelledBackupLeavesNothingVisible(t *testing.T) {
	e := plugintest.NewEngine(t)
	store := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("interrupted by the operator")
	_, err := backup(ctx, e, line(source(values{"objects": 3, "endless": true}), posix(store)), request, pipeline.Observer{
		Progress: func(p pipeline.Progress) {
			if p.Bytes > 4<<20 {
				cancel(reason)
			}
		},
	})
	if sdk.KindOf(err) != sdk.Cancelled || !errors.Is(err, reason) {
		t.Errorf("%v", err)
	}
	e.WantNothingLeft()
	for _, name := range files(t, store) {
		// Objects that were taken and not yet durable the sink sweeps up the next time.
		if filepath.Base(name)[0] != '.' {
			t.Errorf("%s is visible", name)
		}
	}
}

func TestABackupThatIsCancelledBeforeItBeginsStartsNothingForLong(t *testing.T) {
	e := plugintest.NewEngine(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := backup(ctx, e, line(source(values{"objects": 3, "endless": true}), posix(t.TempDir())), request, pipeline.Observer{})
	if sdk.KindOf(err) != sdk.Cancelled {
		t.Errorf("%v", err)
	}
}

func TestReceiptsThatCannotBeKeptStopTheBackup(t *testing.T) {
	e := plugintest.NewEngine(t)
	full := errors.New("no space left for receipts")
	calls := 0
	_, err := backup(t.Context(), e, line(source(values{"objects": 800, "size": 10, "endless": true}), posix(t.TempDir())), request, pipeline.Observer{
		Receipts: func([]sdk.Receipt) error { calls++; return full },
	})
	if !errors.Is(err, full) || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
}

func TestAnOptionalSinkThatDoesNotStartIsDoneWithout(t *testing.T) {
	for name, absent := range map[string]pipeline.Stage{
		"no such plugin": {Kind: "sink", Name: "none", Settings: values{}, Optional: true},
		"does not open":  optional(faulty(values{"broken": true})),
	} {
		t.Run(name, func(t *testing.T) {
			e := plugintest.NewEngine(t)
			for _, sinks := range [][]pipeline.Stage{{posix(t.TempDir()), absent}, {absent, posix(t.TempDir())}} {
				l := line(source(values{"objects": 4}), sinks...)
				var lost []pipeline.Lost
				outputs := map[int]int{}
				_, err := backup(t.Context(), e, l, request, pipeline.Observer{
					Lost: func(l pipeline.Lost) { lost = append(lost, l) },
					Receipts: func(receipts []sdk.Receipt) error {
						for _, r := range receipts {
							outputs[r.Output]++
						}
						return nil
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				there := slices.IndexFunc(sinks, func(s pipeline.Stage) bool { return s.Name == "posix" })
				if len(lost) != 1 || lost[0].Sink != 1-there || lost[0].Reason == "" {
					t.Errorf("%+v", lost)
				}
				diff(t, map[int]int{there: 4}, outputs)
				l.Sinks = []pipeline.Stage{sinks[there]}
				wantObjects(t, e, l, 4, 100000)
			}
		})
	}
}

func TestAnOptionalSinkThatIsLostIsDoneWithout(t *testing.T) {
	for name, test := range map[string]struct {
		sink   pipeline.Stage
		kill   bool
		reason string
	}{
		"fails":     {optional(faulty(values{"takes": 2})), false, "the disk is on fire"},
		"is killed": {optional(faulty(values{"takes": 100})), true, "stopped unexpectedly: signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			e := plugintest.NewEngine(t)
			known := filepath.Join(t.TempDir(), "known")
			l := line(source(values{"objects": 10, "size": 1 << 20, "wait_for": known}), posix(t.TempDir()), test.sink)
			var lost []pipeline.Lost
			observe := pipeline.Observer{Lost: func(l pipeline.Lost) {
				lost = append(lost, l)
				if err := os.WriteFile(known, nil, 0o600); err != nil {
					t.Error(err)
				}
			}}
			if test.kill {
				observe.Progress = killWhenFlowing(e, `sink "faulty"`, new(sync.Once))
			}
			if _, err := backup(t.Context(), e, l, request, observe); err != nil {
				t.Fatal(err)
			}
			if len(lost) != 1 || lost[0].Sink != 1 {
				t.Fatalf("%+v", lost)
			}
			if !contains(lost[0].Reason, test.reason) {
				t.Errorf("reason %q", lost[0].Reason)
			}
			l.Sinks = l.Sinks[:1]
			wantObjects(t, e, l, 10, 1<<20)
		})
	}
}

func TestABackupIntoNothingIsAnError(t *testing.T) {
	e := plugintest.NewEngine(t)
	for name, l := range map[string]pipeline.Line{
		"no sink":           line(source(values{})),
		"only absent ones":  line(source(values{}), optional(faulty(values{"broken": true}))),
		"the only one lost": line(source(values{}), optional(faulty(values{"takes": 1}))),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := backup(t.Context(), e, l, request, pipeline.Observer{}); err == nil {
				t.Error("no error")
			} else {
				t.Log(err)
			}
		})
	}
}

func TestCheckTellsEverythingThatIsWrong(t *testing.T) {
	e := plugintest.NewEngine(t)
	l := line(source(values{"refused": "a"}), posix("relative"))
	err := e.Check(t.Context(), l.Server, l.Source, l.Transforms[0], l.Sinks[0])
	for _, part := range []string{`source "generated": `, `"a" is refused`, `sink "posix": `, `"relative"`} {
		if err == nil || !contains(err.Error(), part) {
			t.Errorf("does not mention %q: %v", part, err)
		}
	}
	if err := e.Check(t.Context(), l.Server, l.Transforms...); err != nil {
		t.Error(err)
	}
}

func TestDescribeAsksThePlugin(t *testing.T) {
	e := plugintest.NewEngine(t)
	d, err := e.Describe(t.Context(), "source", "generated")
	if err != nil || d.Name != "generated" || !d.Backup || d.ReceiveWAL || len(d.Schema.Attributes) == 0 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := e.Describe(t.Context(), "source", "none"); sdk.KindOf(err) != sdk.NotFound {
		t.Error(err)
	}
}
