package codec

import (
	"strconv"
	"strings"

	"github.com/pierrec/lz4/v4"

	"github.com/barman-go/barman/sdk"
)

// Level is how hard a codec tries: an integer on the scale of its tool, or one
// of the words low, medium and high. The zero value is the codec's default.
type Level string

// The levels in words.
const (
	Low    Level = "low"
	Medium Level = "medium"
	High   Level = "high"
)

// ParseLevel reads a level. Words may be written in capitals; an error is of
// kind Invalid.
func ParseLevel(text string) (Level, error) {
	switch level := Level(strings.ToLower(text)); level {
	case "", Low, Medium, High:
		return level, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return "", sdk.Errorf(sdk.Invalid, "%q is not a compression level; use an integer, low, medium or high", text)
	}
	return Level(strconv.Itoa(n)), nil
}

// scale is the range of a codec's levels.
type scale struct{ least, greatest, low, medium, high, usual int }

func scaleOf(codec string) scale {
	switch codec {
	case Gzip, Pigz:
		return scale{least: 1, greatest: 9, low: 1, medium: 6, high: 9, usual: 6}
	case Bzip2:
		return scale{least: 1, greatest: 9, low: 1, medium: 5, high: 9, usual: 5}
	case XZ:
		return scale{least: 1, greatest: 9, low: 1, medium: 3, high: 5, usual: 3}
	case Zstd:
		return scale{least: -22, greatest: 22, low: 1, medium: 4, high: 9, usual: 3}
	case LZ4:
		return scale{least: 0, greatest: 16, low: 0, medium: 6, high: 10, usual: 1}
	}
	return scale{}
}

// Number returns the level as an integer on a codec's scale, which ends at its
// least and its greatest level: what lies beyond is the nearest of them. A codec
// without levels has only 0.
func (l Level) Number(codec string) int {
	s := scaleOf(codec)
	switch l {
	case "":
		return s.usual
	case Low:
		return s.low
	case Medium:
		return s.medium
	case High:
		return s.high
	}
	n, err := strconv.Atoi(string(l))
	if err != nil {
		return s.usual
	}
	return max(s.least, min(n, s.greatest))
}

// LZ4 returns the level in terms of the lz4 library: up to 2 the tool uses the
// fast method, too; the library's search ends at 9.
func (l Level) LZ4() lz4.CompressionLevel {
	n := l.Number(LZ4)
	if n < 3 {
		return lz4.Fast
	}
	return lz4.Level1 << (min(n, 9) - 1)
}
