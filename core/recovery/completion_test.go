package recovery

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/sdk"
)

// restoredInto makes a data directory and a tablespace as they are just before
// their guards are taken away.
func restoredInto(t *testing.T) []destination {
	t.Helper()
	all := []destination{{host: hostfs.Local{}, path: filepath.Join(t.TempDir(), "data")}, {host: hostfs.Local{}, path: filepath.Join(t.TempDir(), "fast")}}
	for i, d := range all {
		if err := os.Mkdir(d.path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := d.prepare(anErrand, nothing); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(d.path, []string{"base", "PG_15_202209061"}[i]), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

var anErrand = errand{what: "backup 20260102T030405 of server main", mark: "20260102T030405 01234567"}

// again begins the same recovery once more.
func again(all []destination) error {
	_, err := prepareAll(all, anErrand)
	return err
}

func TestRecoveryKilledBetweenTwoGuardsBeginsAnew(t *testing.T) {
	all := restoredInto(t)
	// A data directory that cannot be completed stands for the kill.
	broken := all[0]
	if err := broken.guard(anErrand, tablespaceLine+all[1].path); err != nil {
		t.Fatal(err)
	}
	if err := all[1].complete(); err != nil {
		t.Fatal(err)
	}
	if err := again(all); err != nil {
		t.Error(err)
	}
}

func TestCompleteRecoveryIsNotBegunAnew(t *testing.T) {
	all := restoredInto(t)
	if err := complete(all, anErrand); err != nil {
		t.Fatal(err)
	}
	if err := again(all); sdk.KindOf(err) != sdk.Exists {
		t.Errorf("got %v, want that something exists", err)
	}
}

func TestTablespaceThatNoGuardNamesIsRefused(t *testing.T) {
	all := restoredInto(t)
	if err := all[1].complete(); err != nil {
		t.Fatal(err)
	}
	if err := again(all); sdk.KindOf(err) != sdk.Exists {
		t.Errorf("got %v, want that something exists", err)
	}
	if _, err := os.Stat(filepath.Join(all[1].path, "PG_15_202209061")); err != nil {
		t.Error(err)
	}
}

func TestTablespaceWithOtherFilesIsRefusedThoughAGuardNamesIt(t *testing.T) {
	all := restoredInto(t)
	if err := all[0].guard(anErrand, tablespaceLine+all[1].path); err != nil {
		t.Fatal(err)
	}
	if err := all[1].complete(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(all[1].path, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := again(all); sdk.KindOf(err) != sdk.Exists {
		t.Errorf("got %v, want that something exists", err)
	}
}

func TestGuardThatWasNeverPutUpIsNoObstacle(t *testing.T) {
	d := destination{host: hostfs.Local{}, path: t.TempDir()}
	if err := os.WriteFile(filepath.Join(d.path, ".postmaster.pid.123.tmp"), []byte("bar"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.prepare(anErrand, nothing); err != nil {
		t.Error(err)
	}
}
