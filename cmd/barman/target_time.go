package main

import (
	"strings"
	"time"

	"github.com/barman-go/barman/sdk"
)

// targetTimeLayouts are the forms in which a moment can be given: what
// PostgreSQL prints, ISO 8601, and what list-backups prints.
var targetTimeLayouts = [...]string{
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05Z0700",
	"2006-01-02 15:04:05Z07",
	"2006-01-02 15:04:05 Z07:00",
	"2006-01-02 15:04:05 Z0700",
	"2006-01-02 15:04:05 Z07",
	"2006-01-02 15:04:05",
	"2006-01-02 15:04Z07:00",
	"2006-01-02 15:04",
	"2006-01-02",
	time.ANSIC,
}

// maxTargetTime is longer than any form.
const maxTargetTime = 64

// parseTargetTime reads a moment. One without a time zone is in that of this
// machine, whose abbreviations (CET) are not understood: they are ambiguous.
func parseTargetTime(text string) (time.Time, error) {
	normal := strings.TrimSpace(text)
	if len(normal) > 10 && normal[10] == 'T' {
		normal = normal[:10] + " " + normal[11:]
	}
	for _, utc := range []string{" UTC", "UTC", " GMT"} {
		if rest, found := strings.CutSuffix(normal, utc); found {
			normal = rest + "Z"
			break
		}
	}
	if len(normal) <= maxTargetTime {
		for _, layout := range targetTimeLayouts {
			// Parse accepts a fraction of a second that the layout does not have.
			if t, err := time.ParseInLocation(layout, normal, time.Local); err == nil && t.Year() > 0 {
				return t, nil
			}
		}
	}
	return time.Time{}, sdk.Errorf(sdk.Invalid, "%q is no moment: write it as 2026-01-31 15:04:05.123+01:00; without the zone at its end it is in the time zone of this machine", text)
}
