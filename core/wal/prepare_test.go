package wal

import (
	"strings"
	"testing"
)

func TestSynchronousStandbyNamesAreUnderstood(t *testing.T) {
	for _, c := range []struct {
		names string
		waits bool
	}{
		{"", false},
		{"*", true},
		{"barman_receive_wal", true},
		{"a, Barman_Receive_Wal ,b", true},
		{"FIRST 2 (a, barman_receive_wal)", true},
		{"ANY 1 (*)", true},
		{"2 (a, b)", false},
		{`"barman_receive_wal"`, true},
		{`"a,barman_receive_wal"`, false},
		{`ANY 1 ("x ""y""", barman_receive_wal)`, true},
		{"barman_receive_wal2", false},
	} {
		if got := waitsFor(c.names, "barman_receive_wal"); got != c.waits {
			t.Errorf("%s: %v", c.names, got)
		}
	}
}

func FuzzWaitsFor(f *testing.F) {
	f.Add("FIRST 2 (a, \"b\"\"\", *)")
	f.Add("\"")
	f.Fuzz(func(t *testing.T, names string) {
		// What is added as a last name of its own is found, whatever comes before it.
		if strings.ContainsAny(names, "\"()") {
			waitsFor(names, "barman_receive_wal")
			return
		}
		if !waitsFor(names+", barman_receive_wal", "barman_receive_wal") {
			t.Errorf("not found behind %q", names)
		}
	})
}
