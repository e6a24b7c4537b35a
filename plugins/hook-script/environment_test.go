package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

func TestTheEnvironmentOfEachOperation(t *testing.T) {
	inherited := []string{"PATH=/bin", "GOGC=50", "GOMEMLIMIT=24MiB", "BARMAN_PLUGIN=x", "PLUGIN_MIN_PORT=1", "BARMAN_CONFIG_FILE=/etc/b.hcl", "BARMAN_SEGMENT=of another event"}
	kept := []string{"PATH=/bin", "BARMAN_CONFIG_FILE=/etc/b.hcl"}
	for _, tc := range []struct {
		name  string
		event sdk.Event
		retry bool
		want  []string
	}{
		{"backup", sdk.Event{
			Operation: "backup", Phase: sdk.PhasePre, Server: "main",
			Values: map[string]string{"BACKUP_ID": "20260102T030405", "STATUS": "EMPTY", "VERSION": "1.2.3", "CONFIGURATION": "/etc/barman.hcl"},
		}, false, []string{
			"BARMAN_BACKUP_DIR=", "BARMAN_BACKUP_ID=20260102T030405", "BARMAN_BACKUP_INFO_PATH=", "BARMAN_CONFIGURATION=/etc/barman.hcl", "BARMAN_ERROR=",
			"BARMAN_HOOK=backup_script", "BARMAN_NEXT_ID=", "BARMAN_PHASE=pre", "BARMAN_PREVIOUS_ID=", "BARMAN_RETRY=0", "BARMAN_SERVER=main",
			"BARMAN_STATUS=EMPTY", "BARMAN_VERSION=1.2.3",
		}},
		{"archive", sdk.Event{
			Operation: "archive", Phase: sdk.PhasePost, Server: "main", Error: "full",
			Values: map[string]string{"SEGMENT": "000000010000000000000001", "PHASE": "not yours"},
		}, true, []string{
			"BARMAN_COMPRESSION=", "BARMAN_CONFIGURATION=", "BARMAN_ERROR=full", "BARMAN_FILE=", "BARMAN_HOOK=archive_retry_script", "BARMAN_PHASE=post",
			"BARMAN_RETRY=1", "BARMAN_SEGMENT=000000010000000000000001", "BARMAN_SERVER=main", "BARMAN_SIZE=", "BARMAN_TIMESTAMP=", "BARMAN_VERSION=",
		}},
		{"one that this plugin does not know", sdk.Event{Operation: "sync", Phase: sdk.PhasePost, Server: "main", Values: map[string]string{"NEW": "1"}}, false, []string{
			"BARMAN_CONFIGURATION=", "BARMAN_ERROR=", "BARMAN_HOOK=sync_script", "BARMAN_NEW=1", "BARMAN_PHASE=post", "BARMAN_RETRY=0", "BARMAN_SERVER=main",
			"BARMAN_VERSION=",
		}},
	} {
		if diff := cmp.Diff(append(append([]string{}, kept...), tc.want...), environment(inherited, tc.event, tc.retry)); diff != "" {
			t.Errorf("%s (- want, + got):\n%s", tc.name, diff)
		}
	}
}

func TestARecoveryScriptSeesTheBackupToo(t *testing.T) {
	env := strings.Join(environment(nil, sdk.Event{Operation: "recovery"}, false), "\n")
	for _, name := range []string{"BACKUP_ID", "DESTINATION_DIRECTORY", "TABLESPACES", "REMOTE_COMMAND", "RECOVER_OPTIONS"} {
		if !strings.Contains(env, "BARMAN_"+name+"=") {
			t.Errorf("BARMAN_%s is not set", name)
		}
	}
}

func TestAScriptStartsWhateverTheErrorIs(t *testing.T) {
	f := newFixture(t, Config{Script: `[ -n "$BARMAN_ERROR" ]`, Retry: true})
	e := sdk.Event{Operation: "backup", Phase: sdk.PhasePost, Server: "main", Error: "\x00" + strings.Repeat("no space\n", 100_000)}
	if err := f.Notify(f.ctx, e); err != nil || len(f.pauses) > 0 {
		t.Errorf("error %v after pauses %v; the log is %q", err, f.pauses, f.log)
	}
}
