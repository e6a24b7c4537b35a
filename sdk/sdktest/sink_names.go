package sdktest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/lane"
)

// oddNames are valid and meet what file systems, URLs, shells, globs and
// templates treat specially.
func oddNames() []string {
	return []string{
		"with space", " leading and trailing ", "-rf", "--help", ".hidden", "..two", "three...", "a..b/c..d", "~root", "$HOME", "`id`", "a;b|c&d",
		"quote'single", `quote"double`, `back\slash`, "percent%20%2F%00", "plus+plus", "question?query=1", "hash#fragment", "colon:colon",
		"star*", "brackets[a-z]{1,2}", "<angle>", "equals=value", "at@host", "comma,comma", "caret^", "umlaut-ä", "decomposed-a\u0308",
		"日本語", "emoji-🐘", "UPPER", "upper", strings.Repeat("long", 60), strings.Repeat("deep/", 40) + "end",
		"00000001000000000000000A", "00000002.history", "00000001000000000000000A.00000028.backup",
	}
}

func invalidNames() []string {
	return []string{
		"", ".", "..", "/absolute", "../outside", "a/../../outside", "a/../b", "a//b", "a/./b", "trailing/", "./a", "line\nbreak", "nul\x00byte",
		"delete\x7f", strings.Repeat("x", 4097),
	}
}

func (s subject) sinkNames(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	var pieces []piece
	var names []string
	for i, name := range oddNames() {
		pieces = append(pieces, file(prefix+name, content{seed: uint64(i), size: int64(20 + i), fill: random}))
		names = append(names, prefix+name)
	}
	s.stored(t, session, pieces...)
	slices.Sort(names)
	got, err := listNames(t.Context(), session, prefix)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	for _, name := range names {
		if !slices.Contains(got, name) {
			t.Errorf("%q is not listed under its name", name)
		}
	}
	for _, name := range got {
		if !slices.Contains(names, name) {
			t.Errorf("%q is listed and was not stored", name)
		}
	}
	for _, p := range pieces {
		s.holds(t, session, p)
	}
	for _, name := range names {
		if err := session.Delete(t.Context(), []string{name}); err != nil {
			t.Errorf("delete %q: %v", name, err)
		}
	}
	if got, err := listNames(t.Context(), session, prefix); err != nil || len(got) > 0 {
		t.Errorf("after all were deleted, %q are listed (%v)", got, err)
	}
}

func (s subject) sinkInvalidNames(t T) {
	session := s.open(t)
	for _, name := range invalidNames() {
		// The SDK of the emitter refuses such names, so they are sent by hand.
		operated := &step{session: session, operation: host.Put()}
		s.run(t, line{steps: []*step{operated}, emit: func(ctx context.Context, lanes []string) error {
			sender, err := lane.Dial(ctx, lanes[0], lane.Options{}, func(uint64, []byte) {
				t.Errorf("an object with the name %.40q was acknowledged", name)
			})
			if err != nil {
				return err
			}
			if err := sendRaw(sender, sdk.Object{Name: name, Size: 1}, []byte("x"), true); err != nil {
				return err
			}
			return sender.Close()
		}})
		wantKind(t, fmt.Sprintf("storing an object with the name %.40q", name), operated.err, sdk.Invalid)
		wantKind(t, fmt.Sprintf("deleting %.40q", name), session.Delete(t.Context(), []string{name}), sdk.Invalid)
		_, _, err := s.get(t, session, name)
		wantKind(t, fmt.Sprintf("reading %.40q", name), err, sdk.Invalid)
	}
}

func (s subject) sinkWrongSize(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	for _, announced := range []int64{4, 6} {
		name := fmt.Sprintf("%s%d", prefix, announced)
		operated := &step{session: session, operation: host.Put()}
		s.run(t, line{steps: []*step{operated}, emit: func(ctx context.Context, lanes []string) error {
			sender, err := lane.Dial(ctx, lanes[0], lane.Options{}, func(uint64, []byte) {
				t.Errorf("an object of 5 bytes, announced with %d, was acknowledged", announced)
			})
			if err != nil {
				return err
			}
			if err := sendRaw(sender, sdk.Object{Name: name, Size: announced}, []byte("12345"), true); err != nil {
				return err
			}
			return sender.Close()
		}})
		wantKind(t, fmt.Sprintf("storing an object of 5 bytes that was announced with %d", announced), operated.err, sdk.Corrupt)
		s.absent(t, session, name, "after that")
	}
}

