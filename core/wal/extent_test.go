package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/barman-go/barman/test/pgtest"
)

// current is the segment that a server writes, and how far it has written it.
func current(t *testing.T, c *pgtest.Cluster) (content []byte, written int64) {
	t.Helper()
	c.Exec("CHECKPOINT")
	name := pgtest.One[string](c, "SELECT pg_walfile_name(pg_current_wal_lsn())")
	written = pgtest.One[int64](c, "SELECT file_offset::bigint FROM pg_walfile_name_offset(pg_current_wal_lsn())")
	content, err := os.ReadFile(filepath.Join(c.DataDir, "pg_wal", name))
	if err != nil {
		t.Fatal(err)
	}
	return content, written
}

func extentOf(t *testing.T, content []byte) int64 {
	t.Helper()
	got, err := Extent(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTheExtentOfASegmentIsWhatPostgreSQLHasWritten(t *testing.T) {
	pgtest.EachVersion(t, func(t *testing.T, major int) {
		c := pgtest.Start(t, pgtest.Options{Major: major, SegmentSizeMB: 1, Config: map[string]string{"autovacuum": "off", "wal_recycle": "on", "min_wal_size": "20MB"}})
		c.Exec("CREATE TABLE filler (text text)")
		for range 3 { // so that segments are recycled: behind the end there is old WAL
			c.Exec("INSERT INTO filler SELECT repeat(md5(i::text), 20) FROM generate_series(1, 3000) i")
			c.Exec("CHECKPOINT")
		}
		c.Exec("INSERT INTO filler SELECT repeat('x', 500) FROM generate_series(1, 300)")
		content, written := current(t, c)
		if got := extentOf(t, content); got != written {
			t.Fatalf("the extent is %d, PostgreSQL has written %d", got, written)
		}
		if cut := extentOf(t, content[:written-1]); cut >= written || cut < written-32<<10 {
			t.Errorf("without its last byte %d, with it %d", cut, written)
		}
		damaged := bytes.Clone(content)
		damaged[written/2] ^= 1
		if got := extentOf(t, damaged); got > written/2 || got == 0 {
			t.Errorf("it goes to %d beyond the damage at %d", got, written/2)
		}
		// A segment that the server has left counts whole, however it was left.
		name := pgtest.One[string](c, "SELECT pg_walfile_name(pg_current_wal_lsn())")
		c.SwitchWAL()
		whole, err := os.ReadFile(filepath.Join(c.DataDir, "pg_wal", name))
		if err != nil {
			t.Fatal(err)
		}
		if got := extentOf(t, whole); got != int64(len(whole)) {
			t.Errorf("%d of the %d bytes of a segment that was switched", got, len(whole))
		}
	})
}

const pageSize = 8192

// written is a segment of 1 MB that is built record by record.
type written struct {
	b  []byte
	at int
}

func newWritten() *written {
	w := &written{b: segmentOf("000000010000000000000001", testSystemID, 1)}
	clear(w.b[40:])
	w.at = 40
	return w
}

// record writes a record of a length, header included, over as many pages as it
// takes. It returns where it ends.
func (w *written) record(length int, rmgr, info byte) int64 {
	le := binary.LittleEndian
	r := make([]byte, length)
	for i := range r {
		r[i] = byte(i)
	}
	le.PutUint32(r, uint32(length))
	r[infoAt], r[rmgrAt] = info, rmgr
	sum := crc32.Checksum(r[recordHeaderSize:], castagnoli)
	le.PutUint32(r[summedHeaderSize:], crc32.Update(sum, castagnoli, r[:summedHeaderSize]))
	for {
		if w.at%pageSize == 0 && w.at < len(w.b) {
			w.page(uint32(len(r)), len(r) < length)
		}
		n := copy(w.b[w.at:min(len(w.b), (w.at/pageSize+1)*pageSize)], r)
		r = r[n:]
		w.at = align(w.at + n)
		if len(r) == 0 || w.at == len(w.b) {
			return int64(w.at)
		}
	}
}

// page writes a page's header.
func (w *written) page(left uint32, continues bool) {
	h := w.b[w.at:]
	copy(h[:8], w.b[:8])
	flags := uint16(0)
	if continues {
		flags = flagContinues
		binary.LittleEndian.PutUint32(h[16:], left)
	}
	binary.LittleEndian.PutUint16(h[2:], flags)
	binary.LittleEndian.PutUint64(h[8:], binary.LittleEndian.Uint64(w.b[8:])+uint64(w.at))
	w.at += pageHeaderSize
}

func TestRecordsAreFollowedAcrossPages(t *testing.T) {
	w := newWritten()
	if got := extentOf(t, w.b); got != 0 {
		t.Errorf("a segment without a record has the extent %d", got)
	}
	for _, length := range []int{24, 25, 31, 100, 8192, 8100, 1, 40000, 24, 24, 60000} {
		length = max(length, recordHeaderSize)
		before := int64(w.at)
		end := w.record(length, 10, 0)
		if got := extentOf(t, w.b); got != end {
			t.Errorf("a record of %d bytes ends at %d, not %d", length, got, end)
		}
		if got := extentOf(t, w.b[:end-8]); got > before {
			t.Errorf("a record of %d bytes that is not all there: %d, expected %d at most", length, got, before)
		}
	}
	if end := w.record(len(w.b), 10, 0); end != extentOf(t, w.b) || end != int64(len(w.b)) {
		t.Errorf("a record that goes on in the next segment: %d", end)
	}
}

func TestASwitchEndsASegment(t *testing.T) {
	w := newWritten()
	w.record(100, 0, switchInfo)
	if got := extentOf(t, w.b); got != int64(len(w.b)) {
		t.Errorf("%d", got)
	}
}

func TestARecordOfTheSegmentBeforeIsPassedOver(t *testing.T) {
	w := newWritten()
	binary.LittleEndian.PutUint16(w.b[2:], flagContinues|2)
	binary.LittleEndian.PutUint32(w.b[16:], 10000)
	w.at = pageSize
	w.page(10000-(pageSize-40), true)
	w.at = align(w.at + 10000 - (pageSize - 40))
	end := w.record(50, 10, 0)
	if got := extentOf(t, w.b); got != end {
		t.Errorf("%d, expected %d", got, end)
	}
}

func TestAfterACrashTheServerBeginsAnewOnTheNextPage(t *testing.T) {
	w := newWritten()
	w.record(10000, 10, 0)
	clear(w.b[pageSize:])
	w.at = pageSize
	w.page(0, false)
	binary.LittleEndian.PutUint16(w.b[pageSize+2:], flagOverwrites)
	end := w.record(50, 10, 0)
	if got := extentOf(t, w.b); got != end {
		t.Errorf("%d, expected %d", got, end)
	}
}

func TestWhatIsNoSegmentHasNoExtent(t *testing.T) {
	for _, content := range [][]byte{nil, make([]byte, 1<<20), []byte("text"), bytes.Repeat([]byte{0xff}, 100)} {
		if got, err := Extent(bytes.NewReader(content)); err == nil {
			t.Errorf("%.8q: %d", content, got)
		}
	}
	broken := errors.New("input/output error")
	if _, err := Extent(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	half := io.MultiReader(bytes.NewReader(newWritten().b[:1000]), iotest.ErrReader(broken))
	if _, err := Extent(half); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func TestOfTheOtherByteOrderTheLastByteCounts(t *testing.T) {
	foreign := segmentIn(binary.BigEndian, "000000010000000000000001", testSystemID, 1)
	want := int64(len(bytes.TrimRight(foreign, "\x00")))
	if got := extentOf(t, foreign); got != want {
		t.Errorf("%d, expected %d", got, want)
	}
}

func FuzzExtent(f *testing.F) {
	w := newWritten()
	for i := range 20 {
		w.record(24+i*997, byte(i), 0)
	}
	f.Add(w.b[:20<<10])
	f.Add(segmentIn(binary.BigEndian, "000000010000000000000001", testSystemID, 1)[:9000])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Extent(bytes.NewReader(b))
		if err == nil && (got < 0 || got > 1<<30) {
			t.Errorf("%d", got)
		}
	})
}
