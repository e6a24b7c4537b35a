package bucket

import (
	"bytes"
	"context"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

func newSink(m *memory, o Options) *Sink {
	o.URL, o.Layout = "memory://bucket", NewLayout("p", "main")
	return New(m, o)
}

func put(t *testing.T, s *Sink, name string, content []byte) error {
	t.Helper()
	_, err := s.Put(t.Context(), sdk.Object{Name: name, Size: sdk.SizeUnknown}, bytes.NewReader(content))
	return err
}

func get(t *testing.T, s *Sink, name string) string {
	t.Helper()
	_, r, err := s.Get(t.Context(), name)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return ""
	}
	b, err := io.ReadAll(r)
	if err != nil || r.Close() != nil {
		t.Errorf("%s: %v", name, err)
	}
	return string(b)
}

func names(t *testing.T, objects iter.Seq2[sdk.Object, error]) (list []string) {
	t.Helper()
	for o, err := range objects {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, o.Name)
	}
	return list
}

func random(size int) []byte {
	b := make([]byte, size)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(b) // never fails
	return b
}

const segment = "wals/0000000100000000/000000010000000000000001"

func TestNamesAreInOrderThoughKeysAreNot(t *testing.T) {
	m := newMemory()
	for _, key := range []string{
		"p/main/base/a/16400.tar", "p/main/base/a/16400_0001.tar", "p/main/base/a/annotations/other", "p/main/base/a/backup.info", "p/main/base/a/backup_manifest",
		"p/main/base/a/data.tar.gz", "p/main/base/a/data/base/1/2", "p/main/base/a/data/global/pg_control", "p/main/base/a/data_0001.tar.gz",
		"p/main/base/a/data/x-y", "p/main/base/a/data/x.barman-directory", "p/main/base/b/backup.info",
		"p/main/" + segment, "p/main/" + segment + ".00000028.backup", "p/main/" + segment + ".gz", "p/main/" + segment + ".partial", "p/main/" + segment + ".zst",
		"p/main/wals/00000002.history.gz",
		"p//main/base/a/annotations/keep", "p//main/base/b/annotations/keep", "p/main/base/b/annotations/keep",
		// Of others.
		"p/main/base/", "p/main/base/a/data/base.tar", "p/mainly/base/a/backup.info", "p/main/bad\nname", "p//main/base/a/backup.info",
	} {
		m.objects[key] = []byte(key)
	}
	s := newSink(m, Options{})
	want := []string{
		"base/a/annotations/keep", "base/a/annotations/other", "base/a/backup.info", "base/a/data/16400.tar", "base/a/data/16400_0001.tar", "base/a/data/backup_manifest",
		"base/a/data/base.tar.gz", "base/a/data/base/1/2", "base/a/data/base_0001.tar.gz", "base/a/data/global/pg_control", "base/a/data/x", "base/a/data/x-y",
		"base/b/annotations/keep", "base/b/backup.info",
		segment, segment + ".00000028.backup", segment + ".partial", "wals/00000002.history",
	}
	for _, prefix := range []string{"", "b", "base/", "base/a/", "base/a/data/", "base/a/data/base", "base/a/an", "base/b", "wals/", segment, "nothing"} {
		var expected []string
		for _, name := range want {
			if len(name) >= len(prefix) && name[:len(prefix)] == prefix {
				expected = append(expected, name)
			}
		}
		if diff := cmp.Diff(expected, names(t, s.List(t.Context(), prefix))); diff != "" {
			t.Errorf("%q: %s", prefix, diff)
		}
	}
	if got := get(t, s, segment); got != "p/main/"+segment {
		t.Errorf("the plain segment is not the first choice: %q", got)
	}
	if got := get(t, s, "base/a/annotations/keep"); got != "p//main/base/a/annotations/keep" {
		t.Errorf("%q", got)
	}
	if got := get(t, s, "base/b/annotations/keep"); got != "p/main/base/b/annotations/keep" {
		t.Errorf("%q", got)
	}
	if err := s.Delete(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if left := names(t, s.List(t.Context(), "")); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	if len(m.objects) != 5 {
		t.Errorf("of what is others' %d are left", len(m.objects))
	}
}

func TestALostAnswerIsNoReasonToFail(t *testing.T) {
	for _, plain := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			m.plain = plain
			lost := map[string]bool{}
			m.lose = func(request string) bool {
				first := !lost[request]
				lost[request] = true
				return first
			}
			s := newSink(m, Options{PartSize: 1000})
			small, large := random(100), random(10_500)
			for name, content := range map[string][]byte{"small": small, "large": large} {
				if err := put(t, s, name, content); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if got := get(t, s, name); got != string(content) {
					t.Errorf("%s: other bytes came back", name)
				}
			}
			if len(lost) != 3 {
				t.Errorf("lost were %v", lost)
			}
		})
	}
}

func TestWhatAnotherOneStoredMeanwhileIsNotTakenForOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newSink(m, Options{PartSize: 1000})
		m.lose = func(request string) bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.objects["p/main/small"] = []byte("the other's bytes")
			return request == "put"
		}
		if err := put(t, s, "small", random(17)); sdk.KindOf(err) != sdk.Exists {
			t.Errorf("%v", err)
		}
	})
}

func TestPatienceEndsAndProofDoesNotNeedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newSink(m, Options{Patience: time.Minute})
		m.lose = func(string) bool { delete(m.objects, "p/main/a"); return true }
		begun := time.Now()
		err := put(t, s, "a", nil)
		if took := time.Since(begun); sdk.KindOf(err) != sdk.Unavailable || took < 45*time.Second || took > time.Minute {
			t.Errorf("after %s: %v", took, err)
		}
		begun = time.Now()
		if _, _, err := s.Get(t.Context(), "a"); sdk.KindOf(err) != sdk.NotFound || time.Since(begun) > 0 {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}

func TestPartsAreStoredSideBySideWithinBounds(t *testing.T) {
	for _, tc := range []struct {
		ordered bool
		most    int64
	}{{false, 3}, {true, 1}} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			m.partTime = time.Second
			m.limits.Ordered = tc.ordered
			s := newSink(m, Options{PartSize: 1000, Parallel: 3})
			content := random(9_999)
			if err := put(t, s, "base/a/data/base.tar", content); err != nil {
				t.Fatal(err)
			}
			if got := m.most.Load(); got != tc.most {
				t.Errorf("%d parts at once", got)
			}
			if tc.ordered && !slices.IsSorted(m.order) {
				t.Errorf("stored in the order %d", m.order)
			}
			if got := get(t, s, "base/a/data/base.tar"); got != string(content) {
				t.Error("other bytes came back")
			}
			if diff := cmp.Diff([]string{"p/main/base/"}, m.swept); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnUploadThatIsCancelledIsAborted(t *testing.T) {
	m := newMemory()
	s := newSink(m, Options{PartSize: 1000})
	ctx, cancel := context.WithCancel(t.Context())
	r := io.MultiReader(bytes.NewReader(random(5000)), cancelling(cancel))
	_, err := s.Put(ctx, sdk.Object{Name: "a", Size: sdk.SizeUnknown}, r)
	if sdk.KindOf(err) != sdk.Cancelled || len(m.objects) > 0 || m.pending != 0 {
		t.Errorf("%v; %d objects, %d uploads", err, len(m.objects), m.pending)
	}
}

type cancelling context.CancelFunc

func (c cancelling) Read([]byte) (int, error) {
	c()
	return 0, context.Canceled
}

func TestMoreThanWasAnnouncedIsNotStored(t *testing.T) {
	m := newMemory()
	_, err := newSink(m, Options{}).Put(t.Context(), sdk.Object{Name: "a", Size: 3}, bytes.NewReader([]byte("four")))
	if sdk.KindOf(err) != sdk.Corrupt || len(m.objects) > 0 {
		t.Errorf("%v", err)
	}
}

func TestAnyObjectFitsTheNumberOfParts(t *testing.T) {
	s3 := Limits{MinPart: 5 << 20, MaxPart: 5 << 30, MaxParts: 10_000}
	for _, base := range []int64{5 << 20, defaultPartSize, 1 << 30} {
		var total, within int64
		for number := 1; number <= s3.MaxParts; number++ {
			size := partSize(base, number, s3)
			if size < s3.MinPart || size > s3.MaxPart {
				t.Fatalf("part %d of an upload with %d has %d bytes", number, base, size)
			}
			total += size
			if size <= defaultPartSize {
				within = total
			}
		}
		if total < 5<<40 {
			t.Errorf("with %d no more than %d bytes fit", base, total)
		}
		if base == defaultPartSize && within < 100e9 {
			t.Errorf("parts grow after %d bytes", within)
		}
	}
	if size := partSize(16<<20, 1_000_000, Limits{}); size != 16<<20 {
		t.Errorf("without a limit parts have %d bytes", size)
	}
}

func TestBuffersAreBoundedAndUsedAgain(t *testing.T) {
	b := newBuffers(10<<20, new(collector))
	ctx, cancel := context.WithCancel(t.Context())
	first, err := b.take(ctx, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	large := b.tryTake(6 << 20)
	if large == nil || b.tryTake(1) != nil {
		t.Error("there is room for 10 MiB")
	}
	b.giveBack(large, true)
	b.giveBack(first, true)
	if again, _ := b.take(ctx, 4<<20); &again[0] != &first[0] {
		t.Error("the buffer was not used again")
	}
	cancel()
	if _, err := b.take(ctx, 100<<20); err == nil {
		t.Error("more than the room while some of it is taken")
	}
}

func TestBandwidthIsLimitedInBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}
		Throttle(transport, 100_000)
		conn, err := transport.DialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		content := random(1_000_000)
		go func() {
			got := make([]byte, len(content))
			_, _ = io.ReadFull(theirs, got)
			_, _ = theirs.Write(got)
			_ = theirs.Close()
		}()
		for _, move := range []func() error{
			func() error { _, err := conn.Write(content); return err },
			func() error {
				got, err := io.ReadAll(conn)
				if !bytes.Equal(got, content) {
					t.Error("other bytes came back")
				}
				return err
			},
		} {
			begun := time.Now()
			if err := move(); err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took < 9*time.Second || took > 11*time.Second {
				t.Errorf("a million bytes at 100,000 a second take %s", took)
			}
		}
	})
}
