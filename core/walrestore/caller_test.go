package walrestore

import (
	"errors"
	"os"
	"testing"
)

func TestAProgramBetweenPostgreSQLAndUsDecidesWhatCodesMean(t *testing.T) {
	for name, tc := range map[string]struct {
		above []string // the names of the processes above, the parent first
		want  bool
	}{
		"PostgreSQL itself":            {[]string{"postgres", "postgres", "init"}, true},
		"through its shell":            {[]string{"sh", "postgres"}, true},
		"a script":                     {[]string{"bash", "sh", "postmaster"}, true},
		"an operator":                  {[]string{"manager", "sh", "postgres"}, false},
		"a script of an operator":      {[]string{"bash", "manager", "sh", "postgres"}, false},
		"somebody at a terminal":       {[]string{"bash", "sshd", "systemd"}, false},
		"shells up to what is hidden":  {[]string{"sh"}, true},
		"a name that only begins so":   {[]string{"postgres_export", "init"}, false},
		"nothing that can be seen":     {nil, true},
		"a name with a space in it is": {[]string{"postgres x"}, false},
	} {
		stat := func(pid int) (string, int, error) {
			if pid > len(tc.above) {
				return "", 0, errors.New("hidden")
			}
			return append([]string{"barman"}, tc.above...)[pid], pid + 1, nil
		}
		if got := runByPostgreSQL(0, stat); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestTheKernelTellsOfAProcess(t *testing.T) {
	name, parent, err := processStat(os.Getpid())
	if err != nil || name != "walrestore.test" || parent != os.Getppid() {
		t.Errorf("%q, %d, %v; the parent is %d", name, parent, err, os.Getppid())
	}
	if RunByPostgreSQL(os.Getpid()) {
		t.Error("go test is no PostgreSQL")
	}
	if _, _, err := processStat(-1); err == nil {
		t.Error("there is no process -1")
	}
}
