package cloud

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/core/fetch"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

func walFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func parsed(t *testing.T, name string) wal.Name {
	t.Helper()
	n, err := wal.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (p *place) wantRestored(name, content string) {
	p.t.Helper()
	to := filepath.Join(p.t.TempDir(), "RECOVERYXLOG")
	if err := p.RestoreWAL(p.t.Context(), WALRequest{Name: parsed(p.t, name), Destination: to, Partial: true}); err != nil {
		p.t.Errorf("%s: %v", name, err)
		return
	}
	if got, err := os.ReadFile(to); err != nil || string(got) != content {
		p.t.Errorf("%s: %q, %v", name, got, err)
	}
}

func TestWALComesBackWhateverItIsCompressedWith(t *testing.T) {
	p := newPlace(t)
	for i, name := range append(codec.Names(), "") {
		if err := p.ArchiveWAL(t.Context(), walFile(t, segment(i), "content of "+segment(i)), Compression{Codec: name}); err != nil {
			t.Fatal(err)
		}
		if stored := codec.Detect([]byte(p.read("wals/0000000100000000/" + segment(i)))); stored != name && name != codec.Pigz {
			t.Errorf("%s is stored as %q", name, stored)
		}
		p.wantRestored(segment(i), "content of "+segment(i))
	}
	for _, name := range []string{"00000002.history", segment(1) + ".partial", segment(1) + ".00000028.backup"} {
		if err := p.ArchiveWAL(t.Context(), walFile(t, name, name), Compression{}); err != nil {
			t.Fatal(err)
		}
		p.wantRestored(name, name)
	}
}

func TestAFileThatIsCompressedAlreadyIsStoredAsItIs(t *testing.T) {
	p := newPlace(t)
	var compressed bytes.Buffer
	w, err := codec.NewWriter(codec.Gzip, "", &compressed)
	if err == nil {
		_, err = w.Write([]byte("content"))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	if err := p.ArchiveWAL(t.Context(), walFile(t, segment(1), compressed.String()), Compression{Codec: codec.Zstd}); err != nil {
		t.Fatal(err)
	}
	if p.read("wals/0000000100000000/"+segment(1)) != compressed.String() {
		t.Error("other bytes are stored")
	}
	p.wantRestored(segment(1), "content")
}

func TestTheSameFileAgainIsFineAndAnotherOneIsNot(t *testing.T) {
	p := newPlace(t)
	for _, compression := range []Compression{{}, {Codec: codec.Zstd}} {
		if err := p.ArchiveWAL(t.Context(), walFile(t, segment(1), "content"), compression); err != nil {
			t.Errorf("%+v: %v", compression, err)
		}
	}
	if err := p.ArchiveWAL(t.Context(), walFile(t, segment(1), "others"), Compression{}); sdk.KindOf(err) != sdk.Exists {
		t.Errorf("%v", err)
	}
	p.wantRestored(segment(1), "content")
}

func TestWhatIsNoWALFileIsNotArchived(t *testing.T) {
	p := newPlace(t)
	for path, kind := range map[string]sdk.ErrorKind{
		walFile(t, "notes.txt", "x"): sdk.Invalid, walFile(t, segment(1), ""): sdk.Invalid, filepath.Join(t.TempDir(), segment(1)): sdk.NotFound,
	} {
		if err := p.ArchiveWAL(t.Context(), path, Compression{}); sdk.KindOf(err) != kind {
			t.Errorf("%s: %v", path, err)
		}
	}
	p.want()
}

func TestAnUnfinishedSegmentIsTakenOnlyWithoutAFinishedOne(t *testing.T) {
	p := newPlace(t)
	p.write("wals/0000000100000000/"+segment(1)+".partial", "unfinished")
	p.wantRestored(segment(1), "unfinished")
	p.write("wals/0000000100000000/"+segment(1), "finished")
	p.wantRestored(segment(1), "finished")
}

func TestNothingAppearsUnlessItIsWhole(t *testing.T) {
	p := newPlace(t)
	p.write("wals/0000000100000000/"+segment(2)+".partial", "unfinished")
	p.write("wals/0000000100000000/"+segment(3), "\x1f\x8b\x08\x00cut off")
	p.write("wals/0000000100000000/"+segment(4), "")
	to := filepath.Join(t.TempDir(), "RECOVERYXLOG")
	for _, n := range []int{1, 2} {
		var missing *fetch.MissingError
		if err := p.RestoreWAL(t.Context(), WALRequest{Name: parsed(t, segment(n)), Destination: to}); !errors.As(err, &missing) {
			t.Errorf("%v", err)
		}
	}
	for _, n := range []int{3, 4} {
		if err := p.RestoreWAL(t.Context(), WALRequest{Name: parsed(t, segment(n)), Destination: to}); err == nil || sdk.KindOf(err) == sdk.NotFound {
			t.Errorf("%v", err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// page is how a segment of 16 MiB begins on a little-endian machine.
func page(number byte) string {
	header := make([]byte, wal.LongPageHeaderSize)
	binary.LittleEndian.PutUint16(header, 0xD110) // of PostgreSQL 15
	binary.LittleEndian.PutUint16(header[2:], 2)  // XLP_LONG_HEADER
	binary.LittleEndian.PutUint32(header[4:], 1)
	binary.LittleEndian.PutUint64(header[8:], uint64(number)<<24)
	binary.LittleEndian.PutUint64(header[24:], 7000000000000000001)
	binary.LittleEndian.PutUint32(header[32:], 16<<20)
	binary.LittleEndian.PutUint32(header[36:], 8192)
	return string(header)
}

func TestASegmentIsWholeAndTheOneThatWasWanted(t *testing.T) {
	p := newPlace(t)
	whole := page(1) + strings.Repeat("w", 16<<20-wal.LongPageHeaderSize)
	p.write("wals/0000000100000000/"+segment(1), whole)
	p.write("wals/0000000100000000/"+segment(2), whole)
	p.write("wals/0000000100000000/"+segment(3), page(3)+"cut off")
	p.write("wals/0000000100000000/"+segment(4)+".partial", page(4)+"unfinished")
	p.wantRestored(segment(1), whole)
	p.wantRestored(segment(2), whole)
	p.wantRestored(segment(4), page(4)+"unfinished"+strings.Repeat("\x00", 16<<20-wal.LongPageHeaderSize-len("unfinished")))
	to := filepath.Join(t.TempDir(), "RECOVERYXLOG")
	if err := p.RestoreWAL(t.Context(), WALRequest{Name: parsed(t, segment(2)), Destination: to, Examine: true}); sdk.KindOf(err) != sdk.Corrupt {
		t.Errorf("another segment: %v", err)
	}
	if err := p.RestoreWAL(t.Context(), WALRequest{Name: parsed(t, segment(3)), Destination: to}); sdk.KindOf(err) != sdk.Corrupt {
		t.Errorf("half a segment: %v", err)
	}
	if _, err := os.Stat(to); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
}
