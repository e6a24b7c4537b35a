package catalogue

import (
	"math"
	"testing"
	"time"
)

func TestSizesAreForPeople(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", -1023: "-1023 B", -1536: "-1.5 KiB", 23417560: "22.3 MiB",
		1 << 30: "1.0 GiB", 5 << 40: "5.0 TiB", 1 << 50: "1.0 PiB", math.MaxInt64: "8.0 EiB", math.MinInt64: "-8.0 EiB",
	} {
		if got := PrettySize(bytes); got != want {
			t.Errorf("%d: %q, expected %q", bytes, got, want)
		}
	}
}

func TestDurationsAreForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "less than one second", 300 * time.Millisecond: "less than one second", time.Second: "1 second", 90 * time.Second: "1 minute, 30 seconds",
		time.Hour: "1 hour", 49*time.Hour + 2*time.Second: "2 days, 1 hour, 2 seconds", -24 * time.Hour: "1 day ago",
		1200988 * time.Microsecond: "1 second", math.MinInt64: "106751 days, 23 hours, 47 minutes, 16 seconds ago",
	} {
		if got := PrettyDuration(d); got != want {
			t.Errorf("%d: %q, expected %q", d, got, want)
		}
	}
}
