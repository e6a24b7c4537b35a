package check

import (
	"testing"

	"github.com/barman-go/barman/core/postgres"
)

func TestOnlyWhatSpoilsABackupKeepsItFromStarting(t *testing.T) {
	for name, want := range map[string]weight{
		"failed backups": harmless, "minimum redundancy requirements": harmless, "receive-wal running": aboutWAL, "wal_level (WAL streaming)": aboutWAL,
		"PostgreSQL": toldByBackup, "wal_level": critical, "no access to backup functions": critical, "check timeout": critical, "directories": critical,
		"a check that comes with the next release": critical,
	} {
		if got := weigh(postgres.Check{Name: name}); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}
