package catalogue

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// PrettySize returns a number of bytes for people: "1023 B", "1.5 KiB".
func PrettySize(bytes int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	if bytes > -1024 && bytes < 1024 {
		return fmt.Sprintf("%d B", bytes)
	}
	value, unit := float64(bytes), 0
	for math.Abs(value) >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

// PrettyDuration returns a length of time for people: its days, hours, minutes
// and seconds that are not zero, "less than one second" below one, and " ago"
// behind a negative one.
func PrettyDuration(d time.Duration) string {
	suffix := ""
	if d < 0 {
		suffix = " ago"
		if d == math.MinInt64 {
			d++
		}
		d = -d
	}
	seconds := int64(d / time.Second)
	if seconds == 0 {
		return "less than one second" + suffix
	}
	var parts []string
	for _, unit := range []struct {
		name   string
		length int64
	}{{"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}} {
		n := seconds / unit.length
		seconds %= unit.length
		switch {
		case n == 1:
			parts = append(parts, "1 "+unit.name)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, unit.name))
		}
	}
	return strings.Join(parts, ", ") + suffix
}
