package catalogue

import (
	"fmt"
	"strings"
	"time"
)

// Barman's own form comes first; the others were written by older releases or
// by hand.
func timestampLayouts() []string {
	return []string{
		"2006-01-02 15:04:05.999999999Z07:00",
		"2006-01-02 15:04:05.999999999Z07:00:00",
		"2006-01-02 15:04:05.999999999Z0700",
		"2006-01-02 15:04:05.999999999Z07",
		"2006-01-02 15:04:05.999999999 Z07:00",
		"2006-01-02 15:04:05.999999999 UTC",
		"2006-01-02 15:04:05.999999999",
		"2006-01-02 15:04",
		"2006-01-02",
		time.ANSIC,
		"Mon Jan _2 15:04:05 2006 Z07:00",
		"Mon Jan _2 15:04:05 2006 Z0700",
		"Mon Jan _2 15:04:05 UTC 2006",
	}
}

// parseTimestamp reads a moment; one without a zone is in the host's.
func parseTimestamp(s string) (time.Time, error) {
	if len(s) <= 64 {
		if len(s) > 10 && s[10] == 'T' {
			s = s[:10] + " " + s[11:]
		}
		for _, layout := range timestampLayouts() {
			location := time.Local
			if strings.Contains(layout, "UTC") {
				location = time.UTC
			}
			if t, err := time.ParseInLocation(layout, s, location); err == nil && t.Year() > 0 {
				return t, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time: expected the form 2006-01-02 15:04:05.000000+00:00", clip(s))
}

// formatTimestamp writes a moment as Python's str(datetime) does: microseconds
// only if there are any, seconds of the offset only if there are any.
func formatTimestamp(t time.Time) string {
	layout := "2006-01-02 15:04:05"
	if t.Nanosecond()/1000 != 0 {
		layout += ".000000"
	}
	if _, offset := t.Zone(); offset%60 != 0 {
		return t.Format(layout + "-07:00:00")
	}
	return t.Format(layout + "-07:00")
}
