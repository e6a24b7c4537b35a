package wal

import (
	"testing"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Whatever comes, and in whatever pieces: only a whole segment of that name is
// one.
func FuzzContent(f *testing.F) {
	const name = "000000010000000000000003"
	whole := segmentOf(name, 1, 1)
	f.Add(whole[:100], 7, int64(len(whole))-100)
	f.Add(whole[:39], 1, int64(0))
	f.Add([]byte("1\t0/3000000\tx\n"), 3, int64(1))
	n, err := wal.ParseName(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, beginning []byte, piece int, rest int64) {
		content := NewContent(n)
		write := func(p []byte) bool {
			if _, err := content.Write(p); err != nil {
				if sdk.KindOf(err) != sdk.Corrupt {
					t.Fatal(err)
				}
				return false
			}
			return true
		}
		piece = max(1, min(piece, 1<<16))
		for len(beginning) > 0 {
			p := beginning[:min(piece, len(beginning))]
			if !write(p) {
				return
			}
			beginning = beginning[len(p):]
		}
		zeros := make([]byte, 1<<16)
		for rest = max(0, min(rest, 2<<20)); rest > 0; {
			p := zeros[:min(rest, int64(len(zeros)))]
			if !write(p) {
				return
			}
			rest -= int64(len(p))
		}
		if err := content.Finish(); err != nil {
			return
		}
		if content.Size() != int64(content.Header.SegmentSize) || content.Header.CheckName(n) != nil {
			t.Fatalf("%d bytes with header %+v are taken for %s", content.Size(), content.Header, name)
		}
	})
}
