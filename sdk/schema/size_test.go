package schema_test

import (
	"testing"

	"github.com/barman-go/barman/sdk/schema"
)

func TestParseByteSizeKnowsItsUnits(t *testing.T) {
	tests := map[string]schema.ByteSize{
		"0": 0, "17": 17, "17B": 17, "1kB": 1000, "1KB": 1000, "1 KiB": 1024, "16MiB": 16 << 20, "1GB": 1e9, "3gib": 3 << 30,
		"2TB": 2e12, "2TiB": 2 << 40, "1PiB": 1 << 50, "9223372036854775807": 1<<63 - 1,
	}
	for text, want := range tests {
		got, err := schema.ParseByteSize(text)
		if err != nil || got != want {
			t.Errorf("%q gives %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestParseByteSizeRefusesWhatIsNoSize(t *testing.T) {
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "16 Mi", "16MiB ago", "9223372036854775808", "9000PiB", " 1"} {
		if got, err := schema.ParseByteSize(text); err == nil {
			t.Errorf("%q gives %d", text, got)
		}
	}
}

func TestAByteSizePrintsInItsLargestExactUnit(t *testing.T) {
	tests := map[schema.ByteSize]string{0: "0", 1: "1B", 1000: "1kB", 1024: "1KiB", 1500: "1500B", 16 << 20: "16MiB", 1e9: "1GB"}
	for size, want := range tests {
		if got := size.String(); got != want {
			t.Errorf("%d prints %q, want %q", int64(size), got, want)
		}
	}
}

func FuzzParseByteSize(f *testing.F) {
	f.Add("16MiB")
	f.Add("1 gb")
	f.Fuzz(func(t *testing.T, text string) {
		size, err := schema.ParseByteSize(text)
		if err != nil {
			return
		}
		if size < 0 {
			t.Fatalf("%q gives %d", text, int64(size))
		}
		if again, err := schema.ParseByteSize(size.String()); err != nil || again != size {
			t.Errorf("%q prints %q, which gives %d, %v", text, size, int64(again), err)
		}
	})
}
