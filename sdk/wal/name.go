package wal

import (
	"fmt"
	"strings"
)

// Kind tells what a file of a WAL archive is.
type Kind int

const (
	// KindSegment is a complete segment: 24 digits.
	KindSegment Kind = iota + 1
	// KindPartial is the unfinished last segment of a timeline: a segment's name
	// and ".partial".
	KindPartial
	// KindBackupHistory marks where a base backup began: a segment's name, the
	// offset in it as 8 digits, and ".backup" (PostgreSQL manual, section 26.3).
	KindBackupHistory
	// KindHistory is a timeline history file: 8 digits and ".history".
	KindHistory
)

// String returns the kind in words.
func (k Kind) String() string {
	switch k {
	case KindSegment:
		return "segment"
	case KindPartial:
		return "partial segment"
	case KindBackupHistory:
		return "backup history file"
	case KindHistory:
		return "timeline history file"
	}
	return "not a WAL file"
}

// Name is the classified name of a file of a WAL archive. Names are compared
// and turned into paths only after ParseName accepted them.
type Name struct {
	Kind     Kind
	Timeline Timeline
	// Log and Seg are the second and third group of eight digits; zero for
	// KindHistory.
	Log, Seg uint32
	// Offset is the backup's start within the segment; only KindBackupHistory
	// has one.
	Offset uint32

	text string
}

const (
	segmentDigits = 24
	historySuffix = ".history"
	partialSuffix = ".partial"
	backupSuffix  = ".backup"
)

// ParseName classifies s. It accepts exactly the names PostgreSQL gives to the
// files it archives, with hexadecimal digits of either case; anything else,
// such as a path, a compression suffix or white space, is an error.
func ParseName(s string) (Name, error) {
	n := Name{text: s}
	if digits, ok := strings.CutSuffix(s, historySuffix); ok && len(digits) == 8 && isHex(digits) {
		n.Kind, n.Timeline = KindHistory, Timeline(hex32(digits))
		return n, nil
	}
	if len(s) < segmentDigits || !isHex(s[:segmentDigits]) {
		return Name{}, notAName(s)
	}
	n.Timeline, n.Log, n.Seg = Timeline(hex32(s[:8])), hex32(s[8:16]), hex32(s[16:24])

	rest := s[segmentDigits:]
	switch {
	case rest == "":
		n.Kind = KindSegment
	case rest == partialSuffix:
		n.Kind = KindPartial
	case len(rest) == len(".00000028.backup") && rest[0] == '.' && isHex(rest[1:9]) && rest[9:] == backupSuffix:
		n.Kind, n.Offset = KindBackupHistory, hex32(rest[1:9])
	default:
		return Name{}, notAName(s)
	}
	return n, nil
}

func notAName(s string) error {
	return fmt.Errorf("%q is not the name of a WAL file", clip(s))
}

// hex32 converts digits that isHex has seen.
func hex32(digits string) uint32 {
	v, _ := parseHex32(digits)
	return v
}

// String returns the name as it was given to ParseName.
func (n Name) String() string { return n.text }

// HashDir returns the directory of an archive that holds the file: its first
// 16 digits in upper case, or nothing for a history file, which lies at the top.
func (n Name) HashDir() string {
	if n.Kind == KindHistory || n.Kind == 0 {
		return ""
	}
	return fmt.Sprintf("%08X%08X", uint32(n.Timeline), n.Log)
}

// Segment returns the segment the file belongs to: its own for a segment or
// partial segment, the one where the backup began for a backup history file. A
// history file has none, and a name whose last group is beyond what size allows
// belongs to a cluster with smaller segments; both are errors.
func (n Name) Segment(size SegmentSize) (Segment, error) {
	if n.Kind == KindHistory || n.Kind == 0 {
		return Segment{}, fmt.Errorf("%q belongs to no WAL segment", clip(n.text))
	}
	if !size.Valid() {
		return Segment{}, fmt.Errorf("%d bytes is not a WAL segment size: expected a power of two from 1 MiB to 1 GiB", size)
	}
	perLog := size.PerLog()
	if uint64(n.Seg) >= perLog {
		return Segment{}, fmt.Errorf("WAL file %q cannot exist with segments of %d bytes: its last group exceeds %08X", n.text, size, perLog-1)
	}
	return Segment{Timeline: n.Timeline, Number: uint64(n.Log)*perLog + uint64(n.Seg)}, nil
}

// ParseSegment reads the name of a complete segment.
func ParseSegment(s string, size SegmentSize) (Segment, error) {
	n, err := ParseName(s)
	if err != nil {
		return Segment{}, err
	}
	if n.Kind != KindSegment {
		return Segment{}, fmt.Errorf("%q is a %s, not a WAL segment", s, n.Kind)
	}
	return n.Segment(size)
}
