package wal

import (
	"strings"
	"testing"
)

func TestNamesAreClassified(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    Kind
		hashDir string
	}{
		{"00000001000000020000000A", KindSegment, "0000000100000002"},
		{"0000000a0000000b0000000c", KindSegment, "0000000A0000000B"},
		{"00000001000000020000000A.partial", KindPartial, "0000000100000002"},
		{"00000001000000000000000A.00000020.backup", KindBackupHistory, "0000000100000000"},
		{"00000002.history", KindHistory, ""},
		{"0000000a.history", KindHistory, ""},
	} {
		n, err := ParseName(c.name)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if n.Kind != c.kind || n.HashDir() != c.hashDir || n.String() != c.name {
			t.Errorf("%s: kind %s, directory %q, text %q", c.name, n.Kind, n.HashDir(), n)
		}
	}
}

func TestEverythingElseIsNoWALName(t *testing.T) {
	for _, s := range []string{
		"", ".", "..", "xlog.db", "00000001000000000000000A.gz", "00000001000000000000000A.0000020.backup", "00000001000000000000000A.000000200.backup",
		"00000001000000000000000", "00000001000000000000000A0", "00000001000000000000000G", "00000001000000000000000A.", "00000001000000000000000A.PARTIAL",
		"00000001000000000000000A.partial.gz", "00000001000000000000000A.partial.partial", "00000001000000000000000A.backup",
		"0000002.history", "000000002.history", ".history", "00000002.HISTORY", "00000002.history.gz", "0000000g.history",
		"../00000001000000000000000A", "wals/00000001000000000000000A", "00000001000000000000000A/", "/00000001000000000000000A",
		" 00000001000000000000000A", "00000001000000000000000A\n", "00000001000000000000000A\x00", "00000002.history\x00",
		"+0000001000000000000000A", "0x000001000000000000000A", "0000000100000000000000\uff11", strings.Repeat("0", 1<<16),
		"00000001000000000000000A.+0000020.backup", "00000001000000000000000Ax00000020.backup",
	} {
		if n, err := ParseName(s); err == nil {
			t.Errorf("%.80q is classified as %s", s, n.Kind)
		}
	}
}

func TestZeroNameIsNothing(t *testing.T) {
	var n Name
	if n.HashDir() != "" || n.Kind.String() != "not a WAL file" {
		t.Errorf("%q, %s", n.HashDir(), n.Kind)
	}
	if _, err := n.Segment(DefaultSegmentSize); err == nil {
		t.Error("it has a segment")
	}
}

func TestNamesBelongToSegments(t *testing.T) {
	for _, c := range []struct {
		name   string
		size   SegmentSize
		number uint64
		ok     bool
	}{
		{"000000010000000200000003", 16 << 20, 2*256 + 3, true},
		{"000000010000000200000003.partial", 1 << 30, 2*4 + 3, true},
		{"000000010000000200000003.00000028.backup", 16 << 20, 2*256 + 3, true},
		{"000000010000000200000100", 16 << 20, 0, false},
		{"000000010000000200000100", 1 << 20, 2*4096 + 256, true},
		{"000000010000000200000003", 0, 0, false},
		{"00000002.history", 16 << 20, 0, false},
	} {
		n, err := ParseName(c.name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := n.Segment(c.size)
		if (err == nil) != c.ok || s.Number != c.number {
			t.Errorf("%s with size %d: segment %d, %v", c.name, c.size, s.Number, err)
		}
	}
	if _, err := ParseSegment("00000002.history", DefaultSegmentSize); err == nil || !strings.Contains(err.Error(), "timeline history file") {
		t.Errorf("a history file as segment: %v", err)
	}
	if _, err := ParseSegment("x", DefaultSegmentSize); err == nil {
		t.Error("x is a segment")
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"00000001000000020000000A", "00000001000000020000000a.partial", "00000001000000000000000A.00000020.backup",
		"00000002.history", "../00000002.history", "00000001000000020000000A.gz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		if n.String() != s || strings.ContainsAny(s, "/\x00") || s == "." || s == ".." {
			t.Fatalf("accepted %q as %q", s, n)
		}
		if d := n.HashDir(); d != "" && (len(d) != 16 || !strings.EqualFold(d, s[:16])) {
			t.Fatalf("directory of %q is %q", s, d)
		}
		if n.Kind == KindSegment {
			if seg, err := n.Segment(MinSegmentSize); err == nil && !strings.EqualFold(seg.Name(MinSegmentSize), s) {
				t.Fatalf("%q is renamed to %q", s, seg.Name(MinSegmentSize))
			}
		}
	})
}
