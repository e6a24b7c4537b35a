package datadir

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

// What a data directory and a tablespace may hold, and whether it is backed up.
var dataDirectory = map[string]bool{
	"PG_VERSION": true, "postgresql.conf": true, "postgresql.auto.conf": true, "pg_hba.conf": true, "global/pg_control": true,
	"global/pg_filenode.map": true, "global/1260": true, "base/1/1259": true, "base/1/1259_fsm": true, "base/16384/t16": true,
	"base/5/pg_internal.init": false, "base/5/pg_internal.init.1234": false, "global/pg_internal.init": false,
	"base/16384/t4_16390": false, "base/16384/t4_16390_fsm": false, "base/16384/t12_16390.1": false,
	"base/pgsql_tmp/pgsql_tmp123.0": false, "base/pgsql_tmp": false,
	"pg_wal": true, "pg_wal/000000010000000000000001": false, "pg_wal/archive_status/000000010000000000000001.done": false,
	"pg_xact/0000": true, "pg_multixact/offsets/0000": true, "pg_commit_ts": true, "pg_twophase/000002E5": true, "pg_stat": true, "pg_logical/snapshots": true,
	"pg_dynshmem": true, "pg_dynshmem/mmap.1": false, "pg_notify/0000": false, "pg_replslot/barman/state": false, "pg_serial/0000": false,
	"pg_snapshots/x": false, "pg_stat_tmp/global.stat": false, "pg_subtrans/0000": false, "log": true, "log/postgresql.log": false, "pg_log/x": false,
	"postmaster.pid": false, "postmaster.opts": false, "postgresql.auto.conf.tmp": false, "current_logfiles.tmp": false, "current_logfiles": true,
	"recovery.conf": false, "recovery.signal": false, "standby.signal": false, "backup_label": false, "backup_label.old": true,
	"tablespace_map": false, "backup_manifest": false, "mine/backup_label": true, "mine/log/x": true,
	"pg_tblspc": true, "pg_tblspc/16400": false, "pg_tblspc/16401": false, "spaces/a[1]*b": false, "spaces/a[1]*b/PG_15_202209061/1/2": false, "spaces": true, "spaces/a1b": true,
	"tablespaces": true,
}

var tablespace = map[string]bool{
	"PG_15_202209061": true, "PG_15_202209061/16384/16390": true, "PG_15_202209061/16384/t4_16390": false, "PG_15_202209061/pgsql_tmp/pgsql_tmp1.0": false,
	"PG_14_202107181": false, "PG_14_202107181/16384/16390": false, "lost+found": false, "PG_15_202209061/16384/pg_internal.init": false,
}

var lists = []struct {
	name  string
	list  List
	files map[string]bool
}{
	{"data directory", DataDirectory("/srv/pg data", []sdk.Tablespace{{OID: 16400, Location: "/srv/elsewhere"}, {OID: 16401, Location: "/srv/pg data/spaces/a[1]*b"}}), dataDirectory},
	{"tablespace", Tablespace(15), tablespace},
}

func TestWhatIsInABackup(t *testing.T) {
	for _, tc := range lists {
		for name, want := range tc.files {
			if got := !tc.list.Excludes(name); got != want {
				t.Errorf("%s: %s is in the backup: %t, expected %t", tc.name, name, got, want)
			}
		}
	}
}

// The rules mean to rsync what the list means to us.
func TestRsyncUnderstandsTheSame(t *testing.T) {
	for _, tc := range lists {
		from, to := t.TempDir(), t.TempDir()
		var want []string
		for name, in := range tc.files {
			path := filepath.Join(from, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(keys(tc.files), func(other string) bool { return strings.HasPrefix(other, name+"/") }) {
				continue // a directory
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if in {
				want = append(want, name)
			}
		}
		args := []string{"-a"}
		for _, rule := range tc.list.FilterRules() {
			args = append(args, "--filter="+rule)
		}
		if out, err := exec.CommandContext(t.Context(), "rsync", append(args, from+"/", to)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var got []string
		err := filepath.WalkDir(to, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				got = append(got, strings.TrimPrefix(path, to+"/"))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}

func keys(m map[string]bool) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	return names
}

func TestOfUnloggedRelationsOnlyTheInitForkStays(t *testing.T) {
	names := []string{
		"16384", "16384_init", "16384.1", "16384_fsm", "16384_vm.1", "16385", "16385_fsm", "16386_init", "PG_VERSION", "pg_filenode.map",
		"16384x", "16384_init.x", "t3_16384", "x_init", "16384.x",
	}
	want := map[string]bool{"16384": true, "16384.1": true, "16384_fsm": true, "16384_vm.1": true}
	if diff := cmp.Diff(want, Unlogged(names)); diff != "" {
		t.Error(diff)
	}
}

func FuzzExcludes(f *testing.F) {
	f.Add("base/1/t3_4", "/srv/pg data/x")
	f.Fuzz(func(t *testing.T, name, location string) {
		list := DataDirectory("/srv/pg data", []sdk.Tablespace{{OID: 1, Location: location}})
		if list.Excludes(name) && !list.Excludes(name+"/below") {
			t.Errorf("%q is excluded, but not what is in it", name)
		}
		inside, ok := strings.CutPrefix(location, "/srv/pg data/")
		if ok && sdk.ValidName(inside) && !list.Excludes(inside) {
			t.Errorf("the tablespace at %q is not excluded", location)
		}
		Unlogged([]string{name, fmt.Sprint(name, "_init")})
	})
}
