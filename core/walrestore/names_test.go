package walrestore

import (
	"bytes"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func parsed(t testing.TB, name string) wal.Name {
	t.Helper()
	n, err := wal.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAListOfNamesIsReadUpToItsLimit(t *testing.T) {
	first := parsed(t, "0000000100000000000000FE")
	list := "0000000100000000000000FE\n0000000100000000000000FF\n000000010000000100000000\n"
	for limit, want := range map[int]int{1: 1, 2: 2, 3: 3, 10: 3} {
		names, err := readNames(strings.NewReader(list), first, limit)
		if err != nil || len(names) != want {
			t.Errorf("%d: %v, %v", limit, names, err)
		}
	}
	if names, err := readNames(strings.NewReader(""), first, 3); err != nil || len(names) != 0 {
		t.Errorf("%v, %v", names, err)
	}
	for _, wrong := range []string{
		"0000000100000000000000FF\n", "x\n", "\n", "../0000000100000000000000FE\n", "0000000100000000000000FE/\n",
		"0000000100000000000000FE\n0000000100000000000000FE\n", "0000000100000000000000FE\n0000000100000000000000FD\n",
		"0000000100000000000000FE\n0000000200000000000000FF\n", "0000000100000000000000FE\n00000002.history\n",
		"0000000100000000000000FE\n0000000100000000000000FF.partial\n", strings.Repeat("0", 1000),
	} {
		if _, err := readNames(strings.NewReader(wrong), first, 10); sdk.KindOf(err) != sdk.Corrupt {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func FuzzReadNames(f *testing.F) {
	f.Add([]byte("000000010000000000000001\n000000010000000000000002\n"))
	f.Add([]byte("000000010000000000000001\r\n../x\n"))
	first := parsed(f, "000000010000000000000001")
	f.Fuzz(func(t *testing.T, list []byte) {
		names, err := readNames(bytes.NewReader(list), first, 8)
		if err != nil {
			return
		}
		if len(names) > 8 {
			t.Fatalf("%d names", len(names))
		}
		last := first
		for i, name := range names {
			if name.Kind != wal.KindSegment || name.Timeline != 1 || strings.ContainsAny(name.String(), "/.") || i > 0 && !before(last, name) {
				t.Fatalf("%v", names)
			}
			last = name
		}
	})
}
