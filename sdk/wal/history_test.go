package wal

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestHistoryIsRead(t *testing.T) {
	got, err := ParseHistory(strings.NewReader("# comment\n\n1\t0/5000000\tno recovery target specified\n\n  2\tA/125A175E\tbefore 2026-01-01 00:00:00+00\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []HistoryEntry{{1, 0x5000000, "no recovery target specified"}, {2, 0xA125A175E, "before 2026-01-01 00:00:00+00"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestReasonMayHoldTabs(t *testing.T) {
	got, err := ParseHistory(strings.NewReader("1\t0/5000000\tat restore point \"a\tb\"\n"))
	if err != nil || got[0].Reason != "at restore point \"a\tb\"" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDamagedHistoryIsRefused(t *testing.T) {
	for _, s := range []string{
		"", "\n\n", "# only\n", "1\t0/5000000\n", "1\n", "x\t0/5000000\tr\n", "0\t0/5000000\tr\n", "-1\t0/5000000\tr\n", "4294967296\t0/1\tr\n",
		"1\t05000000\tr\n", "1 0/5000000 r\n", "2\t0/5000000\tr\n1\t0/6000000\tr\n", "1\t0/5000000\tr\n1\t0/6000000\tr\n", "\x1f\x8b\x08\x00", "\x00\x00",
		"1\t0/1\t" + strings.Repeat("x", maxHistoryLine),
	} {
		if got, err := ParseHistory(strings.NewReader(s)); err == nil {
			t.Errorf("%.60q reads as %v", s, got)
		}
	}
}

func TestDamagedHistoryNamesTheLine(t *testing.T) {
	_, err := ParseHistory(strings.NewReader("1\t0/5000000\tr\n\nbad\n"))
	if err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("got %v", err)
	}
}

func TestHistoryReportsReadErrors(t *testing.T) {
	broken := errors.New("input/output error")
	if _, err := ParseHistory(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseHistory(f *testing.F) {
	f.Add("1\t0/5000000\tno recovery target specified\n")
	f.Add("# c\n\n1\t0/5\tx\n2\t1/6\ty\n")
	f.Add("1\t0/5000000\n")
	f.Fuzz(func(t *testing.T, s string) {
		entries, err := ParseHistory(strings.NewReader(s))
		if (err == nil) != (len(entries) > 0) {
			t.Fatalf("%d entries and error %v", len(entries), err)
		}
	})
}
