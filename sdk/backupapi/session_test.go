package backupapi

import (
	"testing"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func TestTheTimelineIsThatOfTheFirstFile(t *testing.T) {
	const standby = "START WAL LOCATION: 0/2000028 (file 0000000A0000000000000002)\nCHECKPOINT LOCATION: 0/2000060\nBACKUP METHOD: streamed\n" +
		"BACKUP FROM: standby\nSTART TIME: 2026-01-02 03:04:05 UTC\nLABEL: it's a label\nSTART TIMELINE: 10\n"
	if got, err := timelineOf(standby); err != nil || got != wal.Timeline(10) {
		t.Errorf("%d, %v", got, err)
	}
	for _, label := range []string{"", "\n", "LABEL: x", "START WAL LOCATION: 0/2000028", "START WAL LOCATION: 0/2000028 (file x)", "(file 0000000A0000000000000002)"} {
		if got, err := timelineOf(label); sdk.KindOf(err) != sdk.Corrupt {
			t.Errorf("%q: %d, %v", label, got, err)
		}
	}
}

func FuzzTimelineOf(f *testing.F) {
	f.Add("START WAL LOCATION: 0/2000028 (file 0000000A0000000000000002)\n")
	f.Fuzz(func(t *testing.T, label string) {
		if timeline, err := timelineOf(label); err == nil && timeline == 0 {
			t.Errorf("timeline 0 from %q", label)
		}
	})
}
