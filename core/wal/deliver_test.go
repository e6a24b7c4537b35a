package wal

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
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
	"github.com/barman-go/barman/core/delivery"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/pgtest"
)

var sentAt = time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)

const (
	firstWAL  = "00000001000000000000000A"
	secondWAL = "00000001000000000000000B"
)

// parcel is a delivery of files, given as names and contents in turn.
func parcel(t *testing.T, algorithm delivery.Algorithm, namesAndContents ...string) []byte {
	t.Helper()
	var stream bytes.Buffer
	var files []delivery.File
	for i := 0; i < len(namesAndContents); i += 2 {
		content := namesAndContents[i+1]
		files = append(files, delivery.File{Name: namesAndContents[i], Size: int64(len(content)), ModTime: sentAt, Content: strings.NewReader(content)})
	}
	if err := delivery.Write(&stream, algorithm, files...); err != nil {
		t.Fatal(err)
	}
	return stream.Bytes()
}

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
	files := s.deliver(parcel(t, delivery.SHA256, firstWAL, string(segment), "00000002.history", "1\t0/9000000\tx\n"))
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
	good := parcel(t, delivery.SHA256, firstWAL, "content", secondWAL, "more")
	changed := func(old, new string) []byte { return bytes.Replace(good, []byte(old), []byte(new), 1) }
	cut := func(size int) []byte { return good[:size] }
	var link bytes.Buffer
	members := tar.NewWriter(&link)
	if err := errors.Join(members.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: firstWAL, Linkname: "/etc/passwd"}), members.Close()); err != nil {
		t.Fatal(err)
	}
	for name, hostile := range map[string]struct {
		stream []byte
		kind   sdk.ErrorKind
	}{
		"a changed file":     {changed("more", "less"), sdk.Corrupt},
		"another checksum":   {changed(fmt.Sprintf("%x", sha256.Sum256([]byte("more"))), strings.Repeat("0", 64)), sdk.Corrupt},
		"a missing file":     {append(bytes.Clone(good[:2048]), good[4096:]...), sdk.Invalid},
		"no list":            {append(bytes.Clone(good[:4096]), make([]byte, 1024)...), sdk.Invalid},
		"cut in a file":      {cut(1540), sdk.Unavailable},
		"cut in the list":    {cut(4096 + 1024 + 20), sdk.Unavailable},
		"something behind":   {append(bytes.Clone(good), "more"...), sdk.Invalid},
		"a symbolic link":    {link.Bytes(), sdk.Invalid},
		"a path":             {parcel(t, delivery.SHA256, "../"+firstWAL, "content"), sdk.Invalid},
		"an absolute path":   {parcel(t, delivery.SHA256, "/tmp/"+firstWAL, "content"), sdk.Invalid},
		"a name that is odd": {parcel(t, delivery.SHA256, "postgresql.conf", "content"), sdk.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := Deliver(t.Context(), s.Server, bytes.NewReader(hostile.stream))
			if sdk.KindOf(err) != hostile.kind || files != nil {
				t.Errorf("%v, %+v", err, files)
			}
			if left := append(s.files("incoming"), s.files("errors")...); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
	if _, err := Deliver(t.Context(), s.Server, bytes.NewReader(good)); err != nil {
		t.Error("what they were made of is not taken either:", err)
	}
}

func TestTheSameFileIsTakenAgain(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	stream := parcel(t, delivery.MD5, firstWAL, "content")
	s.deliver(stream)
	if files := s.deliver(stream); files[0].Outcome != Known {
		t.Errorf("%+v", files)
	}
	// gzip notes the time, so that what a sender compresses twice differs.
	plain := string(segmentOf(secondWAL, testSystemID, 1))
	gzipped := func(level string) []byte {
		return parcel(t, delivery.SHA256, secondWAL, string(tool(t, []byte(plain), "gzip", "-c", level)))
	}
	s.deliver(gzipped("-1"))
	first := s.incoming(secondWAL)
	if files := s.deliver(gzipped("-9")); files[0].Outcome != Known {
		t.Errorf("%+v", files)
	}
	if files := s.deliver(parcel(t, delivery.SHA256, secondWAL, plain)); files[0].Outcome != Known {
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
	s.deliver(parcel(t, delivery.SHA256, firstWAL, "the first"))
	files := s.deliver(parcel(t, delivery.SHA256, firstWAL, "the second"))
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
			if files := s.deliver(parcel(t, delivery.SHA256, firstWAL, "content")); files[0].Outcome != SetAside {
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
		if files := s.deliver(parcel(t, delivery.SHA256, firstWAL, whole)); files[0].Outcome != Accepted {
			t.Errorf("%+v", files)
		}
		if s.incoming(firstWAL) != whole {
			t.Errorf("%d bytes stayed", size)
		}
	}
	// The longer one is not replaced by its beginning.
	if files := s.deliver(parcel(t, delivery.SHA256, firstWAL, whole[:100])); files[0].Outcome != SetAside || s.incoming(firstWAL) != whole {
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
		_, err := Deliver(t.Context(), s.Server, bytes.NewReader(parcel(t, delivery.SHA256, firstWAL, "content")))
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
	stream := parcel(t, delivery.SHA256, firstWAL, "content")
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
	_, err := Deliver(t.Context(), s.Server, bytes.NewReader(parcel(t, delivery.SHA256, firstWAL, string(random))))
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("error %v", err)
	}
	if left := s.files("incoming"); len(left) > 0 {
		t.Errorf("%q", left)
	}
	s.deliver(parcel(t, delivery.SHA256, firstWAL, string(random[:1<<20])))
}

// Many send one segment at once, some of them another content, while the
// archiver takes files away: all that is acknowledged is kept, whole.
func TestSendersOfOneSegmentAtOnceLoseNothing(t *testing.T) {
	s := newSite(t, t.TempDir(), plainLine)
	contents := []string{string(segmentOf(firstWAL, testSystemID, 1)), string(segmentOf(firstWAL, testSystemID, 2))}
	for round := range 5 {
		var group errgroup.Group
		for i := range 6 {
			stream := parcel(t, delivery.SHA256, firstWAL, contents[i%2])
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
	stream := parcel(t, delivery.SHA256, firstWAL, string(segmentOf(firstWAL, testSystemID, 1)))
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
	s.put("incoming", "."+secondWAL+".123.tmp", []byte("half of one that never comes again"))
	s.archive()
	if diff := cmp.Diff(held, s.files("incoming")); diff != "" {
		t.Errorf("after archiving: %s", diff)
	}
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
