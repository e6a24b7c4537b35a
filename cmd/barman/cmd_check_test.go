package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/barman-go/barman/core/check"
	"github.com/barman-go/barman/core/postgres"
)

func report(server string, active bool, rows ...postgres.Check) serverReport {
	return serverReport{server: server, active: active, Report: check.Report{Rows: rows, BackupSize: 10, WALSize: 2}}
}

func TestNagiosReadsTheFirstLine(t *testing.T) {
	good := postgres.Check{Name: "directories", OK: true}
	bad := postgres.Check{Name: "wal_level", Hint: "please set it to a higher level than 'minimal'"}
	plain := postgres.Check{Name: "receive-wal running"}
	for name, tc := range map[string]struct {
		reports []serverReport
		want    string
	}{
		"no server":  {nil, "BARMAN OK - No server configured\n"},
		"one good":   {[]serverReport{report("a", true, good)}, "BARMAN OK - Ready to serve the Espresso backup for a|a=10B a_wals=2B\n"},
		"two good":   {[]serverReport{report("a", true, good), report("b", true, good)}, "BARMAN OK - Ready to serve the Espresso backup for 2 servers * a * b|a=10B a_wals=2B b=10B b_wals=2B\n"},
		"one bad":    {[]serverReport{report("a", true, good, bad, plain)}, "BARMAN CRITICAL - server a has issues * a FAILED: wal_level, receive-wal running|a=10B a_wals=2B\na.wal_level: FAILED (please set it to a higher level than 'minimal')\na.receive-wal running: FAILED\n"},
		"one of two": {[]serverReport{report("a", true, bad), report("b", true, good)}, "BARMAN CRITICAL - 1 server out of 2 have issues * a FAILED: wal_level|a=10B a_wals=2B b=10B b_wals=2B\na.wal_level: FAILED (please set it to a higher level than 'minimal')\n"},
		"one is not active": {[]serverReport{report("a", true, good), report("b", false, bad)},
			"BARMAN OK - Ready to serve the Espresso backup for 2 servers * a * IGNORING: b|a=10B a_wals=2B b=10B b_wals=2B\n"},
	} {
		var stdout bytes.Buffer
		a := &app{printer: &console{stdout: &stdout}}
		err := nagios(a, tc.reports, nil)
		if stdout.String() != tc.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, stdout.String(), tc.want)
		}
		wantCode := 0
		if bytes.HasPrefix([]byte(tc.want), []byte("BARMAN CRITICAL")) {
			wantCode = 2
		}
		if got := exitCode(t.Context(), err); got != wantCode {
			t.Errorf("%s: exit code %d, not %d", name, got, wantCode)
		}
	}
}

func TestNagiosIsToldWhyNothingCouldBeChecked(t *testing.T) {
	var stdout bytes.Buffer
	err := nagios(&app{printer: &console{stdout: &stdout}}, nil, errors.New("a\nb"))
	if stdout.String() != "BARMAN CRITICAL - a; b\n" || err == nil {
		t.Errorf("%q, %v", stdout.String(), err)
	}
}
