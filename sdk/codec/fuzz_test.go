package codec

import (
	"bytes"
	"io"
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
