package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/pgtest"
)

// deliver delivers a stream, which must be taken.
func (s *site) deliver(stream []byte) []File {
	s.t.Helper()
	files, err := Deliver(s.t.Context(), s.Server, bytes.NewReader(stream))
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

func (s *site) incoming(name string) string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, "incoming", name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(content)
}

func TestADeliveryIsInTheIncomingDirectoryAndGetsArchived(t *testing.T) {
	s := newSite(t, t.TempDir(), zstdLine)
	segment := segmentOf(firstWAL, testSystemID, 1)
	files := s.deliver(send(t).file(firstWAL, string(segment)).file("./00000002.history", "1\t0/9000000\tx\n").sums().end())
	want := []File{{Name: firstWAL, Origin: Incoming, Outcome: Accepted}, {Name: "00000002.history", Origin: Incoming, Outcome: Accepted}}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(filepath.Join(s.dir, "incoming", firstWAL))
	if err != nil {
		t.Fatal(err)
	}
	if !info.ModTime().Equal(sentAt) || info.Mode() != 0o600 {
		t.Errorf("%s, %s", info.ModTime(), info.Mode())
	}
	if diff := cmp.Diff([]string{firstWAL, "00000002.history"}, s.files("incoming")); diff != "" {
		t.Error(diff)
	}
	s.archive()
	if !bytes.Equal(s.stored(firstWAL), segment) {
		t.Error("not what was delivered")
	}
}

func TestAHostileDeliveryLeavesNoTrace(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	for name, h := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			files, err := Deliver(t.Context(), s.Server, bytes.NewReader(h.stream))
			if sdk.KindOf(err) != h.kind || !strings.Contains(err.Error(), h.says) || files != nil {
				t.Errorf("%v: %v", sdk.KindOf(err), err)
			}
			for _, dir := range []string{"incoming", "errors", "."} {
				for _, left := range s.files(dir) {
					if strings.Contains(left, "000000") || left == "passwd" {
						t.Errorf("in %s: %s", dir, left)
					}
				}
			}
		})
	}
}

func TestTheSameFileIsTakenAgain(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	stream := send(t).file(firstWAL, "content").md5s().end()
	s.deliver(stream)
	if files := s.deliver(stream); files[0].Outcome != Known {
		t.Errorf("%+v", files)
	}
	// gzip notes the time, so that what a sender compresses twice differs.
	plain := string(segmentOf(secondWAL, testSystemID, 1))
	gzipped := func(level string) []byte {
		return send(t).file(secondWAL, string(tool(t, []byte(plain), "gzip", "-c", level))).sums().end()
	}
	s.deliver(gzipped("-1"))
	first := s.incoming(secondWAL)
	if files := s.deliver(gzipped("-9")); files[0].Outcome != Known {
		t.Errorf("%+v", files)
	}
	if files := s.deliver(send(t).file(secondWAL, plain).sums().end()); files[0].Outcome != Known {
		t.Errorf("%+v", files)
	}
	if s.incoming(secondWAL) != first {
		t.Error("the first one was touched")
	}
	if diff := cmp.Diff([]string{firstWAL, secondWAL}, s.files("incoming")); diff != "" {
		t.Error(diff)
	}
}

func TestAnotherFileUnderATakenNameIsSetAside(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	s.deliver(send(t).file(firstWAL, "the first").sums().end())
	files := s.deliver(send(t).file(firstWAL, "the second").sums().end())
	if files[0].Outcome != SetAside || files[0].Path == "" {
		t.Errorf("%+v", files)
	}
	kept, err := os.ReadFile(files[0].Path)
	if err != nil || string(kept) != "the second" {
		t.Errorf("%q, %v", kept, err)
	}
	if diff := cmp.Diff([]string{firstWAL}, withSuffix(s.files("errors"), "duplicate")); diff != "" {
		t.Error(diff)
	}
	if s.incoming(firstWAL) != "the first" {
		t.Error("the first one was touched")
	}
	for _, other := range []string{"directory", "link"} {
		t.Run(other, func(t *testing.T) {
			s := newSite(t, t.TempDir(), plainLine)
			path := filepath.Join(s.dir, "incoming", firstWAL)
			outside := filepath.Join(t.TempDir(), "outside")
			err := os.Symlink(outside, path)
			if other == "directory" {
				err = errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
			}
			if err != nil {
				t.Fatal(err)
			}
			if files := s.deliver(send(t).file(firstWAL, "content").sums().end()); files[0].Outcome != SetAside {
				t.Errorf("%+v", files)
			}
			if _, err := os.Lstat(outside); !os.IsNotExist(err) {
				t.Error("a link was followed")
			}
		})
	}
}

func TestAFileTakesThePlaceOfItsOwnBeginning(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	whole := string(segmentOf(firstWAL, testSystemID, 1))
	for _, size := range []int{0, 1, len(whole) - 1} {
		s.put("incoming", firstWAL, []byte(whole[:size]))
		if files := s.deliver(send(t).file(firstWAL, whole).sums().end()); files[0].Outcome != Accepted {
			t.Errorf("%+v", files)
		}
		if s.incoming(firstWAL) != whole {
			t.Errorf("%d bytes stayed", size)
		}
	}
	// The longer one is not replaced by its beginning.
	if files := s.deliver(send(t).file(firstWAL, whole[:100]).sums().end()); files[0].Outcome != SetAside || s.incoming(firstWAL) != whole {
		t.Errorf("%+v", files)
	}
}

