package wal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamesComeInOrderHoweverFewAreHeld(t *testing.T) {
	all := names(t, "000000020000000000000FF0", 30)
	streaming, incoming := t.TempDir(), t.TempDir()
	var want []string
	put := func(dir, name string) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old, current := "000000010000000000000001.partial", all[29]+".partial"
	put(streaming, old)
	put(streaming, current)
	want = append(want, old)
	for i, name := range all[:29] {
		if i%3 != 0 {
			put(streaming, name)
			want = append(want, name)
		}
		if i%2 == 0 {
			put(incoming, name)
			want = append(want, name)
		}
	}
	for _, window := range []int{1, 2, 7, 100} {
		q := &queue{directories: []*directory{
			{path: streaming, origin: Streaming, window: window, withoutCurrent: true, more: true}, {path: incoming, origin: Incoming, window: window, more: true},
		}}
		var got []string
		for {
			f, err := q.next()
			if err != nil {
				t.Fatal(err)
			}
			if f == nil {
				break
			}
			if !q.names()[f.base] {
				t.Errorf("window %d: %s is not among the names held", window, f.base)
			}
			got = append(got, f.base)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("window %d: %s", window, diff)
		}
	}
}

func TestARunTakesNoMoreThanABatch(t *testing.T) {
	s := newSite(t, t.TempDir(), `archive = true
source "pgreceivewal" {}
streaming_batch_size = 2
incoming_batch_size = 1
sink "posix" {}`)
	all := names(t, "000000010000000000000001", 8)
	for i, name := range all {
		s.segment([]string{"streaming", "incoming"}[i%2], name)
	}
	// One that is not complete yet keeps nobody behind it for ever.
	s.put("incoming", all[1], segmentOf(all[1], testSystemID, 1)[:1000])
	for _, want := range [][]string{{all[0], all[2], all[3]}, {all[4], all[5], all[6]}, {all[7]}} {
		before := len(s.recorded())
		s.archive()
		if diff := cmp.Diff(want, s.recorded()[before:]); diff != "" {
			t.Error(diff)
		}
	}
}

func TestABackupIsNotFailedWhileItsWALIsBeyondABatch(t *testing.T) {
	s := newSite(t, t.TempDir(), "archive = true\nsource \"pgreceivewal\" {}\nincoming_batch_size = 1\nsink \"posix\" {}")
	all := names(t, "000000010000000000000001", 5)
	b := s.waiting(all[0], all[3])
	for _, name := range all[:4] {
		s.segment("incoming", name)
	}
	s.segment("streaming", all[4])
	for range 4 {
		if state := s.state(b); state != "WAITING_FOR_WALS" {
			t.Fatalf("state %s", state)
		}
		s.archive()
	}
	if state := s.state(b); state != "DONE" {
		t.Errorf("state %s", state)
	}
}
