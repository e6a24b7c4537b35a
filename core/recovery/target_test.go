package recovery

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func wantError(t *testing.T, err error, kind sdk.ErrorKind, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, expected one of kind %q", kind)
	}
	if got := sdk.KindOf(err); got != kind {
		t.Errorf("error of kind %q, expected %q: %v", got, kind, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error does not mention %q: %v", part, err)
		}
	}
}

func TestAtMostOneTargetIsTaken(t *testing.T) {
	single := []Target{{Time: &noon}, {XID: "7"}, {LSN: "0/1"}, {Name: "x"}, {Immediate: true}}
	for i, a := range single {
		if err := a.validate(); err != nil {
			t.Errorf("%+v: %v", a, err)
		}
		for _, action := range []string{"pause", "shutdown", "promote"} {
			a.Action = action
			if err := a.validate(); err != nil {
				t.Errorf("%+v: %v", a, err)
			}
		}
		for j, b := range single {
			if i == j {
				continue
			}
			both := Target{Time: a.Time, XID: a.XID + b.XID, LSN: a.LSN + b.LSN, Name: a.Name + b.Name, Immediate: a.Immediate || b.Immediate}
			if b.Time != nil {
				both.Time = b.Time
			}
			wantError(t, both.validate(), sdk.Invalid, "more than one recovery target")
		}
	}
}

func TestTargetsThatPostgreSQLWouldRefuse(t *testing.T) {
	for part, targets := range map[string][]Target{
		"needs a recovery target":     {{Action: "promote"}, {Action: "pause", Timeline: "latest"}},
		"pause, shutdown or promote":  {{Immediate: true, Action: "stop"}, {XID: "1", Action: "Promote"}},
		"exclusive needs":             {{Exclusive: true}, {Immediate: true, Exclusive: true}, {Name: "x", Exclusive: true}},
		"not a transaction ID":        {{XID: "x"}, {XID: "-1"}, {XID: "1 2"}, {XID: "99999999999999999999"}},
		"target lsn":                  {{LSN: "x"}, {LSN: "0"}, {LSN: "0/"}, {LSN: "0/1'"}, {LSN: "123456789/0"}},
		"63 bytes":                    {{Name: strings.Repeat("x", 64)}, {Name: strings.Repeat("ä", 32)}, {Name: "a\nb"}},
		"from 1, current or latest":   {{Timeline: "0"}, {Timeline: "-1"}, {Timeline: "x"}, {Timeline: "1x"}, {Timeline: "4294967296"}, {Timeline: "Latest"}},
		"more than one recovery targ": {{Immediate: true, Name: "x", Timeline: "latest"}},
	} {
		for _, target := range targets {
			wantError(t, target.validate(), sdk.Invalid, part)
		}
	}
	for _, target := range []Target{{}, {Timeline: "latest"}, {Timeline: "current"}, {Timeline: "4294967295"}, {Name: strings.Repeat("x", 63)}, {LSN: "FFFFFFFF/FFFFFFFF"}, {XID: "4294967295", Exclusive: true}} {
		if err := target.validate(); err != nil {
			t.Errorf("%+v: %v", target, err)
		}
	}
}

func FuzzTargetsThatAreTakenAreOneLineOfSettings(f *testing.F) {
	f.Add("1", "", "", "latest")
	f.Add("", "0/1", "", "")
	f.Add("", "", "it's\\", "3")
	f.Fuzz(func(t *testing.T, xid, lsn, name, timeline string) {
		target := Target{XID: xid, LSN: lsn, Name: name, Timeline: timeline}
		if target.validate() != nil {
			return
		}
		for _, line := range (settings{version: 150000, target: target}).lines() {
			if strings.ContainsAny(line, "\r\n") || strings.Count(line, "'")%2 != 0 {
				t.Errorf("%+v: %q", target, line)
			}
		}
	})
}

// backupAt is a complete backup that ended at a time and position.
func backupAt(id catalogue.BackupID, end time.Time, lsn wal.LSN) *catalogue.Backup {
	return &catalogue.Backup{
		ID: id, Server: "main", State: catalogue.StateDone, Version: 150004, Timeline: 2, SegmentSize: 1 << 20,
		BeginTime: end.Add(-time.Minute), EndTime: end, BeginLSN: lsn - 0x100, EndLSN: lsn,
		BeginWAL: wal.SegmentAt(2, lsn-0x100, 1<<20).Name(1 << 20), EndWAL: wal.SegmentAt(2, lsn-1, 1<<20).Name(1 << 20),
	}
}

// reaches holds a target against a backup and the archive.
func reaches(t *testing.T, s *server.Server, target Target, b *catalogue.Backup) error {
	t.Helper()
	return (&run{server: s, host: hostfs.Local{}, request: Request{Backup: b, Target: target}}).leadsThere(t.Context())
}

// putWAL puts a file into the archive.
func putWAL(t *testing.T, s *server.Server, name, content string) {
	t.Helper()
	n, err := wal.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	path := s.Catalogue.WALPath(n)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestATargetBeforeTheEndOfTheBackupNamesTheNearestUsableOne(t *testing.T) {
	s := plugintest.NewServer(t, "").Server
	ends := []time.Time{noon.Add(-2 * time.Hour), noon.Add(-time.Hour), noon.Add(-30 * time.Minute), noon}
	ids := []catalogue.BackupID{"20260102T080000", "20260102T090000", "20260102T093000", "20260102T100000"}
	for i, id := range ids {
		b := backupAt(id, ends[i], wal.LSN(0x1000000*(i+1)+0x2000))
		if i == 2 {
			b.Fail("copying files", sdk.Errorf(sdk.Unknown, "disk full"))
		}
		if err := s.Catalogue.Save(b); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0x10; n <= 0x50; n++ {
		putWAL(t, s, segmentName(2, n), "x")
	}
	putWAL(t, s, "00000003.history", "1\t0/100\tx\n2\t0/5080000\tx\n")
	latest, err := s.Catalogue.Get(ids[3])
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) *time.Time { moment := noon.Add(d); return &moment }
	for name, test := range map[string]struct {
		target Target
		parts  []string
	}{
		"time":                     {Target{Time: at(-time.Minute)}, []string{"target time 2026-01-02 11:59:00.5+02:00", "20260102T100000", "nearest usable backup is 20260102T090000"}},
		"time before all":          {Target{Time: at(-3 * time.Hour)}, []string{"no backup of this server ends before it"}},
		"lsn":                      {Target{LSN: "0/3002000"}, []string{"target lsn 0/3002000", "0/4002000", "nearest usable backup is 20260102T090000"}},
		"lsn just before":          {Target{LSN: "0/4001FFF"}, []string{"nearest usable backup is 20260102T090000"}},
		"earlier timeline":         {Target{Timeline: "1"}, []string{"target timeline 1", "20260102T100000", "timeline 2"}},
		"time on earlier timeline": {Target{Time: at(time.Hour), Timeline: "1"}, []string{"target timeline 1"}},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, reaches(t, s, test.target, latest), sdk.Invalid, test.parts...) })
	}
	for _, fine := range []Target{{}, {Time: at(0)}, {Time: at(time.Hour)}, {LSN: "0/4002000"}, {Name: "x"}, {XID: "3"}, {Immediate: true}, {Timeline: "2"}, {Timeline: "3"}, {Timeline: "latest"}} {
		if err := reaches(t, s, fine, latest); err != nil {
			t.Errorf("%+v: %v", fine, err)
		}
	}
}
