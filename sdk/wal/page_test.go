package wal

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func realPage(t testing.TB) []byte {
	t.Helper()
	page, err := os.ReadFile("testdata/pg15-first-page.bin")
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestHeaderOfAPostgreSQL15SegmentIsRead(t *testing.T) {
	h, err := ReadPageHeader(realPage(t))
	if err != nil {
		t.Fatal(err)
	}
	want := PageHeader{Magic: 0xD110, Timeline: 1, PageAddress: 0xB000000, SystemID: 7710531007977330367, SegmentSize: DefaultSegmentSize, BlockSize: 8192}
	if d := cmp.Diff(want, h); d != "" {
		t.Error(d)
	}
}

func TestDamagedHeaderIsRefused(t *testing.T) {
	for name, damage := range map[string]func(p []byte) []byte{
		"short":            func(p []byte) []byte { return p[:LongPageHeaderSize-1] },
		"empty":            func([]byte) []byte { return nil },
		"zeros":            func([]byte) []byte { return make([]byte, 8192) },
		"gzip":             func(p []byte) []byte { copy(p, "\x1f\x8b\x08"); return p },
		"short header":     func(p []byte) []byte { p[2] = 0; return p },
		"timeline 0":       func(p []byte) []byte { clear(p[4:8]); return p },
		"middle page":      func(p []byte) []byte { binary.LittleEndian.PutUint64(p[8:], 0xB002000); return p },
		"segment size":     func(p []byte) []byte { binary.LittleEndian.PutUint32(p[32:], 3<<20); return p },
		"segment size 0":   func(p []byte) []byte { clear(p[32:36]); return p },
		"block size":       func(p []byte) []byte { binary.LittleEndian.PutUint32(p[36:], 0); return p },
		"block size 3 KiB": func(p []byte) []byte { binary.LittleEndian.PutUint32(p[36:], 3072); return p },
	} {
		if h, err := ReadPageHeader(damage(bytes.Clone(realPage(t)))); err == nil {
			t.Errorf("%s: read as %+v", name, h)
		}
	}
}

func TestContentMustMatchTheName(t *testing.T) {
	h, err := ReadPageHeader(realPage(t))
	if err != nil {
		t.Fatal(err)
	}
	later := h
	later.Timeline = 3
	for _, c := range []struct {
		header PageHeader
		name   string
		ok     bool
	}{
		{h, "00000001000000000000000B", true},
		{h, "00000001000000000000000B.partial", true},
		{h, "00000002000000000000000B", true}, // copied from the parent timeline up to the switch
		{h, "00000001000000000000000C", false},
		{h, "00000001000000010000000B", false},
		{later, "00000001000000000000000B", false},
		{h, "00000002.history", false},
	} {
		n, err := ParseName(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.header.CheckName(n); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func FuzzReadPageHeader(f *testing.F) {
	f.Add(realPage(f))
	f.Add(make([]byte, LongPageHeaderSize))
	f.Fuzz(func(t *testing.T, first []byte) {
		h, err := ReadPageHeader(first)
		if err != nil {
			return
		}
		n, err := ParseName(SegmentAt(h.Timeline, h.PageAddress, h.SegmentSize).Name(h.SegmentSize))
		if err != nil {
			t.Fatal(err)
		}
		if err := h.CheckName(n); err != nil {
			t.Fatal(err)
		}
	})
}
