package wal

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a position in the WAL stream, in bytes (PostgreSQL manual, section
// 8.20, "pg_lsn Type"). Zero is never a valid position.
type LSN uint64

// String returns the position as PostgreSQL prints it, such as "16/B374D848".
func (l LSN) String() string {
	return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l))
}

// ParseLSN reads a position as PostgreSQL prints it: one to eight hexadecimal
// digits, a slash, one to eight hexadecimal digits.
func ParseLSN(s string) (LSN, error) {
	high, low, found := strings.Cut(s, "/")
	if !found {
		return 0, fmt.Errorf("WAL position %q has no slash: expected the form 16/B374D848", clip(s))
	}
	h, okHigh := parseHex32(high)
	l, okLow := parseHex32(low)
	if !okHigh || !okLow {
		return 0, fmt.Errorf("WAL position %q is not two groups of 1 to 8 hexadecimal digits: expected the form 16/B374D848", clip(s))
	}
	return LSN(h)<<32 | LSN(l), nil
}

// Timeline identifies one history of a cluster; the first is 1.
type Timeline uint32

// String returns the timeline as it appears in file names: eight upper-case
// hexadecimal digits.
func (t Timeline) String() string { return fmt.Sprintf("%08X", uint32(t)) }

// parseHex32 reads 1 to 8 hexadecimal digits of either case and nothing else;
// strconv alone would accept signs.
func parseHex32(s string) (uint32, bool) {
	if len(s) < 1 || len(s) > 8 || !isHex(s) {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 16, 32)
	return uint32(v), err == nil
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// clip bounds what an error message quotes of input that may be hostile.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
