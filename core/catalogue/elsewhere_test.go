package catalogue

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func TestTheIndexTellsWhatAnArchiveElsewhereHolds(t *testing.T) {
	s := newServer(t)
	s.layout.WALElsewhere = true
	name := func(text string) wal.Name {
		n, err := wal.ParseName(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	has := func(text string) bool {
		found, err := s.HasWAL(name(text))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	first, second, other, history := "000000010000000000000002", "000000010000000000000003", "000000020000000100000000", "00000002.history"
	if has(first) {
		t.Error("a file is archived where there is no index")
	}
	if err := s.EnsureIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{other, first, history} {
		if has(text) {
			t.Errorf("%s is archived before it is recorded", text)
		}
		if err := s.Append(t.Context(), WALRecord{Name: name(text), Size: 1, ModTime: time.Unix(1000, 0)}); err != nil {
			t.Fatal(err)
		}
		if !has(text) {
			t.Errorf("%s is not archived though it is recorded", text)
		}
	}
	if has(second) {
		t.Errorf("%s is archived", second)
	}
	var listed []string
	for file, err := range s.WALFiles() {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, file.Name.String())
	}
	if want := []string{first, history, other}; !slices.Equal(listed, want) {
		t.Errorf("the archive holds %q, want %q", listed, want)
	}
	newest, err := s.NewestPerTimeline()
	if err != nil || newest[1].String() != first || newest[2].String() != other {
		t.Errorf("the newest are %v (%v)", newest, err)
	}
	if err := s.ForgetWAL(t.Context(), func(n wal.Name) bool { return n.String() == first }); err != nil {
		t.Fatal(err)
	}
	if has(first) || !has(other) {
		t.Error("what was forgotten is archived still, or too much was forgotten")
	}
	path, _, err := s.xlogDB()
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureIndex(t.Context()); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("a lost index is begun anew: %v", err)
	}
}

func TestWhatSinksLackIsNotedUntilTheyHaveIt(t *testing.T) {
	s := newServer(t)
	const id = BackupID("20260102T030405")
	lag := Lag{Sink: "s3", Backup: id, Lacks: LacksData, Since: time.Unix(1000, 0).UTC(), Reason: "it was away"}
	if err := s.NoteLag(lag); err != nil {
		t.Fatal(err)
	}
	if err := s.NoteLag(Lag{Sink: "s3", Lacks: LacksWAL, Reason: "it was away"}); err != nil {
		t.Fatal(err)
	}
	got, err := s.LagOf("s3", id)
	if err != nil || got == nil || *got != lag {
		t.Errorf("noted is %+v (%v), want %+v", got, err, lag)
	}
	if all, err := s.Lags(); err != nil || len(all) != 2 || all[1].Lacks != LacksWAL {
		t.Errorf("noted are %+v (%v)", all, err)
	}
	if held, err := s.Held("s3", id); err != nil || held {
		t.Errorf("a sink that lacks data has it: %v", err)
	}
	if err := s.NoteHeld("s3", id); err != nil {
		t.Fatal(err)
	}
	if held, err := s.Held("s3", id); err != nil || !held {
		t.Errorf("a sink that has caught up lacks something: %v", err)
	}
	if all, err := s.LagsOf(id); err != nil || len(all) != 0 {
		t.Errorf("noted are %+v (%v)", all, err)
	}
	path, err := s.lagPath("s3", id)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "{")
	if got, err := s.LagOf("s3", id); err != nil || got == nil || got.Lacks != LacksData {
		t.Errorf("a note that cannot be read says %+v (%v)", got, err)
	}
}
