package codec

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

func FuzzDecoded(f *testing.F) {
	data := sample(5000)
	for _, name := range Names() {
		stored := compress(f, name, "", data)
		f.Add(stored)
		f.Add(stored[:len(stored)/2])
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		r, name, err := Decoded(bytes.NewReader(stored))
		if want := Detect(stored); name != want {
			t.Fatalf("detected as %q, then as %q", want, name)
		}
		if err != nil {
			return
		}
		defer r.Close()
		n, err := io.Copy(io.Discard, io.LimitReader(r, 16<<20))
		if name == "" && (err != nil || n != int64(len(stored))) {
			t.Fatalf("%d bytes that are not compressed are read as %d, error %v", len(stored), n, err)
		}
	})
}

func FuzzDetect(f *testing.F) {
	for _, m := range magics() {
		f.Add([]byte(m.prefix))
		f.Add([]byte(m.prefix[:len(m.prefix)-1]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		name, cut := Detect(b), DetectCut(b)
		if name != "" && (cut != "" || !Known(name)) || Detect(b[:min(len(b), MagicSize)]) != name {
			t.Errorf("% x is detected as %q, cut as %q", b, name, cut)
		}
	})
}

func FuzzParseLevel(f *testing.F) {
	for _, text := range []string{"", "low", "HIGH", "3", "-22", "x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		level, err := ParseLevel(text)
		if err != nil {
			return
		}
		for _, name := range Names() {
			if s, n := scaleOf(name), level.Number(name); n < s.least || n > s.greatest {
				t.Errorf("level %q of %s is %d", text, name, n)
			}
		}
		if again, err := ParseLevel(string(level)); err != nil || again != level {
			t.Errorf("level %q becomes %q, then %q", text, level, again)
		}
	})
}

func FuzzParseMagic(f *testing.F) {
	for _, text := range []string{"", "0x4c5a4950", "0X1F8b", "4c5a", "0x", "0x4", "0x" + strings.Repeat("0", 130)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		magic, err := ParseMagic(text)
		switch {
		case err != nil, text == "":
			if magic != nil {
				t.Errorf("%q is % x, error %v", text, magic, err)
			}
		case len(magic) == 0 || len(magic) > MaxCustomMagic || !strings.EqualFold(fmt.Sprintf("0x%x", magic), text):
			t.Errorf("%q is % x", text, magic)
		}
	})
}
