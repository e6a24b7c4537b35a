package cloud

import (
	"testing"

	"github.com/barman-go/barman/sdk"
)

func TestSizesHaveTheUnitsOfPython(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "100": 100, "100B": 100, "100b": 100, "1kB": 1024, "5MB": 5 << 20, "5mb": 5 << 20, "5MiB": 5_000_000, "1.5GB": 3 << 29,
		"100GB": 100 << 30, "1TiB": 1e12, "0.5KB": 512, "20M": 20 << 20, " 5 MB ": 5 << 20, "1eb": 1 << 60,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%q: %d, %v, not %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "B", "0", "-1", "0MB", "MB", "1.5", "1.5B", "5 5MB", "1e3MB", "nanMB", "infMB", "+5MB", "5i", "5iB", "5XB", "9999999EB", "0.0001KB", "1,5MB", "0x5MB"} {
		if got, err := ParseSize(text); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, text := range []string{"1", "5MB", "1.5GiB", "x", "9e9"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseSize(text)
		if err == nil && n < 1 || err != nil && n != 0 {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	})
}
