package cloud

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/sdk"
)

// delete deletes a backup, and nothing must be wrong beside it.
func (p *place) delete(reference string, change ...func(*DeleteOptions)) error {
	p.t.Helper()
	return p.Delete(p.t.Context(), reference, p.options(change...))
}

func (p *place) options(change ...func(*DeleteOptions)) DeleteOptions {
	o := DeleteOptions{Warn: func(err error) { p.t.Errorf("warned: %v", err) }}
	for _, f := range change {
		f(&o)
	}
	return o
}

func (p *place) enforce(policy string, change ...func(*DeleteOptions)) error {
	p.t.Helper()
	parsed, err := retention.Parse(policy)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.Enforce(p.t.Context(), parsed, p.options(change...))
}

func TestADeletedBackupTakesTheWALBeforeTheNextOneAlong(t *testing.T) {
	p := newPlace(t)
	p.backup(1, 2)
	p.backup(2, 5)
	p.archive(1, 9)
	others := []string{"wals/00000002.history", "wals/0000000100000000/mine.txt", "base/notes.txt", "base/20250101T000000/data/base.tar", "readme"}
	for _, name := range others {
		p.write(name, "not to be touched")
	}
	if err := p.delete(string(day(1))); err != nil {
		t.Fatal(err)
	}
	p.want(slices.Concat(whole(2), segments(5, 9), others)...)
}

func TestAPolicyDeletesWhatIsObsoleteAndKeepsWhatIsKept(t *testing.T) {
	p := newPlace(t)
	for n := 1; n <= 4; n++ {
		p.backup(n, 2*n)
	}
	p.backup(5, 10, func(b *catalogue.Backup) { b.State, b.EndTime = catalogue.StateFailed, time.Time{} })
	p.archive(1, 12)
	if err := p.Keep(t.Context(), string(day(1)), catalogue.KeepStandalone); err != nil {
		t.Fatal(err)
	}
	if err := p.enforce("REDUNDANCY 1"); err != nil {
		t.Fatal(err)
	}
	p.want(slices.Concat(whole(1, 4, 5), []string{"base/20260101T000000/annotations/keep"}, segments(2, 3), segments(8, 12))...)
	if err := p.enforce("RECOVERY WINDOW OF 1 DAYS"); err != nil {
		t.Fatal(err)
	}
	p.want(slices.Concat(whole(1, 4, 5), []string{"base/20260101T000000/annotations/keep"}, segments(2, 3), segments(8, 12))...)
}

func TestWhatMustStayIsNotDeleted(t *testing.T) {
	p := newPlace(t)
	p.backup(1, 2)
	p.backup(2, 5)
	if err := p.Keep(t.Context(), "oldest", catalogue.KeepFull); err != nil {
		t.Fatal(err)
	}
	all := append(whole(1, 2), "base/20260101T000000/annotations/keep")
	if err := p.delete(string(day(1))); sdk.KindOf(err) != sdk.Denied || !strings.Contains(err.Error(), "--release") {
		t.Errorf("%v", err)
	}
	atLeastTwo := func(o *DeleteOptions) { o.Minimum = 2 }
	if err := p.delete(string(day(2)), atLeastTwo); sdk.KindOf(err) != sdk.Denied {
		t.Errorf("%v", err)
	}
	if err := p.delete(string(day(9))); sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("%v", err)
	}
	p.write("base/20260103T000000/backup.info", "what is this\n")
	if err := p.delete(string(day(2))); sdk.KindOf(err) != sdk.Corrupt || !strings.Contains(err.Error(), string(day(3))) {
		t.Errorf("%v", err)
	}
	p.want(append(all, "base/20260103T000000/backup.info")...)
}

