package main

import "testing"

func TestPasswordsInAnArchiveCommandAreMasked(t *testing.T) {
	for command, want := range map[string]string{
		"cp %p /x/%f": "cp %p /x/%f",
		"PGPASSWORD=hunter2 ship %p --password='hunter 2' password=hunter2": "PGPASSWORD=*REDACTED* ship %p --password=*REDACTED* password=*REDACTED*",
	} {
		if got := secretsIn.ReplaceAllString(command, "${1}*REDACTED*"); got != want {
			t.Errorf("%q: %q", command, got)
		}
	}
}
