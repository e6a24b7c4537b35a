package schema

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes, written "16MiB", "1GB" or as a plain number.
type ByteSize int64

type sizeUnit struct {
	name  string
	bytes int64
}

// sizeUnits is ordered so that String finds the shortest exact form first.
func sizeUnits() []sizeUnit {
	return []sizeUnit{
		{"PiB", 1 << 50},
		{"PB", 1e15},
		{"TiB", 1 << 40},
		{"TB", 1e12},
		{"GiB", 1 << 30},
		{"GB", 1e9},
		{"MiB", 1 << 20},
		{"MB", 1e6},
		{"KiB", 1 << 10},
		{"kB", 1e3},
		{"B", 1},
	}
}

// ParseByteSize reads a size: a whole number, then B, kB, MB, GB, TB or PB
// (powers of 1000), KiB, MiB, GiB, TiB or PiB (powers of 1024), or nothing for
// bytes. The case of the unit does not matter, nor does a space before it.
func ParseByteSize(text string) (ByteSize, error) {
	digits := strings.TrimLeft(text, "0123456789")
	number, unit := text[:len(text)-len(digits)], strings.TrimSpace(digits)
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not %s", text, Size.Expects())
	}
	if digits == "" {
		return ByteSize(n), nil
	}
	for _, u := range sizeUnits() {
		if !strings.EqualFold(unit, u.name) {
			continue
		}
		if n > math.MaxInt64/u.bytes {
			return 0, fmt.Errorf("%q is more than 8 EiB", text)
		}
		return ByteSize(n * u.bytes), nil
	}
	return 0, fmt.Errorf("%q is not %s", text, Size.Expects())
}

// String returns the size in the largest unit that holds it exactly; what it
// returns can be parsed again.
func (s ByteSize) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range sizeUnits() {
		if int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