func TestADryRunTellsWhatTheDeletionDoes(t *testing.T) {
	p := newPlace(t)
	p.backup(1, 2)
	p.backup(2, 5)
	p.archive(1, 6)
	var told []string
	dry := func(o *DeleteOptions) {
		o.DryRun = true
		o.Group = func(objects []string) { told = append(told, objects...) }
	}
	if err := p.enforce("REDUNDANCY 1", dry); err != nil {
		t.Fatal(err)
	}
	p.want(append(whole(1, 2), segments(1, 6)...)...)
	want := append(whole(1), segments(1, 4)...)
	slices.Sort(want)
	slices.Sort(told)
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnInterruptedDeletionIsFinishedByTheNextOne(t *testing.T) {
	// What is there after each step of a deletion, as a kill leaves it.
	mark := func(p *place) {
		p.backup(1, 2, func(b *catalogue.Backup) {
			b.EndTime = time.Time{}
			b.Fail(doneWhenMarked, errUnfinished)
		})
	}
	for name, killed := range map[string]func(*place){
		"before the data":        mark,
		"in the data":            func(p *place) { mark(p); p.remove("base/20260101T000000/data/base.tar") },
		"in the WAL":             func(p *place) { mark(p); p.remove(append(whole(1)[1:], segments(1, 2)...)...) },
		"when it was all but":    func(p *place) { mark(p); p.remove(append(whole(1)[1:], segments(1, 4)...)...) },
		"when it was kept first": func(p *place) { mark(p); p.write("base/20260101T000000/annotations/keep", "full") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.backup(1, 2)
			p.backup(2, 5)
			p.archive(1, 6)
			killed(p)
			if err := p.enforce("REDUNDANCY 2"); err != nil {
				t.Fatal(err)
			}
			p.want(append(whole(2), segments(5, 6)...)...)
		})
	}
}

func (p *place) remove(names ...string) {
	p.t.Helper()
	sink, err := p.engine.OpenSink(p.t.Context(), p.server, p.sink)
	if err != nil {
		p.t.Fatal(err)
	}
	defer sink.Close()
	if err := sink.Delete(p.t.Context(), names); err != nil {
		p.t.Fatal(err)
	}
}

func TestABackupThatIsBeingDeletedIsNoBackup(t *testing.T) {
	p := newPlace(t)
	p.backup(1, 2)
	sink, err := p.engine.OpenSink(t.Context(), p.server, p.sink)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	found, err := p.Catalogue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := &deletion{store: p.Store, sink: sink, catalogue: found}
	if err := d.mark(t.Context(), found.Entries[0].Backup); err != nil {
		t.Fatal(err)
	}
	if found, err = p.Catalogue(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := found.Entries[0].Backup
	if b.State != catalogue.StateFailed || !b.EndTime.IsZero() || !strings.Contains(b.Error, "deleted") {
		t.Errorf("%+v", b)
	}
	if _, err := found.Resolve("latest"); sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("%v", err)
	}
	if err := p.Keep(t.Context(), string(day(1)), catalogue.KeepFull); sdk.KindOf(err) != sdk.Busy {
		t.Errorf("%v", err)
	}
	p.want(whole(1)...)
}

func TestABackupThatIsKeptMeanwhileIsNotDeleted(t *testing.T) {
	p := newPlace(t)
	p.backup(1, 2)
	sink, err := p.engine.OpenSink(t.Context(), p.server, p.sink)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	found, err := p.Catalogue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Keep(t.Context(), "latest", catalogue.KeepFull); err != nil {
		t.Fatal(err)
	}
	d := &deletion{store: p.Store, sink: sink, catalogue: found, options: p.options()}
	if err := d.delete(t.Context(), found.Entries[0].Backup); sdk.KindOf(err) != sdk.Busy {
		t.Errorf("%v", err)
	}
	p.want(append(whole(1), "base/20260101T000000/annotations/keep")...)
	if found, err = p.Catalogue(t.Context()); err != nil || found.Entries[0].Backup.State != catalogue.StateDone {
		t.Errorf("%+v, %v", found, err)
	}
}
