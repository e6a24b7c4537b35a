package pipeline_test

import (
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

func openSink(t *testing.T, e *plugintest.Engine, stage pipeline.Stage) *pipeline.Sink {
	t.Helper()
	sink, err := e.OpenSink(t.Context(), sdk.Server{Name: "main"}, stage)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Close)
	return sink
}

func listed(t *testing.T, sink *pipeline.Sink, prefix string) []string {
	t.Helper()
	var names []string
	for object, err := range sink.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, object.Name)
	}
	return names
}

// More than one request to the plugin takes.
func TestManyObjectsAreListedAndDeleted(t *testing.T) {
	e := plugintest.NewEngine(t)
	store := t.TempDir()
	w := openWriter(t, e, walLine(nil, posix(store)))
	const many = 1100
	var stored []string
	for i := range many {
		stored = append(stored, segment(i))
		if _, err := w.Put(t.Context(), sdk.Object{Name: segment(i), Size: 1, Mode: 0o600}, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sink := openSink(t, e, posix(store))
	diff(t, stored, listed(t, sink, "wals/"))
	kept := stored[many-1]
	if err := sink.Delete(t.Context(), slices.Concat(stored[:many-1], []string{"wals/missing"})); err != nil {
		t.Fatal(err)
	}
	diff(t, []string{kept}, listed(t, sink, "wals/"))
	diff(t, []string{kept}, files(t, store))
}

func TestASinkThatFailsIsNamed(t *testing.T) {
	e := plugintest.NewEngine(t)
	sink := openSink(t, e, faulty(values{"complaint": "no entry"}))
	if err := sink.Delete(t.Context(), []string{"a"}); sdk.KindOf(err) != sdk.Denied || !contains(err.Error(), `sink "faulty"`) {
		t.Errorf("%v", err)
	}
}

func TestObjectsOfARunningSinkAreReadAgainAndAgain(t *testing.T) {
	e := plugintest.NewEngine(t)
	store := t.TempDir()
	w := openWriter(t, e, walLine(nil, posix(store)))
	for i := range 9 {
		if _, err := w.Put(t.Context(), sdk.Object{Name: segment(i), Size: 1, Mode: 0o600}, strings.NewReader(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sink := openSink(t, e, posix(store))
	for _, lanes := range []int{1, 4} {
		if _, err := readThrough(t, sink, lanes, "wals/missing"); sdk.KindOf(err) != sdk.NotFound {
			t.Errorf("a missing object: %v", err)
		}
		got, err := readThrough(t, sink, lanes, segment(1), segment(3), segment(5), segment(7), segment(8))
		if err != nil {
			t.Fatal(err)
		}
		diff(t, map[string]string{segment(1): "1", segment(3): "3", segment(5): "5", segment(7): "7", segment(8): "8"}, got)
	}
}

// readThrough reads objects of a running sink.
func readThrough(t *testing.T, sink *pipeline.Sink, lanes int, names ...string) (map[string]string, error) {
	t.Helper()
	var selections []host.Selection
	for _, name := range names {
		selections = append(selections, host.Selection{Name: name})
	}
	var mu sync.Mutex
	got := map[string]string{}
	err := sink.Read(t.Context(), selections, lanes, func(_ context.Context, o sdk.Object, r io.Reader) error {
		content, err := io.ReadAll(r)
		mu.Lock()
		defer mu.Unlock()
		got[o.Name] = string(content)
		return err
	})
	return got, err
}
