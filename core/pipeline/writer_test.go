package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// walLine is a pipeline that the core feeds.
func walLine(transforms []pipeline.Stage, sinks ...pipeline.Stage) pipeline.Line {
	return pipeline.Line{Server: sdk.Server{Name: "main"}, Transforms: transforms, Sinks: sinks}
}

var compressed = []pipeline.Stage{{Kind: "transform", Name: "compress", Settings: values{"codec": "gzip"}}}

func segment(i int) string { return fmt.Sprintf("wals/0000000100000000/%024X", i) }

func put(ctx context.Context, w *pipeline.Writer, name string) ([]sdk.Receipt, error) {
	return w.Put(ctx, sdk.Object{Name: name, Size: 100000, Mode: 0o600}, bytes.NewReader(generated(name, 100000)))
}

func openWriter(t *testing.T, e *plugintest.Engine, l pipeline.Line) *pipeline.Writer {
	t.Helper()
	w, err := e.OpenWriter(t.Context(), l, pipeline.Observer{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestManyObjectsGoThroughOneWriter(t *testing.T) {
	for name, transforms := range map[string][]pipeline.Stage{"compressed": compressed, "as they are": nil} {
		t.Run(name, func(t *testing.T) {
			e := plugintest.NewEngine(t)
			store := t.TempDir()
			l := walLine(transforms, posix(store))
			w := openWriter(t, e, l)
			if want := strings.Repeat(".gz", len(transforms)); w.Suffix() != want {
				t.Errorf("suffix %q, expected %q", w.Suffix(), want)
			}
			const many = 40
			for i := range many {
				receipts, err := put(t.Context(), w, segment(i))
				if err != nil {
					t.Fatal(err)
				}
				// It is there when Put returns, under its own name.
				if len(receipts) != 1 || receipts[0].Name != segment(i) || receipts[0].SourceSize != 100000 || len(files(t, store)) != i+1 {
					t.Errorf("%d files, %+v", len(files(t, store)), receipts)
				}
			}
			if pids := e.PIDs(`sink "posix"`); len(pids) != 1 {
				t.Errorf("%d sinks were started", len(pids))
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			e.WantNothingLeft()
			got := &contents{}
			if err := e.Read(t.Context(), l, []host.Selection{{Name: segment(7)}, {Name: segment(39)}}, got.take); err != nil {
				t.Fatal(err)
			}
			for _, i := range []int{7, 39} {
				// Reading back takes the suffix off names that have it; these have none.
				if !bytes.Equal(got.all[segment(i)], generated(segment(i), 100000)) {
					t.Errorf("%s differs", segment(i))
				}
			}
		})
	}
}

func TestAWriterThatFailedSaysSoAgain(t *testing.T) {
	for name, transforms := range map[string][]pipeline.Stage{"behind a transform": compressed, "directly": nil} {
		t.Run(name, func(t *testing.T) {
			e := plugintest.NewEngine(t)
			w := openWriter(t, e, walLine(transforms, faulty(values{"takes": 2})))
			for i := range 2 {
				if _, err := put(t.Context(), w, segment(i)); err != nil {
					t.Fatal(err)
				}
			}
			_, first := put(t.Context(), w, segment(2))
			wantFailure(t, first, `sink "faulty"`, sdk.Denied, "the disk is on fire", segment(2))
			_, second := put(t.Context(), w, segment(3))
			if second == nil || second.Error() != first.Error() {
				t.Errorf("then %v", second)
			}
			if err := w.Close(); err != nil {
				t.Errorf("Close of a writer that failed: %v", err)
			}
		})
	}
}

func TestAnObjectThatExistsIsThatKindOfFailure(t *testing.T) {
	e := plugintest.NewEngine(t)
	l := walLine(compressed, posix(t.TempDir()))
	w := openWriter(t, e, l)
	if _, err := put(t.Context(), w, segment(1)); err != nil {
		t.Fatal(err)
	}
	_, err := put(t.Context(), w, segment(1))
	wantFailure(t, err, `sink "posix"`, sdk.Exists, segment(1))
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnObjectThatCannotBeReadIsNobodysButTheCoresFault(t *testing.T) {
	e := plugintest.NewEngine(t)
	store := t.TempDir()
	for name, test := range map[string]struct {
		r    io.Reader
		want string
	}{
		"an error":  {io.MultiReader(strings.NewReader("some bytes"), iotest.ErrReader(errors.New("input/output error"))), "input/output error"},
		"too short": {strings.NewReader("some bytes"), "10 bytes came, 100000 were announced"},
		"too long":  {bytes.NewReader(make([]byte, 100001)), "100001 bytes came, 100000 were announced"},
	} {
		t.Run(name, func(t *testing.T) {
			w := openWriter(t, e, walLine(compressed, posix(store)))
			_, err := w.Put(t.Context(), sdk.Object{Name: segment(1), Size: 100000}, test.r)
			if err == nil || !contains(err.Error(), test.want) || contains(err.Error(), "neighbouring") || contains(err.Error(), "another stage") {
				t.Errorf("%v", err)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			for _, left := range files(t, store) {
				t.Errorf("%s was left behind", left)
			}
		})
	}
}

func TestAKilledStageOfAWriterIsTheCause(t *testing.T) {
	for _, label := range []string{`transform "compress"`, `sink "posix"`} {
		t.Run(label, func(t *testing.T) {
			e := plugintest.NewEngine(t)
			w := openWriter(t, e, walLine(compressed, posix(t.TempDir())))
			if _, err := put(t.Context(), w, segment(1)); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(e.PIDs(label)[0], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_, err := put(t.Context(), w, segment(2))
			if err == nil || err.Error() != label+": stopped unexpectedly: signal: killed" {
				t.Errorf("%v", err)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAStageKilledBeforeCloseFailsClose(t *testing.T) {
	e := plugintest.NewEngine(t)
	w := openWriter(t, e, walLine(compressed, posix(t.TempDir())))
	if err := syscall.Kill(e.PIDs(`sink "posix"`)[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil || err.Error() != `sink "posix": stopped unexpectedly: signal: killed` {
		t.Errorf("%v", err)
	}
}

func TestACancelledPutEndsTheWriter(t *testing.T) {
	reason := errors.New("the operator had enough")
	for _, whose := range []string{"the writer's context", "the context of Put"} {
		t.Run(whose, func(t *testing.T) {
			e := plugintest.NewEngine(t)
			store := t.TempDir()
			ctx, cancel := context.WithCancelCause(t.Context())
			opened, putting := t.Context(), ctx
			if whose == "the writer's context" {
				opened, putting = ctx, t.Context()
			}
			w, err := e.OpenWriter(opened, walLine(compressed, posix(store)), pipeline.Observer{})
			if err != nil {
				t.Fatal(err)
			}
			stalled := readerFunc(func([]byte) (int, error) {
				cancel(reason)
				<-ctx.Done()
				return 0, ctx.Err()
			})
			_, err = w.Put(putting, sdk.Object{Name: segment(1), Size: sdk.SizeUnknown}, stalled)
			if sdk.KindOf(err) != sdk.Cancelled || !errors.Is(err, reason) {
				t.Errorf("kind %s: %v", sdk.KindOf(err), err)
			}
			if err := w.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			e.WantNothingLeft()
			for _, left := range files(t, store) {
				t.Errorf("%s was left behind", left)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestAWriterDoesWithoutOptionalSinks(t *testing.T) {
	for name, transforms := range map[string][]pipeline.Stage{"behind a transform": compressed, "directly": nil} {
		t.Run(name, func(t *testing.T) {
			e := plugintest.NewEngine(t)
			store := t.TempDir()
			var lost []pipeline.Lost
			l := walLine(transforms, optional(faulty(values{"broken": true})), posix(store), optional(faulty(values{"takes": 1})))
			w, err := e.OpenWriter(t.Context(), l, pipeline.Observer{Lost: func(l pipeline.Lost) { lost = append(lost, l) }})
			if err != nil {
				t.Fatal(err)
			}
			outputs := [][]int{}
			for i := range 3 {
				receipts, err := put(t.Context(), w, segment(i))
				if err != nil {
					t.Fatal(err)
				}
				var from []int
				for _, r := range receipts {
					from = append(from, r.Output)
				}
				outputs = append(outputs, from)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			if len(outputs[0]) != 2 {
				t.Errorf("the first object is in %v", outputs[0])
			}
			diff(t, [][]int{{1}, {1}}, outputs[1:])
			if len(lost) != 2 || lost[0].Sink != 0 || !contains(lost[0].Reason, "no connection") || lost[1].Sink != 2 || !contains(lost[1].Reason, "on fire") {
				t.Errorf("%+v", lost)
			}
			if got := files(t, store); len(got) != 3 {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestAWriterThatDoesNotOpenNamesTheStage(t *testing.T) {
	e := plugintest.NewEngine(t)
	_, err := e.OpenWriter(t.Context(), walLine(compressed, faulty(values{"broken": true})), pipeline.Observer{})
	wantFailure(t, err, `sink "faulty"`, sdk.Unavailable, "no connection")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.OpenWriter(ctx, walLine(compressed, posix(t.TempDir())), pipeline.Observer{}); sdk.KindOf(err) != sdk.Cancelled {
		t.Errorf("%v", err)
	}
}

func TestReadStopsAtTheFirstErrorOfWhoReads(t *testing.T) {
	e := plugintest.NewEngine(t)
	l := walLine(compressed, posix(t.TempDir()))
	w := openWriter(t, e, l)
	for i := range 3 {
		if _, err := put(t.Context(), w, segment(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	gone := sdk.Errorf(sdk.Unavailable, "nobody takes the bytes")
	err := e.Read(t.Context(), l, []host.Selection{{Name: "wals/", Prefix: true}}, func(context.Context, sdk.Object, io.Reader) error { return gone })
	if !errors.Is(err, gone) || sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("%v", err)
	}
	got := &contents{}
	err = e.Read(t.Context(), l, []host.Selection{{Name: segment(1)}, {Name: "wals/missing"}}, got.take)
	wantFailure(t, err, `sink "posix"`, sdk.NotFound, "wals/missing")
	err = e.Read(t.Context(), walLine(nil, pipeline.Stage{Kind: "sink", Name: "none", Settings: values{}}), nil, got.take)
	wantFailure(t, err, `sink "none"`, sdk.Invalid)
	if left := files(t, filepath.Join(e.RunDirectory)); len(left) > 0 {
		t.Errorf("%q", left)
	}
}
