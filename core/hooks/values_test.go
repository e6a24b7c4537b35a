package hooks

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk/wal"
)

// What Barman 3.4 in Python gives for the same options.
func TestRecoveryOptionsAreTheTextThatScriptsKnow(t *testing.T) {
	for _, tc := range []struct {
		given                RecoveryOptions
		options, tablespaces string
	}{
		{RecoveryOptions{}, "", ""},
		{RecoveryOptions{Tablespaces: map[string]string{"other": "/srv/ü x", "a": `/b"<`}}, "", `{"a": "/b\"<", "other": "/srv/\u00fc x"}`},
		{RecoveryOptions{Exclusive: true, TargetXID: "1234", TargetTimeline: "1"}, `{"exclusive": true, "target_tli": 1, "target_xid": "1234"}`, ""},
		{RecoveryOptions{TargetTime: "2030-01-01 10:00:00", TargetAction: "promote"}, `{"target_action": "promote", "target_time": "2030-01-01 10:00:00"}`, ""},
		{RecoveryOptions{StandbyMode: true, TargetLSN: "0/F000000", TargetTimeline: "latest"}, `{"standby_mode": true, "target_lsn": "0/F000000", "target_tli": "latest"}`, ""},
		{RecoveryOptions{TargetImmediate: true, TargetName: "\U0001f418\x7f"}, `{"target_immediate": true, "target_name": "\ud83d\udc18\u007f"}`, ""},
	} {
		s := newSite(t, "pre_recovery x 0")
		got, err := s.hooks(Recovery).AboutRecovery(&catalogue.Backup{ID: "20260101T000000"}, tc.given)
		if err != nil {
			t.Fatal(err)
		}
		if got["RECOVER_OPTIONS"] != tc.options || got["TABLESPACES"] != tc.tablespaces {
			t.Errorf("%+v: %s and %s", tc.given, got["RECOVER_OPTIONS"], got["TABLESPACES"])
		}
	}
}

func TestNothingIsLookedUpWithoutHooks(t *testing.T) {
	s := newSite(t)
	if values, err := s.hooks(Backup).AboutBackup(&catalogue.Backup{ID: "20260101T000000"}); values != nil || err != nil {
		t.Errorf("%v, %v", values, err)
	}
}

func TestValuesOfAWALFile(t *testing.T) {
	name, err := wal.ParseName("00000001000000000000000A")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"SEGMENT": "00000001000000000000000A", "FILE": "/in/x", "SIZE": "16777216", "COMPRESSION": ""}
	for nanoseconds, timestamp := range map[int64]string{929335400: "1795283331.9293354", 0: "1795283331.0"} {
		want["TIMESTAMP"] = timestamp
		record := catalogue.WALRecord{Name: name, Size: 16 << 20, ModTime: time.Unix(1795283331, nanoseconds)}
		if diff := cmp.Diff(want, AboutWAL("/in/x", record)); diff != "" {
			t.Error(diff)
		}
	}
}
