// Package codec reads and writes the compression formats that PostgreSQL's
// backup tools use, as streams. All formats are those of the tools of the same
// name, in both directions.
package codec

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// The names of the codecs.
const (
	Gzip = "gzip"
	// Pigz is gzip by another name: a tool that makes the same format on several
	// cores. It is never detected.
	Pigz   = "pigz"
	Bzip2  = "bzip2"
	XZ     = "xz"
	LZ4    = "lz4" // the frame format
	Zstd   = "zstd"
	Snappy = "snappy" // the framing format
)

// Custom is the name under which is recorded what a command of the user's
// compressed. This package can neither read nor write it.
const Custom = "custom"

// Names returns the names of all codecs.
func Names() []string { return []string{Gzip, Pigz, Bzip2, XZ, LZ4, Zstd, Snappy} }

// Known tells whether a codec has this name.
func Known(name string) bool { return slices.Contains(Names(), name) }

// MagicSize is how many bytes of a file Detect needs at most.
const MagicSize = 10

// snappyIdentifier is the chunk with which snappy's framing format begins.
const snappyIdentifier = "\xff\x06\x00\x00sNaPpY"

// MaxCustomMagic is how many bytes the magic number of Custom may have.
const MaxCustomMagic = 64

// ParseMagic reads the magic number of Custom as it is configured: 0x and two
// hexadecimal digits for each byte. Of nothing it makes nothing; an error is of
// kind Invalid.
func ParseMagic(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	digits, prefixed := strings.CutPrefix(strings.ToLower(text), "0x")
	magic, err := hex.DecodeString(digits)
	if !prefixed || err != nil || len(magic) == 0 || len(magic) > MaxCustomMagic {
		return nil, sdk.Errorf(sdk.Invalid, "%q is not 0x and then two hexadecimal digits for each of 1 to %d bytes", text, MaxCustomMagic)
	}
	return magic, nil
}

// magic is how what a codec made begins.
type magic struct {
	codec string
	// loose is how many values the first byte may take, from the prefix's on.
	loose  byte
	prefix string
}

// magics includes zstd's skippable frames (RFC 8878, section 3.1.2), with which
// files of the parallel tools begin.
func magics() [7]magic {
	return [...]magic{
		{Bzip2, 1, "BZh"},
		{Gzip, 1, "\x1f\x8b\x08"},
		{LZ4, 1, "\x04\x22\x4d\x18"},
		{Snappy, 1, snappyIdentifier},
		{XZ, 1, "\xfd7zXZ\x00"},
		{Zstd, 1, "\x28\xb5\x2f\xfd"},
		{Zstd, 16, "\x50\x2a\x4d\x18"},
	}
}

// begins tells whether the magic and b are the same as far as both go.
func (m magic) begins(b []byte) bool {
	n := min(len(b), len(m.prefix))
	return n > 0 && b[0]-m.prefix[0] < m.loose && string(b[1:n]) == m.prefix[1:n]
}

// Detect returns the name of the codec that made a file with this beginning, or
// nothing. MagicSize bytes are enough; a shorter file is given whole. WAL and the
// other files of PostgreSQL begin with none of the formats' magic numbers.
func Detect(beginning []byte) string {
	for _, m := range magics() {
		if len(beginning) >= len(m.prefix) && m.begins(beginning) {
			return m.codec
		}
	}
	return ""
}

// DetectCut returns the name of the codec within whose magic number a file ends
// that holds no more than these bytes, or nothing. An empty file is none.
func DetectCut(whole []byte) string {
	for _, m := range magics() {
		if len(whole) < len(m.prefix) && m.begins(whole) {
			return m.codec
		}
	}
	return ""
}

// Suffix returns what is appended to the name of a file that a codec made: what
// its tool appends. It is empty for a name that is no codec's.
func Suffix(name string) string {
	switch name {
	case Gzip, Pigz:
		return ".gz"
	case Bzip2:
		return ".bz2"
	case XZ:
		return ".xz"
	case LZ4:
		return ".lz4"
	case Zstd:
		return ".zst"
	case Snappy:
		return ".sz"
	case Custom:
		return ".custom"
	}
	return ""
}

// OfSuffix returns the name of the codec with a suffix, or nothing. Of gzip's
// names it is Gzip.
func OfSuffix(suffix string) string {
	for _, name := range append(Names(), Custom) {
		if Suffix(name) == suffix {
			return name
		}
	}
	return ""
}

func unknown(name string) error {
	return sdk.Errorf(sdk.Invalid, "%q is not a codec; use one of %s", name, strings.Join(Names(), ", "))
}
