package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/recovery"
	"github.com/barman-go/barman/sdk"
)

func text(s string) *string { return &s }

var aRecovery = recovered{
	server: "main", begun: time.Date(2026, 1, 31, 15, 4, 5, 123456000, time.FixedZone("", 3600)),
	report: recovery.Report{
		Backup: "20260131T120000", Destination: "/srv/pg", WALDirectory: "/srv/pg/barman_wal", WALFiles: 2, RestoreCommand: "cp", Elapsed: 90 * time.Second,
		Settings: recovery.Settings{
			Changed:   []recovery.Setting{{File: "postgresql.conf", Line: 820, Key: "archive_command", Value: text("false")}, {File: "postgresql.conf", Line: 825, Key: "recovery_target_timeline"}},
			Dangerous: []recovery.Setting{{File: "postgresql.conf", Line: 823, Key: "data_directory", Value: text("'/old'")}},
			Missing:   []string{"pg_ident.conf"},
		},
	},
}

func TestTheReportOfARecoveryIsThatOfPythonBarman(t *testing.T) {
	var out strings.Builder
	aRecovery.text(&out, style{})
	_, report, _ := strings.Cut(out.String(), "Identify dangerous settings in destination directory.\n")
	want := `
IMPORTANT
These settings have been modified to prevent data losses

postgresql.conf line 820: archive_command = false
postgresql.conf line 825: recovery_target_timeline = None

WARNING
You are required to review the following options as potentially dangerous

postgresql.conf line 823: data_directory = '/old'

WARNING
The following configuration files have not been saved during backup, hence they have not been restored.
You need to manually restore them in order to start the recovered PostgreSQL instance:

    pg_ident.conf

Recovery completed (start time: 2026-01-31 15:04:05.123456+01:00, elapsed time: 1 minute, 30 seconds)
Your PostgreSQL server has been successfully prepared for recovery!
`
	if diff := cmp.Diff(want, report); diff != "" {
		t.Error(diff)
	}
	document := aRecovery.document()
	for key, want := range map[string]any{
		"changes":       [][]any{{"postgresql.conf", 819, "archive_command", text("false")}, {"postgresql.conf", 824, "recovery_target_timeline", (*string)(nil)}},
		"changes_count": 2, "warnings_count": 1, "missing_files": []string{"pg_ident.conf"},
		"warnings":            [][]any{{"postgresql.conf", 822, "data_directory", text("'/old'")}},
		"recovery_start_time": "2026-01-31 15:04:05.123456+01:00", "recovery_start_time_timestamp": "1769868245", "recovery_elapsed_time": "1 minute, 30 seconds",
	} {
		if diff := cmp.Diff(want, document[key]); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
	var warnings []string
	aRecovery.pointOut(func(w string) { warnings = append(warnings, w) })
	if len(warnings) != 3 {
		t.Errorf("%q", warnings)
	}
}

func TestOptionsOfARecoveryThatCannotBeAreRefused(t *testing.T) {
	for part, o := range map[string]recoverOptions{
		"--network-compression goes":   {compression: true},
		"--combine-mode":               {notYet: notYet{combineMode: "link"}},
		"--gcp-zone":                   {notYet: notYet{snapshot: [5]string{2: "x"}}},
		"--staging-location elsewhere": {without: withoutEffect{location: "elsewhere"}},
		"--staging-location remote":    {without: withoutEffect{location: "remote"}},
		"--staging-path tmp":           {staging: "tmp"},
		"--bwlimit -1":                 {rate: -1},
		"--no-delta-restore":           {delta: true, noDelta: true},
		"--no-retry":                   {noRetry: true, retryTimes: 1},
		"--retry-times -1":             {retryTimes: -1},
		"--no-network-compression":     {remote: "ssh pg", compression: true, noCompression: true},
		"--jobs -1":                    {jobs: -1},
		"--tablespace x":               {tablespaces: []string{"x"}},
		"--target-time":                {targetTime: "noon"},
	} {
		_, err := o.request(&document{object: map[string]any{}}, "/srv/pg")
		if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", part, err)
		}
	}
}

func TestADirectoryOnAnotherHostIsNotRelativeToThisOne(t *testing.T) {
	o := recoverOptions{remote: "ssh pg"}
	if _, err := o.request(&document{object: map[string]any{}}, "data"); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("%v", err)
	}
	if name, err := ownHost(); err != nil || name == "" {
		t.Errorf("the other host does not know where to fetch WAL from: %q, %v", name, err)
	}
}

func TestATimeWithoutAZoneIsMentioned(t *testing.T) {
	d := &document{object: map[string]any{}}
	o := recoverOptions{targetTime: "2026-01-31 15:04", rate: 100, staging: "/tmp"}
	request, err := o.request(d, "/srv/pg")
	if err != nil || !request.Target.Time.Equal(time.Date(2026, 1, 31, 15, 4, 0, 0, time.Local)) {
		t.Errorf("%v, %v", request.Target, err)
	}
	if request.BandwidthLimit != 100<<10 {
		t.Errorf("the limit is %d", request.BandwidthLimit)
	}
	said, _ := d.object["_WARNING"].([]string)
	if all := strings.Join(said, "\n"); len(said) != 1 || !strings.Contains(all, "no time zone") {
		t.Errorf("%q", said)
	}
}

func TestOfTwoArgumentsTheSecondIsADirectory(t *testing.T) {
	cmd := newRecoverCommand(&app{})
	for _, fine := range [][]string{{"main", "/srv/pg"}, {"main", "./latest"}, {"main", "latest", "pg"}} {
		if err := cmd.Args(cmd, fine); err != nil {
			t.Errorf("%q: %v", fine, err)
		}
	}
	for _, wrong := range [][]string{{"main", "latest"}, {"main"}, {}, {"main", "latest", "/srv/pg", "more"}} {
		if err := cmd.Args(cmd, wrong); err == nil {
			t.Errorf("%q: no error", wrong)
		}
	}
}
