package sdktest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/internal/wire"
)

// Sink checks a sink. The settings lead to a store that keeps what it is given
// when the plugin ends; it need not be empty: every check uses names below a
// prefix of its own and deletes them at its end.
func Sink(t *testing.T, p Plugin, c Config, list ...Option) {
	t.Helper()
	runAll(t, SinkChecks(p, c, list...))
}

// SinkChecks are the clauses of sdk.Sink.
func SinkChecks(p Plugin, c Config, list ...Option) []Check {
	s := subject{plugin: p, kind: "sink", config: c, options: collect(list)}
	return []Check{
		s.starts(),
		s.refusesUnknownSettings(),
		{"exact bytes", "What Get returns is what Put was given, the empty object included.", s.sinkBytes},
		{"exact bytes without a ring", "The same holds where memory cannot be shared and all bytes go through the socket.", s.sinkSocket},
		{"unknown size", "An object whose size is not known before it ends is stored like any other.", s.sinkUnknownSize},
		{"announced size", "An object of another size than announced fails and is not stored.", s.sinkWrongSize},
		{"objects without bytes", "Directories and symbolic links are stored, listed and given back as such.", s.sinkNoBytes},
		{"names", "Every valid name can be stored, listed, read and deleted.", s.sinkNames},
		{"invalid names", "A name that is not valid is refused with an error of kind invalid.", s.sinkInvalidNames},
		{"acknowledgement", "An object that was acknowledged is complete and visible to everybody, at once.", s.sinkAcknowledges},
		{"no overwriting", "Storing under a name that is taken is an error of kind exists, and what was there stays.", s.sinkExists},
		{"replacing", "With Replace set an object takes the place of another of its name, and only when it is complete.", s.sinkReplaces},
		{"nothing half visible", "An object is not visible before it is complete.", s.sinkHalf},
		{"list", "List yields the objects whose names begin with the prefix, each once, in ascending order of the bytes of their names.", s.sinkList},
		{"get of a missing object", "Reading an object that does not exist is an error of kind not found.", s.sinkMissing},
		{"delete", "Delete removes the object, and only that one.", s.sinkDelete},
		{"delete of a missing object", "Deleting an object that does not exist is no error.", s.sinkDeleteMissing},
		{"small objects", "Many small objects are stored, acknowledged, listed and given back.", s.sinkSmall},
		{"lanes at once", "Several objects are stored at once.", s.sinkLanes},
		{"large object", "An object of more than 4 GiB comes back equal.", s.sinkLarge},
		{"memory", "A stream of 1 GiB is stored and read within the memory limit.", s.sinkMemory},
		{"cancellation", "When an operation is cancelled, it ends within the deadline, with an error of kind cancelled; nothing is visible or left behind.", s.sinkCancel},
		{"cancelled reading", "When reading is cancelled, it ends within the deadline, with an error of kind cancelled.", s.sinkCancelRead},
		{"emitter fails", "When the stage before gives up in the middle of an object, that object is not acknowledged, nothing of it is visible or left behind, and earlier ones stay.", s.sinkAborted},
		{"emitter vanishes", "A lane that ends without CLOSE is a failed lane, between objects too; what was acknowledged stays.", s.sinkVanished},
		{"absorber vanishes", "When the stage behind a reading sink goes away or refuses, the operation ends within the deadline.", s.sinkAbsorberVanished},
		{"sudden death", "When the plugin is killed in the middle of an object, nothing of it is visible to the next process, what was acknowledged is there, and the object can be stored again.", s.sinkKilled},
		{"progress", "A running operation gives a sign of life several times a second, and its last one counts every byte.", s.sinkProgress},
		{"landing", "What was put into a landing directory is, once sealed, like any other object; a directory that is asked for as reference is found; what is no file is refused.", s.sinkLands},
		{"leaks", "Operations, whether they succeed or not, leave no descriptors and no goroutines behind.", s.sinkLeaks},
	}
}

