package config

import (
	"fmt"
	"testing"
)

func TestTheDigestOfAStageChangesWithItsSettings(t *testing.T) {
	digestOf := func(settings string) string {
		loaded := load(t, fmt.Sprintf("server \"main\" {\n conninfo = \"host=x\"\n wal {\n source \"pgreceivewal\" {\n%s\n}\n}\n}\n", settings))
		return loaded.Servers[0].WAL.Source.Digest()
	}
	first := digestOf("slot = \"a\"\nstatus_interval = \"1s\"")
	for _, same := range []string{"status_interval = \"1s\" # comment\n\n slot = \"a\"", "slot = lower(\"A\")\nstatus_interval = \"${1}s\""} {
		if digestOf(same) != first {
			t.Errorf("%q counts as a change", same)
		}
	}
	for _, other := range []string{"", "slot = \"b\"\nstatus_interval = \"1s\"", "slot = \"a\"", "slot = \"a\"\nstatus_interval = \"1s\"\nblock {\n x = 1\n}"} {
		if digestOf(other) == first {
			t.Errorf("%q is no change", other)
		}
	}
}