func (s subject) sinkList(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	// Ordered by their bytes; a walk of directories yields others.
	names := []string{
		"base/a", "base/a-b", "base/a/x", "base/a0", "base/b", "base2", "wals/0000000100000000/000000010000000000000001",
		"wals/0000000100000000/000000010000000000000002", "wals/0000000100000001/000000010000000100000000", "wals/00000002.history",
	}
	// A file system cannot hold both a file and what is below it.
	names = slices.DeleteFunc(names, func(name string) bool { return name == "base/a" })
	var pieces []piece
	for i, name := range slices.Backward(names) {
		pieces = append(pieces, file(prefix+name, content{seed: uint64(i), size: int64(i)}))
	}
	s.stored(t, session, pieces...)
	for _, under := range []string{"", "b", "base/", "base/a", "base/a/", "base/a-b", "wals/0000000100000000/", "wals/00000002", "nothing", "wals/0000000100000000/000000010000000000000002"} {
		var want []string
		for _, name := range names {
			if strings.HasPrefix(name, under) {
				want = append(want, prefix+name)
			}
		}
		got, err := listNames(t.Context(), session, prefix+under)
		if err != nil {
			t.Errorf("list %q: %v", under, err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the list of %q is %q instead of %q", under, strip(got, prefix), strip(want, prefix))
		}
	}
	for o, err := range session.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if want := int64(slices.Index(names, strings.TrimPrefix(o.Name, prefix))); o.Size != want {
			t.Errorf("%q has %d bytes and is listed with %d", o.Name, want, o.Size)
		}
		break // whoever lists may stop at any object
	}
}

func strip(names []string, prefix string) []string {
	var short []string
	for _, name := range names {
		short = append(short, strings.TrimPrefix(name, prefix))
	}
	return short
}

func (s subject) sinkMissing(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	s.stored(t, session, file(prefix+"here", content{size: 1}))
	for _, name := range []string{"missing", "her", "here-not", "directory/missing"} {
		operated := &step{session: session, operation: host.Read([]host.Selection{{Name: prefix + name, Rename: "got"}})}
		begun := 0
		s.run(t, line{steps: []*step{operated}, take: taking(false, func(_ sdk.Object, r io.Reader) error {
			begun++
			return discard(sdk.Object{}, r)
		})})
		wantKind(t, fmt.Sprintf("reading the missing %q", name), operated.err, sdk.NotFound)
		if begun > 0 {
			t.Errorf("reading the missing %q, an object was begun before it was found missing", name)
		}
	}
}

func (s subject) sinkDelete(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	var pieces []piece
	for i, name := range []string{"a", "a2", "b/c", "b/d"} {
		pieces = append(pieces, file(prefix+name, content{seed: uint64(i), size: 100}))
	}
	s.stored(t, session, pieces...)
	if err := session.Delete(t.Context(), []string{prefix + "a", prefix + "b/c"}); err != nil {
		t.Fatalf("delete: %v", err)
	}
	other := s.open(t)
	got, err := listNames(t.Context(), other, prefix)
	slices.Sort(got) // their order is another check's business
	if want := []string{prefix + "a2", prefix + "b/d"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("after two of four were deleted, %q are listed (%v)", strip(got, prefix), err)
	}
	if _, _, err := s.get(t, other, prefix+"a"); sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("reading the deleted object: %v", err)
	}
	s.holds(t, other, pieces[1])
	again := file(prefix+"a", content{seed: 9, size: 200})
	s.stored(t, session, again)
	s.holds(t, other, again)
}

func (s subject) sinkDeleteMissing(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	for _, name := range []string{"missing", "directory/missing"} {
		if err := session.Delete(t.Context(), []string{prefix + name}); err != nil {
			t.Errorf("delete the missing %q: %v", name, err)
		}
	}
}