func TestABeginningIsReplacedOnlyWhileNobodyArchives(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	s.put("incoming", firstWAL, []byte("con"))
	lock, err := s.Catalogue.Lock(catalogue.LockArchiveWAL)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := Deliver(t.Context(), s.Server, bytes.NewReader(send(t).file(firstWAL, "content").sums().end()))
		ended <- err
	}()
	within(t, time.Minute, "delivering", func() bool { return len(s.files("incoming")) == 2 })
	time.Sleep(50 * time.Millisecond)
	if s.incoming(firstWAL) != "con" {
		t.Error("replaced while somebody archives")
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || s.incoming(firstWAL) != "content" {
		t.Errorf("%v", err)
	}
}

func TestAServerThatAcceptsNoDeliveriesSaysSo(t *testing.T) {
	stream := send(t).file(firstWAL, "content").sums().end()
	off := newSite(t, t.TempDir(), "archive = false\nsource \"pgreceivewal\" {}\nsink \"posix\" {}")
	if _, err := Deliver(t.Context(), off.Server, bytes.NewReader(stream)); sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "archive = true") {
		t.Errorf("error %v", err)
	}
	inactive := newSiteFor(t, t.TempDir(), "conninfo = \"host=x\"\nactive = false", plainLine)
	if _, err := Deliver(t.Context(), inactive.Server, bytes.NewReader(stream)); sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "inactive") {
		t.Errorf("error %v", err)
	}
	for _, s := range []*site{off, inactive} {
		if left := s.files("incoming"); len(left) > 0 {
			t.Errorf("%q", left)
		}
	}
}

func TestADeliveryThatDoesNotFitLeavesNothing(t *testing.T) {
	s := newSite(t, pgtest.Tmpfs(t, 2<<20), plainLine)
	random := make([]byte, 3<<20)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	_, err := Deliver(t.Context(), s.Server, bytes.NewReader(send(t).file(firstWAL, string(random)).sums().end()))
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("error %v", err)
	}
	if left := s.files("incoming"); len(left) > 0 {
		t.Errorf("%q", left)
	}
	s.deliver(send(t).file(firstWAL, string(random[:1<<20])).sums().end())
}

// Many send one segment at once, some of them another content, while the
// archiver takes files away: all that is acknowledged is kept, whole.
func TestSendersOfOneSegmentAtOnceLoseNothing(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	contents := []string{string(segmentOf(firstWAL, testSystemID, 1)), string(segmentOf(firstWAL, testSystemID, 2))}
	for round := range 5 {
		var group errgroup.Group
		for i := range 6 {
			stream := send(t).file(firstWAL, contents[i%2]).sums().end()
			group.Go(func() error {
				files, err := Deliver(t.Context(), s.Server, bytes.NewReader(stream))
				if err == nil && len(files) != 1 {
					err = fmt.Errorf("%+v", files)
				}
				return err
			})
		}
		group.Go(func() error {
			_, err := Archive(t.Context(), s.Server, ArchiveOptions{})
			if sdk.KindOf(err) == sdk.Busy {
				return nil
			}
			return err
		})
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		s.archive()
		kept := map[string]bool{string(s.stored(firstWAL)): true}
		for _, name := range s.files("errors") {
			content, err := os.ReadFile(filepath.Join(s.dir, "errors", name))
			if err != nil {
				t.Fatal(err)
			}
			kept[string(content)] = true
		}
		if len(kept) != 2 || !kept[contents[0]] || !kept[contents[1]] {
			t.Fatalf("round %d: %d contents are kept", round, len(kept))
		}
		if left := s.files("incoming"); len(left) > 0 {
			t.Fatalf("left behind: %q", left)
		}
		if diff := cmp.Diff([]string{firstWAL}, s.recorded(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestWhatAKilledDeliveryLeftIsSweptUp(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	r, w := io.Pipe()
	stream := send(t).file(firstWAL, string(segmentOf(firstWAL, testSystemID, 1))).sums().end()
	ended := make(chan error, 1)
	go func() {
		_, err := Deliver(t.Context(), s.Server, r)
		ended <- err
	}()
	if _, err := w.Write(stream[:1536]); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "delivering", func() bool { return len(s.files("incoming")) == 1 })
	held := s.files("incoming")
	s.put("incoming", "."+firstWAL+".123.tmp", []byte("half"))
	s.deliver(stream)
	if diff := cmp.Diff(append(held, firstWAL), s.files("incoming")); diff != "" {
		t.Errorf("the leftover is there, or what is still under way is not: %s", diff)
	}
	s.archive()
	if err := w.CloseWithError(io.ErrUnexpectedEOF); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("error %v", err)
	}
	if left := s.files("incoming"); len(left) > 0 {
		t.Errorf("%q", left)
	}
}
