package postgres

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
	"github.com/barman-go/barman/test/pgtest"
)

func readFacts(t *testing.T, conn *Conn) Facts {
	t.Helper()
	facts, err := conn.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func TestFactsAgreeWithTheServerOnEveryVersion(t *testing.T) {
	pgtest.EachVersion(t, func(t *testing.T, major int) {
		server := start(t, major)
		conn := connect(t, server.conninfo("postgres"))
		facts := readFacts(t, conn)
		system, err := replicate(t, server.conninfo("postgres")).IdentifySystem(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if facts.SystemID != system.ID || facts.Timeline != system.Timeline || facts.Timeline != 1 || system.LSN < facts.LSN || facts.LSN == 0 {
			t.Errorf("facts: system %s, timeline %v, LSN %v; IDENTIFY_SYSTEM: %+v", facts.SystemID, facts.Timeline, facts.LSN, system)
		}
		if facts.Major() != major || !strings.HasPrefix(facts.Version, strconv.Itoa(major)) || facts.Supported() != nil {
			t.Errorf("version %d reads as %d, %q", major, facts.VersionNum, facts.Version)
		}
		if facts.DataDirectory != server.DataDir || facts.ConfigFile != filepath.Join(server.DataDir, "postgresql.conf") ||
			facts.HBAFile != filepath.Join(server.DataDir, "pg_hba.conf") || facts.IdentFile != filepath.Join(server.DataDir, "pg_ident.conf") {
			t.Errorf("files: %q %q %q %q", facts.DataDirectory, facts.ConfigFile, facts.HBAFile, facts.IdentFile)
		}
		if facts.BlockSize != 8192 || facts.SegmentSize != wal.DefaultSegmentSize || facts.WALLevel != "replica" || facts.ArchiveMode != "off" || facts.InRecovery {
			t.Errorf("settings: %+v", facts)
		}
		if wantSummary := facts.Major() >= 17; (facts.SummarizeWAL != "") != wantSummary {
			t.Errorf("summarize_wal is %q", facts.SummarizeWAL)
		}
		if len(facts.Unknown) != 0 {
			t.Errorf("a superuser cannot read %v", facts.Unknown)
		}
		if size, err := conn.Size(t.Context()); err != nil || size < 1<<20 {
			t.Errorf("size %d, %v", size, err)
		}
		if name, err := conn.CurrentWAL(t.Context()); err != nil || !strings.HasPrefix(name, "00000001") {
			t.Errorf("current WAL %q, %v", name, err)
		}
		if privileges, err := conn.Privileges(t.Context()); err != nil || !privileges.Superuser || !privileges.Functions || !privileges.Backup() {
			t.Errorf("privileges %+v, %v", privileges, err)
		}
		slotCycle(t, conn, server.conninfo("postgres"))
	})
}

func TestFactsListTablespacesAndIncludedFiles(t *testing.T) {
	server := server{pgtest.Start(t, pgtest.Options{
		Major: 15, Tablespaces: []string{"Fast One"}, Config: map[string]string{"include_if_exists": "extra.conf"},
	})}
	conn := connect(t, server.conninfo("postgres"))
	location := server.Tablespaces["Fast One"]
	extra := server.write(t, "extra.conf", "work_mem = '5MB'\n")
	execute(t, conn,
		"ALTER SYSTEM SET checkpoint_timeout = '7min'", "SELECT pg_reload_conf()")

	want := []string{extra, filepath.Join(server.DataDir, "postgresql.auto.conf")}
	var facts Facts
	eventually(t, func() bool { // a session sees a reload between two statements, at some time
		facts = readFacts(t, conn)
		return len(facts.IncludedFiles) == len(want)
	})
	if diff := cmp.Diff(want, facts.IncludedFiles); diff != "" {
		t.Errorf("included files (-want +got):\n%s", diff)
	}
	if len(facts.Tablespaces) != 1 || facts.Tablespaces[0].Name != "Fast One" || facts.Tablespaces[0].Location != location || facts.Tablespaces[0].OID < 16384 {
		t.Errorf("tablespaces: %+v", facts.Tablespaces)
	}
}

func TestStandbyFactsAndRefusals(t *testing.T) {
	primary := start(t, 15)
	standby := primary.standby(t)
	conn := connect(t, standby.conninfo("postgres"))
	facts := readFacts(t, conn)
	if !facts.InRecovery || facts.Timeline != 1 || facts.LSN == 0 {
		t.Errorf("in recovery %t, timeline %v, LSN %v", facts.InRecovery, facts.Timeline, facts.LSN)
	}
	if want := readFacts(t, connect(t, primary.conninfo("postgres"))).SystemID; facts.SystemID != want {
		t.Errorf("system identifier %s, want %s", facts.SystemID, want)
	}
	_, err := conn.SwitchWAL(t.Context())
	refused(t, err, sdk.Invalid, "recovery is in progress", "primary")
	_, err = conn.CreateRestorePoint(t.Context(), "here")
	refused(t, err, sdk.Invalid, "recovery is in progress")
}

func TestAPrimaryIsCheckedForItsStandby(t *testing.T) {
	primary := start(t, 15)
	standby, other := primary.standby(t).conninfo("postgres"), start(t, 15).conninfo("postgres")
	isStandby := Check{Name: "PostgreSQL server is standby", OK: true}
	notStandby := Check{Name: "Primary server is not a standby", OK: true}
	same := Check{Name: "Primary and standby have same system ID", OK: true}
	failed := func(row Check, hint string) Check { row.OK, row.Hint = false, hint; return row }
	for name, test := range map[string]struct {
		conninfo, primary string
		want              []Check
	}{
		"as it should be":      {standby, primary.conninfo("postgres"), []Check{isStandby, notStandby, same}},
		"the standby twice":    {standby, standby, []Check{isStandby, failed(notStandby, "lead to the primary"), same}},
		"another cluster":      {standby, other, []Check{isStandby, notStandby, failed(same, "the same cluster")}},
		"nobody":               {standby, "host=" + t.TempDir(), []Check{isStandby, failed(notStandby, "primary_conninfo: ")}},
		"a primary as standby": {primary.conninfo("postgres"), other, []Check{failed(isStandby, "has no effect")}},
	} {
		got := CheckServer(t.Context(), CheckRequest{Server: "main", Conninfo: test.conninfo, PrimaryConninfo: test.primary}).PostgreSQL[3:]
		if len(got) != len(test.want) {
			t.Fatalf("%s: %+v", name, got)
		}
		for i, want := range test.want {
			if got[i].Name != want.Name || got[i].OK != want.OK || !strings.Contains(got[i].Hint, want.Hint) || want.Hint == "" && got[i].Hint != "" {
				t.Errorf("%s: %+v, want %+v", name, got[i], want)
			}
		}
	}
}

func TestStandbyTimelineFollowsAPromotion(t *testing.T) {
	standby := start(t, 15).standby(t)
	conn := connect(t, standby.conninfo("postgres"))
	execute(t, conn, "SELECT pg_promote()")
	facts := readFacts(t, conn)
	if facts.InRecovery || facts.Timeline != 2 || !strings.HasPrefix(facts.CurrentWAL(), "00000002") {
		t.Errorf("in recovery %t, timeline %v, current WAL %s", facts.InRecovery, facts.Timeline, facts.CurrentWAL())
	}
}

func TestLeastPrivilegeUserReadsEverythingAndMaySwitch(t *testing.T) {
	pgtest.EachVersion(t, func(t *testing.T, major int) {
		server := start(t, major)
		server.BarmanRoles()
		superuser := connect(t, server.conninfo("postgres"))
		execute(t, superuser, "REVOKE pg_checkpoint FROM barman")
		conn := connect(t, server.conninfo("barman"))
		if facts := readFacts(t, conn); len(facts.Unknown) != 0 || facts.DataDirectory == "" || facts.SystemID == "" {
			t.Errorf("facts: %+v", facts)
		}
		privileges, err := conn.Privileges(t.Context())
		if diff := cmp.Diff(Privileges{Functions: true, Monitoring: true}, privileges); diff != "" || err != nil {
			t.Errorf("privileges (-want +got):\n%s%v", diff, err)
		}
		if _, err := conn.Size(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := conn.SwitchWAL(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := conn.CreateRestorePoint(t.Context(), "point"); err != nil {
			t.Error(err)
		}
		_, err = conn.ForceSwitch(t.Context())
		refused(t, err, sdk.Denied, `GRANT pg_checkpoint TO "barman"`)
		execute(t, superuser, "GRANT pg_checkpoint TO barman")
		if _, err := conn.ForceSwitch(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestFactsOfAnUnprivilegedUserNameWhatIsUnknown(t *testing.T) {
	server := start(t, 15)
	execute(t, connect(t, server.conninfo("postgres")), "CREATE ROLE nobody LOGIN",
		"REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
	conn := connect(t, server.conninfo("nobody"))
	facts := readFacts(t, conn)
	want := []string{"data_directory", "config_file", "hba_file", "ident_file", "sourcefile", "system_identifier"}
	if diff := cmp.Diff(want, facts.Unknown); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
	if facts.WALLevel != "replica" || facts.Timeline != 1 || facts.Knows("config_file") || !facts.Knows("wal_level") {
		t.Errorf("facts: %+v", facts)
	}
	privileges, err := conn.Privileges(t.Context())
	if err != nil || privileges.Backup() {
		t.Errorf("privileges %+v, %v", privileges, err)
	}
	_, err = conn.Size(t.Context())
	refused(t, err, sdk.Denied, "pg_read_all_stats")
	_, err = conn.SwitchWAL(t.Context())
	refused(t, err, sdk.Denied, "user=nobody", "EXECUTE")
}
