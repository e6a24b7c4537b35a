package fetch

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/barman-go/barman/core/internal/plugintest"
	corewal "github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

func TestMain(m *testing.M) {
	os.Exit(plugintest.Main(m, "plugins/sink-posix", "plugins/compress", "core/fetch/testdata/inverted"))
}

const (
	first   = "000000010000000000000001"
	second  = "000000010000000000000002"
	history = "00000002.history"
)

var historyText = []byte("1\t0/3000000\tno recovery target specified\n")

// site is a server whose archive tests fill by hand.
type site struct {
	*plugintest.Server
	t *testing.T
}

const ownSink = `wal {
  archive = true
  sink "posix" {}
}`

func newSite(t *testing.T, blocks string) *site {
	t.Helper()
	return &site{Server: plugintest.NewServer(t, blocks), t: t}
}

// put makes a file, below the server's directory.
func (s *site) put(content []byte, elements ...string) string {
	s.t.Helper()
	path := filepath.Join(append([]string{s.Home, "main"}, elements...)...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// archived puts a file into the archive.
func (s *site) archived(name string, content []byte) string {
	s.t.Helper()
	n := parsed(s.t, name)
	return s.put(content, "wals", n.HashDir(), name)
}

func parsed(t *testing.T, name string) wal.Name {
	t.Helper()
	n, err := wal.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (s *site) write(request Request) (Result, []byte, error) {
	s.t.Helper()
	var out bytes.Buffer
	result, err := Write(s.t.Context(), s.Server.Server, request, &out)
	return result, out.Bytes(), err
}

// wantBytes fails the test unless a file is found and has this content.
func (s *site) wantBytes(request Request, want []byte) Result {
	s.t.Helper()
	result, got, err := s.write(request)
	if err != nil {
		s.t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		s.t.Fatalf("%s: %d bytes that differ from the %d expected", request.Name, len(got), len(want))
	}
	return result
}

// wantKind fails the test unless getting a file fails so, with less than all of
// it written.
func (s *site) wantKind(request Request, want sdk.ErrorKind) error {
	s.t.Helper()
	_, got, err := s.write(request)
	if sdk.KindOf(err) != want || err == nil {
		s.t.Errorf("%s: %v, want an error of kind %s", request.Name, err, want)
	}
	if int64(len(got)) >= int64(wal.MinSegmentSize) {
		s.t.Errorf("%s: all of a segment was written before the error", request.Name)
	}
	return err
}

func compressed(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := codec.NewWriter(name, "", &b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatIsStoredInAnyFormatComesOutAsItWas(t *testing.T) {
	s := newSite(t, ownSink)
	content := plugintest.Segment(t, first)
	for _, name := range append(codec.Names(), "") {
		stored, text := content, historyText
		if name != "" {
			stored, text = compressed(t, name, content), compressed(t, name, historyText)
		}
		s.archived(first, stored)
		s.archived(history, text)
		s.wantBytes(Request{Name: parsed(t, first)}, content)
		s.wantBytes(Request{Name: parsed(t, history)}, historyText)
		s.wantBytes(Request{Name: parsed(t, first), Stored: true}, stored)
		for _, wanted := range []string{codec.Gzip, codec.Bzip2} {
			_, got, err := s.write(Request{Name: parsed(t, first), Codec: wanted})
			if err != nil {
				t.Fatal(err)
			}
			if codec.Detect(got) != wanted {
				t.Errorf("%s was asked for, and %q came", wanted, codec.Detect(got))
			}
			plain, _, err := codec.Decoded(bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(plain); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s: it does not hold the segment: %v", wanted, err)
			}
		}
	}
}

func TestEveryPlaceIsSearchedInTurn(t *testing.T) {
	s := newSite(t, ownSink)
	content := plugintest.Segment(t, first)
	begun := bytes.Clone(content[:8192])
	full := append(bytes.Clone(begun), make([]byte, len(content)-len(begun))...)
	name := Request{Name: parsed(t, first)}
	partial := Request{Name: name.Name, Partial: true}

	var missing *MissingError
	if err := s.wantKind(partial, sdk.NotFound); !errors.As(err, &missing) {
		t.Errorf("%v is no *MissingError", err)
	}
	// From the last place to the first: each is preferred to those before.
	for _, place := range []struct {
		path    []string
		content []byte
		want    Result
	}{
		{[]string{"incoming", first + ".partial"}, begun, Result{Name: first + ".partial", Place: Incoming}},
		{[]string{"wals", first[:16], first + ".partial"}, begun, Result{Name: first + ".partial", Place: Archive}},
		{[]string{"streaming", first + ".partial"}, begun, Result{Name: first + ".partial", Place: Streaming}},
		{[]string{"streaming", first}, content, Result{Name: first, Place: Streaming}},
		{[]string{"incoming", first}, content, Result{Name: first, Place: Incoming}},
		{[]string{"wals", first[:16], first}, content, Result{Name: first, Place: Archive}},
	} {
		s.put(place.content, place.path...)
		want := full
		if place.want.Name == first {
			want = content
			s.wantBytes(name, want)
		} else {
			s.wantKind(name, sdk.NotFound)
		}
		got := s.wantBytes(partial, want)
		if got.Name != place.want.Name || got.Place != place.want.Place || got.Bytes != int64(len(content)) {
			t.Errorf("%v: found %+v", place.path, got)
		}
	}
	// By its own name it comes as it is.
	s.wantBytes(Request{Name: parsed(t, first+".partial")}, begun)
}

func TestAnUnfinishedSegmentWithoutWALIsNone(t *testing.T) {
	s := newSite(t, ownSink)
	for _, empty := range [][]byte{nil, make([]byte, 100), make([]byte, wal.MinSegmentSize)} {
		s.put(empty, "streaming", first+".partial")
		s.wantKind(Request{Name: parsed(t, first), Partial: true}, sdk.NotFound)
	}
}

func TestAFileThatIsStillDeliveredIsNotMissing(t *testing.T) {
	s := newSite(t, ownSink)
	content := plugintest.Segment(t, first)
	for _, half := range [][]byte{nil, content[:10], content[:len(content)/2], compressed(t, codec.Gzip, content)[:5000]} {
		s.put(half, "incoming", first)
		s.wantKind(Request{Name: parsed(t, first)}, sdk.Unavailable)
	}
	// Who has it elsewhere need not wait.
	s.put(content, "streaming", first)
	s.put(content[:100], "incoming", first)
	s.wantBytes(Request{Name: parsed(t, first)}, content)
}

func TestDamageIsNotMissing(t *testing.T) {
	s := newSite(t, ownSink)
	content := plugintest.Segment(t, first)
	zipped := compressed(t, codec.Zstd, content)
	flipped := bytes.Clone(zipped)
	flipped[len(flipped)/2] ^= 0x55
	for what, stored := range map[string][]byte{
		"empty":             {},
		"short":             content[:len(content)-8192],
		"long":              append(bytes.Clone(content), 0),
		"another's":         plugintest.Segment(t, second),
		"another's, zipped": compressed(t, codec.LZ4, plugintest.Segment(t, second)),
		"zeros":             make([]byte, len(content)),
		"garbage":           bytes.Repeat([]byte("garbage"), 1000),
		"cut":               zipped[:len(zipped)-9],
		"flipped":           flipped,
		"zipped, short":     compressed(t, codec.Gzip, content[:len(content)-1]),
		"zipped, long":      compressed(t, codec.Gzip, append(bytes.Clone(content), 0)),
	} {
		s.archived(first, stored)
		if err := s.wantKind(Request{Name: parsed(t, first)}, sdk.Corrupt); err == nil {
			t.Errorf("%s: no error", what)
		}
		s.wantKind(Request{Name: parsed(t, first), Stored: true}, sdk.Corrupt)
		directory := t.TempDir()
		if _, err := WriteFile(t.Context(), s.Server.Server, Request{Name: parsed(t, first)}, filepath.Join(directory, first)); err == nil {
			t.Errorf("%s: a file was written", what)
		}
		if left, err := os.ReadDir(directory); err != nil || len(left) > 0 {
			t.Errorf("%s: %v was left behind, %v", what, left, err)
		}
	}
	s.archived(history, []byte("1\t0/30000"))
	s.wantKind(Request{Name: parsed(t, history)}, sdk.Corrupt)
}

func TestALinkLeadsNowhere(t *testing.T) {
	s := newSite(t, ownSink)
	elsewhere := s.put(plugintest.Segment(t, first), "elsewhere")
	link := s.archived(first, nil)
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.write(Request{Name: parsed(t, first)}); err == nil {
		t.Error("a link was followed")
	}
}

func TestAnArchiveThatIsNotMountedHasNotLostItsFiles(t *testing.T) {
	s := newSite(t, ownSink)
	if err := os.Remove(filepath.Join(s.Home, "main", "wals")); err != nil {
		t.Fatal(err)
	}
	s.wantKind(Request{Name: parsed(t, first)}, sdk.Unavailable)
}

// Files move from place to place while they are looked for, as receive-wal and
// archive-wal move them, and are always found, and always whole.
func TestAFileThatMovesIsNeverMissed(t *testing.T) {
	s := newSite(t, ownSink)
	content := plugintest.Segment(t, first)
	begun := s.put(content, "streaming", first+".partial")
	received := filepath.Join(filepath.Dir(begun), first)
	archived := filepath.Join(filepath.Dir(s.archived(second, nil)), first)
	for round := range 300 {
		var moving sync.WaitGroup
		moving.Go(func() {
			time.Sleep(time.Duration(round) * time.Microsecond)
			err := os.Rename(begun, received)
			// The archiver stores a copy before it removes what came.
			if err := errors.Join(err, os.Link(received, archived), os.Remove(received)); err != nil {
				t.Error(err)
			}
		})
		_, got, err := s.write(Request{Name: parsed(t, first), Partial: true})
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("round %d: %d bytes, %v", round, len(got), err)
		}
		moving.Wait()
		if err := os.Rename(archived, begun); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatAThirdPartysTransformHidesIsRevealed(t *testing.T) {
	const hidden = `wal {
  archive = true
  transform "compress" { codec = "zstd" }
  transform "inverted" {}
  sink "posix" {}
}`
	s := newSite(t, hidden)
	content := plugintest.Segment(t, first)
	s.put(content, "incoming", first)
	s.put(historyText, "incoming", history)
	if _, err := corewal.Archive(t.Context(), s.Server.Server, corewal.ArchiveOptions{}); err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(s.Catalogue.WALPath(parsed(t, first)))
	if err != nil {
		t.Fatal(err)
	}
	if codec.Detect(stored) != "" || bytes.Equal(stored[:8192], content[:8192]) {
		t.Fatal("what is stored is not hidden, so this proves nothing")
	}
	s.wantBytes(Request{Name: parsed(t, first)}, content)
	s.wantBytes(Request{Name: parsed(t, history)}, historyText)
	_, kept, err := s.write(Request{Name: parsed(t, first), Stored: true})
	if err != nil || codec.Detect(kept) != codec.Zstd {
		t.Errorf("with the compression kept it is %q: %v", codec.Detect(kept), err)
	}
	s.wantKind(Request{Name: parsed(t, second)}, sdk.NotFound)
	// What was archived before there was the transform is recognised without it.
	s.archived(second, plugintest.Segment(t, second))
	s.wantBytes(Request{Name: parsed(t, second)}, plugintest.Segment(t, second))
}

func TestWhatACommandCompressedIsReadByIt(t *testing.T) {
	s := newSite(t, `wal {
  archive = true
  transform "compress" {
    codec                = "zstd" # today
    decompression_filter = "tail -c +5 | gzip -d"
    magic                = "0x5a495021"
  }
  sink "posix" {}
}`)
	content := plugintest.Segment(t, first)
	s.archived(first, append([]byte("ZIP!"), compressed(t, codec.Gzip, content)...))
	s.wantBytes(Request{Name: parsed(t, first)}, content)
	s.wantBytes(Request{Name: parsed(t, first), Stored: true}, content)
}

func TestAStoreElsewhereIsAskedItself(t *testing.T) {
	elsewhere := t.TempDir()
	s := newSite(t, "wal {\n archive = true\n sink \"posix\" { path = \""+elsewhere+"\" }\n}")
	content := plugintest.Segment(t, first)
	for _, name := range []string{first, second} {
		path := filepath.Join(elsewhere, "wals", name[:16], name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, compressed(t, codec.LZ4, plugintest.Segment(t, name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.wantBytes(Request{Name: parsed(t, first)}, content)
	s.wantKind(Request{Name: parsed(t, history), Partial: true}, sdk.NotFound)
	names, err := Names(t.Context(), s.Server.Server, Request{Name: parsed(t, first)}, 10)
	if err != nil || !slices.Equal(names, []string{first, second}) {
		t.Errorf("%v, %v", names, err)
	}
}

func TestNamesFollowEachOtherAcrossLogsUntilTheFirstGap(t *testing.T) {
	s := newSite(t, ownSink)
	last, next := "000000010000000000000FFF", "000000010000000100000000" // of segments of 1 MB
	s.archived(last, compressed(t, codec.Zstd, plugintest.Segment(t, last)))
	s.put(plugintest.Segment(t, next), "incoming", next)
	s.put([]byte("x"), "streaming", "000000010000000100000001")
	s.archived("000000010000000100000003", []byte("x"))
	for n, want := range map[int][]string{
		1: {last}, 2: {last, next}, 10: {last, next, "000000010000000100000001"},
	} {
		got, err := Names(t.Context(), s.Server.Server, Request{Name: parsed(t, last)}, n)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d: %v, %v, want %v", n, got, err, want)
		}
	}
	// A file that does not tell the size of segments is followed, too.
	s.archived("000000010000000500000100", nil)
	s.archived("0000000100000005000000FF", []byte("x"))
	s.archived("000000010000000600000000", []byte("x"))
	got, err := Names(t.Context(), s.Server.Server, Request{Name: parsed(t, "0000000100000005000000FF")}, 10)
	if want := []string{"0000000100000005000000FF", "000000010000000600000000"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	s.archived(history, historyText)
	for name, want := range map[string]int{history: 1, "00000003.history": 0, "000000010000000900000000": 0} {
		if got, err := Names(t.Context(), s.Server.Server, Request{Name: parsed(t, name)}, 5); err != nil || len(got) != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestATarArchiveHoldsTheSegmentsUntilTheFirstGap(t *testing.T) {
	s := newSite(t, ownSink)
	s.archived(first, compressed(t, codec.Zstd, plugintest.Segment(t, first)))
	s.put(plugintest.Segment(t, second), "incoming", second)
	for _, request := range []Request{{}, {Codec: codec.Gzip}, {Stored: true}} {
		request.Name = parsed(t, first)
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		results, err := WriteTar(t.Context(), s.Server.Server, request, 10, w)
		if err := errors.Join(err, w.Close()); err != nil || len(results) != 2 {
			t.Fatalf("%v, %v", results, err)
		}
		archive := tar.NewReader(&b)
		for _, want := range []string{first, second} {
			header, err := archive.Next()
			if err != nil || header.Name != want {
				t.Fatalf("%v, %v", header, err)
			}
			plain, _, err := codec.Decoded(archive)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(plain); err != nil || !bytes.Equal(got, plugintest.Segment(t, want)) {
				t.Errorf("%s: %v", want, err)
			}
		}
	}
	var missing *MissingError
	if _, err := WriteTar(t.Context(), s.Server.Server, Request{Name: parsed(t, history)}, 10, tar.NewWriter(io.Discard)); !errors.As(err, &missing) {
		t.Error(err)
	}
}

func TestAFailureToWriteIsToldAsSuch(t *testing.T) {
	s := newSite(t, ownSink)
	s.archived(first, plugintest.Segment(t, first))
	_, err := Write(t.Context(), s.Server.Server, Request{Name: parsed(t, first)}, broken{})
	if !errors.Is(err, errBroken) || sdk.KindOf(err) == sdk.Corrupt {
		t.Error(err)
	}
	if _, err := WriteFile(t.Context(), s.Server.Server, Request{Name: parsed(t, first)}, filepath.Join(s.Home, "none", first)); sdk.KindOf(err) != sdk.Invalid {
		t.Error(err)
	}
}

var errBroken = errors.New("broken pipe")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }
