package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/barman-go/barman/sdk"
)

// targetTimeLayouts are the forms in which a moment can be given: what
// PostgreSQL prints, ISO 8601, what list-backups and show-backup print, and what
// other programs write into logs and mails.
var targetTimeLayouts = [...]string{
	"2006-01-02 15:04:05",
	"2006-01-02 15:04",
	"2006-01-02",
	"2006/01/02 15:04:05",
	"2006/01/02 15:04",
	"20060102 150405",
	"20060102 1504",
	"20060102",
	time.ANSIC, // Mon Jan _2 15:04:05 2006
	"Jan _2 2006 15:04:05",
	"Jan _2, 2006 15:04:05",
	"_2 Jan 2006 15:04:05",
	"Mon, 02 Jan 2006 15:04:05",
}

// targetTimeZones are the forms of a zone behind it.
var targetTimeZones = [...]string{"Z07:00", "Z0700", "Z07", " Z07:00", " Z0700", " Z07"}

// maxTargetTime is longer than any form.
const maxTargetTime = 64

// parseTargetTime reads a moment. One without a time zone is in that of this
// machine, which local tells; so is one with an abbreviation (CET) that is this
// machine's at that moment. Other abbreviations are not understood: they are
// ambiguous.
func parseTargetTime(text string) (moment time.Time, local bool, err error) {
	normal := strings.TrimSpace(text)
	if len(normal) <= maxTargetTime {
		if moment, local, ok := readTargetTime(normal); ok && moment.Year() > 0 {
			return moment, local, nil
		}
	}
	return time.Time{}, false, sdk.Errorf(sdk.Invalid, "%q is no moment: write it as 2026-01-31 15:04:05.123+01:00; without the zone at its end it is in the time zone of this machine", text)
}

func readTargetTime(text string) (moment time.Time, local, ok bool) {
	if seconds, isEpoch := strings.CutPrefix(text, "@"); isEpoch {
		n, err := strconv.ParseInt(seconds, 10, 40)
		return time.Unix(n, 0), false, err == nil
	}
	if at := strings.IndexByte(text, 'T'); at == 8 || at == 10 {
		text = text[:at] + " " + text[at+1:]
	}
	for _, utc := range []string{" UTC", "UTC", " GMT"} {
		if rest, found := strings.CutSuffix(text, utc); found {
			text = rest + "Z"
			break
		}
	}
	for _, layout := range targetTimeLayouts {
		// Parse accepts a fraction of a second that the layout does not have.
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, true, true
		}
		for _, zone := range targetTimeZones {
			if layout == "2006-01-02" || layout == "20060102" {
				break // a day has no zone: 2026-01-31-05 is more likely a mistake
			}
			if t, err := time.Parse(layout+zone, text); err == nil {
				return t, false, true
			}
		}
	}
	return inNamedZone(text)
}

// inNamedZone reads a moment with the name of its zone behind it: one of the time
// zone database (Europe/Rome), or this machine's abbreviation.
func inNamedZone(text string) (moment time.Time, local, ok bool) {
	at := strings.LastIndexByte(text, ' ')
	if at < 0 {
		return time.Time{}, false, false
	}
	rest, name := strings.TrimSpace(text[:at]), text[at+1:]
	zone := time.Local
	if strings.Contains(name, "/") {
		var err error
		if zone, err = time.LoadLocation(name); err != nil {
			return time.Time{}, false, false
		}
	}
	for _, layout := range targetTimeLayouts {
		t, err := time.ParseInLocation(layout, rest, zone)
		if err != nil {
			continue
		}
		abbreviation, _ := t.Zone()
		return t, false, strings.Contains(name, "/") || abbreviation == name && !isNumber(name)
	}
	return time.Time{}, false, false
}

// isNumber tells of zones that have no abbreviation: Go makes one of the offset.
func isNumber(name string) bool {
	_, err := strconv.Atoi(name)
	return err == nil
}
