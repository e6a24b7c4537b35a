package main

import (
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
)

func TestATargetTimeIsReadInEveryUsualForm(t *testing.T) {
	cet := time.FixedZone("", 3600)
	moment := time.Date(2026, 1, 31, 15, 4, 5, 0, cet)
	for text, want := range map[string]time.Time{
		"2026-01-31 15:04:05+01:00":         moment,
		"2026-01-31 15:04:05+01":            moment,
		"2026-01-31 15:04:05 +0100":         moment,
		"2026-01-31T15:04:05+01:00":         moment,
		"2026-01-31 14:04:05Z":              moment,
		"2026-01-31T14:04:05Z":              moment,
		"2026-01-31 14:04:05 UTC":           moment,
		"  2026-01-31 14:04:05 GMT ":        moment,
		"2026-01-31 15:04:05.123456+01:00":  moment.Add(123456 * time.Microsecond),
		"2026-01-31 15:04:05":               time.Date(2026, 1, 31, 15, 4, 5, 0, time.Local),
		"2026-01-31 15:04":                  time.Date(2026, 1, 31, 15, 4, 0, 0, time.Local),
		"2026-01-31":                        time.Date(2026, 1, 31, 0, 0, 0, 0, time.Local),
		"Sat Jan 31 15:04:05 2026":          time.Date(2026, 1, 31, 15, 4, 5, 0, time.Local),
		"20260131T150405+0100":              moment,
		"20260131T150405":                   time.Date(2026, 1, 31, 15, 4, 5, 0, time.Local),
		"2026/01/31 15:04:05 +01":           moment,
		"2026-01-31T15:04+01:00":            moment.Add(-5 * time.Second),
		"Sat, 31 Jan 2026 15:04:05 +0100":   moment,
		"31 Jan 2026 15:04:05":              time.Date(2026, 1, 31, 15, 4, 5, 0, time.Local),
		"Jan 31, 2026 15:04:05":             time.Date(2026, 1, 31, 15, 4, 5, 0, time.Local),
		"Sat Jan 31 15:04:05 2026 +0100":    moment,
		"2026-01-31 15:04:05 Europe/Rome":   moment,
		"@1769868245":                       moment,
		"2026-01-31 15:04:05.123456 +01:00": moment.Add(123456 * time.Microsecond),
	} {
		got, local, err := parseTargetTime(text)
		if err != nil || !got.Equal(want) || local != (want.Location() == time.Local) {
			t.Errorf("%q: %v, local %t, %v; want %v", text, got, local, err, want)
		}
	}
}

func TestWhatIsNoMomentIsRefused(t *testing.T) {
	for _, text := range []string{"", "now", "yesterday", "2026-02-30 00:00:00", "2026-01-31 15:04:05 CET", "15:04", "0000-01-01", "2026-01-31-05", "2026-01-31 15:04:05 Europe/Nowhere", "2026-01-31 15:04:05 ../../etc/passwd", "@", "@12x", "T", "20260131T", "2026-01-31 25:00:00", "'2026-01-31'"} {
		if got, _, err := parseTargetTime(text); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%q: %v, %v; want an error of kind Invalid", text, got, err)
		}
	}
}

func TestTheAbbreviationOfThisMachinesTimeZoneIsUnderstood(t *testing.T) {
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	before := time.Local
	time.Local = rome
	t.Cleanup(func() { time.Local = before })
	want := time.Date(2026, 7, 31, 15, 4, 5, 0, rome)
	if got, local, err := parseTargetTime("2026-07-31 15:04:05 CEST"); err != nil || local || !got.Equal(want) {
		t.Errorf("%v, %t, %v", got, local, err)
	}
	for _, text := range []string{"2026-07-31 15:04:05 CET", "2026-07-31 15:04:05 EST"} {
		if got, _, err := parseTargetTime(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzParseTargetTime(f *testing.F) {
	for _, text := range []string{"2026-01-31 15:04:05.123+01:00", "2026-01-31T15:04:05Z", "Sat Jan 31 15:04:05 2026", "2026-01-31", "9999-99-99"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		moment, _, err := parseTargetTime(text)
		if err != nil {
			return
		}
		again, _, err := parseTargetTime(moment.Format("2006-01-02 15:04:05.999999999Z07:00"))
		if err != nil || !again.Equal(moment) {
			t.Errorf("%q is %v, which is read as %v, %v", text, moment, again, err)
		}
	})
}