// below returns a prefix of the check's own, emptied at the check's end.
func (s subject) below(t T, session *session) string {
	t.Helper()
	var b [6]byte
	// crypto/rand.Read never returns an error.
	_, _ = rand.Read(b[:])
	prefix := "sdktest-" + hex.EncodeToString(b[:]) + "/"
	t.Cleanup(func() {
		// The check's own process may be dead, and its context has ended.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
		defer cancel()
		fresh := s.launch(t)
		if err := s.configure(ctx, t, fresh, s.server); err != nil {
			t.Errorf("clean up: configure: %v", err)
			return
		}
		names, err := listNames(ctx, fresh, prefix)
		if err != nil {
			t.Errorf("clean up: list: %v", err)
		}
		slices.Reverse(names) // what is in a directory goes before it
		for _, name := range names {
			if err := fresh.Delete(ctx, []string{name}); err != nil {
				t.Errorf("clean up: delete %s: %v", name, err)
				return
			}
		}
	})
	return prefix
}

func listNames(ctx context.Context, session *session, prefix string) ([]string, error) {
	var names []string
	for o, err := range session.List(ctx, prefix) {
		if err != nil {
			return names, err
		}
		names = append(names, o.Name)
	}
	return names, nil
}

// store sends pieces to the sink and returns its error and receipts.
func (s subject) store(t T, session *session, lanes int, noRing bool, pieces ...piece) (*receiptBook, error) {
	t.Helper()
	book := newReceiptBook()
	o := s.run(t, line{
		lanes: lanes, noRing: noRing, emit: emitting(noRing, book.add, sending(lanes, pieces)),
		steps: []*step{{session: session, operation: host.Put()}}, patience: 10 * time.Minute,
	})
	return book, o.err()
}

// stored is store for pieces that have to arrive.
func (s subject) stored(t T, session *session, pieces ...piece) {
	t.Helper()
	book, err := s.store(t, session, 1, false, pieces...)
	if err != nil {
		t.Fatalf("store: %v", err)
	}
	book.compare(t, pieces)
}

// get reads one object.
func (s subject) get(t T, session *session, name string) (o sdk.Object, b []byte, err error) {
	t.Helper()
	kept := &shelf{}
	out := s.run(t, line{
		steps: []*step{{session: session, operation: host.Read([]host.Selection{{Name: name, Rename: "got"}})}},
		take:  taking(false, kept.take),
	})
	if err := out.err(); err != nil {
		return sdk.Object{}, nil, err
	}
	if len(kept.order) != 1 {
		return sdk.Object{}, nil, fmt.Errorf("%d objects came", len(kept.order))
	}
	return kept.order[0], kept.content["got"], nil
}

// holds makes sure that the sink has an object with these bytes.
func (s subject) holds(t T, session *session, p piece) {
	t.Helper()
	kept := 0
	out := s.run(t, line{
		steps:    []*step{{session: session, operation: host.Read([]host.Selection{{Name: p.object.Name, Rename: "got"}})}},
		patience: 10 * time.Minute,
		take: taking(false, func(o sdk.Object, r io.Reader) error {
			kept++
			if r == nil {
				return fmt.Errorf("it comes back as one of kind %d, without bytes", o.Kind)
			}
			difference, err := p.bytes.verify(r)
			if difference != "" {
				t.Errorf("object %q comes back with %s", p.object.Name, difference)
			}
			_, draining := io.Copy(io.Discard, r)
			return errors.Join(err, draining)
		}),
	})
	if err := out.err(); err != nil {
		t.Errorf("read %q back: %v", p.object.Name, err)
	} else if kept != 1 {
		t.Errorf("reading %q, %d objects came", p.object.Name, kept)
	}
}

