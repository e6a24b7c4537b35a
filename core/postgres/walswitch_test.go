package postgres

import (
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
)

func TestWALSwitchNamesTheSegmentItClosed(t *testing.T) {
	server := start(t, 15)
	conn := connect(t, server.conninfo("postgres"))
	before, err := conn.CurrentWAL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	point, err := conn.CreateRestorePoint(t.Context(), "it's here")
	if err != nil || point == 0 {
		t.Fatalf("restore point at %v: %v", point, err)
	}
	forced, err := conn.ForceSwitch(t.Context())
	if err != nil || forced.Closed != before || forced.LSN <= point {
		t.Errorf("switch of %s: %+v, %v", before, forced, err)
	}
	if after, err := conn.CurrentWAL(t.Context()); err != nil || after <= before {
		t.Errorf("current WAL %s after %s, %v", after, before, err)
	}
	_, err = conn.CreateRestorePoint(t.Context(), strings.Repeat("x", 64))
	refused(t, err, sdk.Invalid, "63")
}

func TestWALSwitchOfAnUntouchedSegmentClosesNothing(t *testing.T) {
	server := start(t, 15, "autovacuum = off", "bgwriter_delay = 10s", "checkpoint_timeout = 1h")
	conn := connect(t, server.conninfo("postgres"))
	closed := map[string]bool{}
	eventually(t, func() bool { // the server itself may write in between
		done, err := conn.SwitchWAL(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if done.Closed != "" && closed[done.Closed] {
			t.Fatalf("%s was closed twice", done.Closed)
		}
		closed[done.Closed] = true
		return done.Closed == ""
	})
}