// absent makes sure that the sink has nothing under a name, nor beside it.
func (s subject) absent(t T, session *session, name, when string) {
	t.Helper()
	for o, err := range session.List(t.Context(), name) {
		if err != nil {
			t.Errorf("list %q: %v", name, err)
			break
		}
		t.Errorf("%s, the object %q is listed", when, o.Name)
	}
	_, _, err := s.get(t, session, name)
	if err == nil {
		t.Errorf("%s, %q can be read", when, name)
	} else if sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("%s, reading %q is an error of kind %s instead of not found: %v", when, name, sdk.KindOf(err), err)
	}
}

// clean makes sure that the store holds nothing that is no object.
func (s subject) clean(t T) {
	t.Helper()
	if s.leftovers == nil {
		return
	}
	if left := s.leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %s", strings.Join(left, ", "))
	}
}

func (s subject) sinkBytes(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	var pieces []piece
	for i, size := range edgeSizes() {
		pieces = append(pieces, file(fmt.Sprintf("%s%d", prefix, size), content{seed: uint64(i), size: size, fill: random}))
	}
	s.stored(t, session, pieces...)
	for _, p := range pieces {
		s.holds(t, session, p)
	}
	s.clean(t)
}

func (s subject) sinkSocket(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	var pieces []piece
	for i, size := range edgeSizes() {
		pieces = append(pieces, file(fmt.Sprintf("%s%d", prefix, size), content{seed: uint64(i), size: size, fill: text}))
	}
	book, err := s.store(t, session, 2, true, pieces...)
	if err != nil {
		t.Fatalf("store: %v", err)
	}
	book.compare(t, pieces)
	contents := map[string]content{}
	for _, p := range pieces {
		contents[p.object.Name] = p.bytes
	}
	o := s.run(t, line{
		lanes: 2, noRing: true, steps: []*step{{session: session, operation: host.Read([]host.Selection{{Name: prefix, Rename: prefix, Prefix: true}})}},
		take: taking(true, func(o sdk.Object, r io.Reader) error {
			difference, err := contents[o.Name].verify(r)
			if difference != "" {
				t.Errorf("object %q comes back with %s", o.Name, difference)
			}
			return err
		}),
	})
	if err := o.err(); err != nil {
		t.Fatalf("read: %v", err)
	}
}

func (s subject) sinkUnknownSize(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	var pieces []piece
	for i, size := range []int64{0, 1, 100_000, 20 << 20} {
		p := file(fmt.Sprintf("%s%d", prefix, size), content{seed: uint64(i), size: size, fill: random})
		p.object.Size = sdk.SizeUnknown
		pieces = append(pieces, p)
	}
	s.stored(t, session, pieces...)
	for _, p := range pieces {
		s.holds(t, session, p)
	}
	for o, err := range session.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if want := strings.TrimPrefix(o.Name, prefix); fmt.Sprint(o.Size) != want {
			t.Errorf("the stored object %q is listed with the size %d", o.Name, o.Size)
		}
	}
}

func (s subject) sinkNoBytes(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	pieces := []piece{
		{object: sdk.Object{Name: prefix + "directory", Kind: sdk.KindDirectory, Mode: 0o700}},
		file(prefix+"directory/file", content{seed: 1, size: 10}),
		{object: sdk.Object{Name: prefix + "link", Kind: sdk.KindSymlink, LinkTarget: "/srv/tablespaces/ts1"}},
	}
	s.stored(t, session, pieces...)
	left := map[string]sdk.Object{}
	for _, p := range pieces {
		left[p.object.Name] = p.object
	}
	for o, err := range session.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if want, known := left[o.Name]; !known || o.Kind != want.Kind || o.LinkTarget != want.LinkTarget {
			t.Errorf("List yields %+v instead of %+v", o, want)
		}
		delete(left, o.Name)
	}
	for name := range left {
		t.Errorf("List does not yield %q", name)
	}
	kept := &shelf{}
	o := s.run(t, line{
		steps: []*step{{session: session, operation: host.Read([]host.Selection{{Name: prefix, Prefix: true, Rename: prefix}})}},
		take:  taking(false, kept.take),
	})
	if err := o.err(); err != nil {
		t.Fatalf("read: %v", err)
	}
	if len(kept.order) != len(pieces) {
		t.Errorf("%d objects are given back, %d were stored", len(kept.order), len(pieces))
	}
}

func (s subject) sinkAcknowledges(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	other := s.open(t)
	o := s.run(t, line{
		steps: []*step{{session: session, operation: host.Put()}}, patience: 5 * time.Minute,
		emit: emitting(false, nil, func(ctx context.Context, out *wire.Outlet) error {
			for i, size := range []int64{0, 10, 100_000, 5 << 20} {
				p := file(fmt.Sprintf("%s%d", prefix, size), content{seed: uint64(i), size: size, fill: random})
				receipts, err := out.EmitDurable(ctx, p.object, p.reader())
				if err != nil {
					return err
				}
				if r := receipts[0]; len(receipts) != 1 || r.Name != p.object.Name || r.Size != size || r.CRC32C != p.crc32c() {
					t.Errorf("the receipts for %q are %+v", p.object.Name, receipts)
				}
				// The lane is still open: the acknowledgement alone says so.
				s.holds(t, other, p)
			}
			return nil
		}),
	})
	if err := o.err(); err != nil {
		t.Fatalf("store: %v", err)
	}
}

func (s subject) sinkExists(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	for _, size := range []int64{7, 3 << 20} {
		first := file(fmt.Sprintf("%s%d", prefix, size), content{seed: 1, size: size, fill: random})
		s.stored(t, session, first)
		second := first
		second.bytes.seed = 2
		book, err := s.store(t, session, 1, false, second)
		wantKind(t, fmt.Sprintf("storing a second object of %d bytes under the same name", size), err, sdk.Exists)
		if len(book.of(first.object.Name)) > 0 {
			t.Errorf("the second object was acknowledged")
		}
		s.holds(t, session, first)
	}
	s.clean(t)
}

func (s subject) sinkReplaces(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	first := file(prefix+"a", content{seed: 1, size: 100_000, fill: random})
	s.stored(t, session, first)
	s.run(t, line{
		steps: []*step{{session: session, operation: host.Put()}},
		emit: emitting(false, nil, func(ctx context.Context, out *wire.Outlet) error {
			r := io.MultiReader(io.LimitReader(&endless{}, cutAfter), brokenReader{})
			return out.Emit(ctx, sdk.Object{Name: first.object.Name, Size: sdk.SizeUnknown, Replace: true}, r, false, nil)
		}),
	})
	s.holds(t, session, first)
	second := file(prefix+"a", content{seed: 2, size: 50_000, fill: random})
	second.object.Replace = true
	s.stored(t, session, second)
	s.holds(t, session, second)
	third := file(prefix+"b", content{seed: 3, size: 10})
	third.object.Replace = true
	s.stored(t, session, third)
	s.holds(t, session, third)
	s.clean(t)
}

func (s subject) sinkHalf(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	other := s.open(t)
	c := content{seed: 1, size: 6 << 20, fill: random}
	o := s.run(t, line{
		steps: []*step{{session: session, operation: host.Put()}}, patience: 5 * time.Minute,
		emit: emitting(false, nil, func(ctx context.Context, out *wire.Outlet) error {
			r := io.MultiReader(io.LimitReader(c.reader(), 5<<20), &pause{ctx: ctx, until: func(context.Context) error {
				s.absent(t, other, prefix+"half", "when half of it is sent")
				return nil
			}}, skip(c, 5<<20))
			return out.Emit(ctx, sdk.Object{Name: prefix + "half", Size: c.size}, r, false, nil)
		}),
	})
	if err := o.err(); err != nil {
		t.Fatalf("store: %v", err)
	}
	s.holds(t, other, file(prefix+"half", c))
}
