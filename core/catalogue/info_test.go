package catalogue

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk/wal"
)

// keys34 is what Barman 3.4 always writes; it refuses to read others except
// backup_name and snapshots_info.
func keys34(t testing.TB) []string {
	t.Helper()
	var keys []string
	for line := range strings.Lines(read(t, "testdata/barman-3.4/empty.info")) {
		key, _, _ := strings.Cut(line, "=")
		keys = append(keys, key)
	}
	return keys
}

func keysOf(content []byte) []string {
	var keys []string
	for line := range strings.Lines(string(content)) {
		key, _, _ := strings.Cut(line, "=")
		keys = append(keys, key)
	}
	return keys
}

func TestFilesOfBarman34RoundTripByteForByte(t *testing.T) {
	paths, err := filepath.Glob("testdata/barman-3.4/home/main/base/*/backup.info")
	if err != nil || len(paths) != 5 {
		t.Fatal(paths, err)
	}
	for _, path := range append(paths, "testdata/barman-3.4/empty.info") {
		content := read(t, path)
		b, err := parseInfo([]byte(content))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		again, err := formatInfo(b)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if d := cmp.Diff(content, string(again)); d != "" {
			t.Errorf("%s: %s", path, d)
		}
	}
}

func TestNewBackupHasExactlyTheKeysOfBarman34(t *testing.T) {
	content, err := formatInfo(&Backup{State: StateEmpty, Server: "main", Mode: ModePostgres, SystemID: "7710531007977330367"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(read(t, "testdata/barman-3.4/empty.info"), string(content)); d != "" {
		t.Error(d)
	}
}

// full returns a backup with every field that 3.4 knows.
func full() *Backup {
	zone := time.FixedZone("", 2*3600)
	return &Backup{
		Server: "main", Name: "before the upgrade", State: StateDone, Mode: ModePostgres, Compression: "gzip", SystemID: "77", Version: 170002,
		Timeline: 3, SegmentSize: 64 << 20, PGData: "/srv/données", ConfigFile: "/etc/c", HBAFile: "/etc/h", IdentFile: "/etc/i",
		IncludedFiles: []string{"/etc/it's", "/etc/b"}, Tablespaces: []Tablespace{{`a "b" 'c'`, 16385, "/srv/\xff"}, {"x", 4294967295, "/y=z"}},
		BeginTime: time.Date(2024, 1, 10, 12, 0, 0, 123456000, zone), EndTime: time.Date(2024, 1, 10, 12, 5, 0, 0, time.UTC),
		BeginLSN: 0x1234, EndLSN: 0xA125A175E, BeginWAL: "000000030000000A00000012", EndWAL: "000000030000000A00000013",
		BeginOffset: new(int64(40)), EndOffset: new(int64(0)), Label: "START WAL LOCATION\nLABEL: it's\n", Size: new(int64(1 << 40)), DeduplicatedSize: new(int64(0)),
		CopyStats: Dict{{"copy_time", 1.5}, {"total_time", 1.0}}, SnapshotsInfo: Dict{{"provider", "gcp"}},
	}
}

func TestEveryFieldRoundTrips(t *testing.T) {
	want := full()
	content, err := formatInfo(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseInfo(content)
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".present" }, cmp.Ignore())
	if d := cmp.Diff(want, got, cmp.AllowUnexported(Backup{}), same); d != "" {
		t.Error(d)
	}
	if !strings.Contains(string(content), "begin_time=2024-01-10 12:00:00.123456+02:00\n") || !strings.Contains(string(content), "end_time=2024-01-10 12:05:00+00:00\n") {
		t.Errorf("times: %s", content)
	}
	allowed := append(keys34(t), "backup_name", "snapshots_info")
	keys := keysOf(content)
	if len(keys) != len(allowed) {
		t.Errorf("%d keys, expected %d: %v", len(keys), len(allowed), keys)
	}
	for i := 1; i < len(keys); i++ {
		if keys[i] <= keys[i-1] {
			t.Errorf("%s comes after %s", keys[i], keys[i-1])
		}
	}
}

func TestKeysOfLaterReleasesSurviveRewriting(t *testing.T) {
	later := read(t, "testdata/barman-3.17/backup.info")
	b, err := parseInfo([]byte(later))
	if err != nil {
		t.Fatal(err)
	}
	if b.DataChecksums != "on" || len(b.ChildrenIDs) != 2 || b.ParentID != "" || *b.ClusterSize != 12345 || b.Label != "LABEL: it's\n" {
		t.Errorf("read as %+v", b)
	}
	again, err := formatInfo(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(later, string(again)); d != "" {
		t.Error(d)
	}
}

func TestFieldsOfLaterReleasesAreWrittenWhenSet(t *testing.T) {
	content, err := formatInfo(&Backup{State: StateEmpty, ParentID: "20240101T000000", ChildrenIDs: []BackupID{"20240102T000000", "20240103T000000"}})
	if err != nil || !strings.Contains(string(content), "parent_backup_id=20240101T000000\n") ||
		!strings.Contains(string(content), "children_backup_ids=20240102T000000,20240103T000000\n") {
		t.Errorf("%s, %v", content, err)
	}
}

func TestSpacesCommentsBlankLinesAndRepetitionsAreUnderstood(t *testing.T) {
	b, err := parseInfo([]byte("# comment\n\n  status = DONE \r\n\tsize\t=\t12\nsize=13\nerror=a=b\ntimeline=3\ntimeline=None"))
	if err != nil {
		t.Fatal(err)
	}
	if b.State != StateDone || *b.Size != 13 || b.Error != "a=b" || b.Timeline != 0 || b.SegmentSize != wal.DefaultSegmentSize {
		t.Errorf("%+v", b)
	}
}

func TestDamageIsReportedWithItsLine(t *testing.T) {
	for content, want := range map[string]string{
		"":                                          "line 1",
		"\n\n":                                      "line 2",
		"status=DONE\nsize\n":                       "line 2",
		"status=DONE\nzzz=1\nyyy=2\n":               `line 2: unknown field "zzz"`,
		"status=BOGUS\n":                            "line 1: status",
		"size=x\n":                                  "line 1: size",
		"size=-1\n":                                 "line 1: size",
		"size=9223372036854775807\n":                "line 1: size",
		"size=99999999999999999999\n":               "line 1: size",
		"timeline=4294967296\n":                     "line 1: timeline",
		"version=99999999999\n":                     "line 1: version",
		"size=\n":                                   "line 1: size",
		"begin_time=yesterday\n":                    "line 1: begin_time",
		"begin_wal=../../etc/passwd\n":              "line 1: begin_wal",
		"begin_wal=00000002.history\n":              "line 1: begin_wal",
		"begin_xlog=1\n":                            "line 1: begin_xlog",
		"timeline=-1\n":                             "line 1: timeline",
		"version=9.6\n":                             "line 1: version",
		"xlog_segment_size=17\n":                    "line 1: xlog_segment_size",
		"xlog_segment_size=x\n":                     "line 1: xlog_segment_size",
		"tablespaces=[1]\n":                         "line 1: tablespaces",
		"tablespaces={}\n":                          "line 1: tablespaces",
		"tablespaces=[('a',0,'/x')]\n":              "line 1: tablespaces",
		"tablespaces=[('a',-5,'/x')]\n":             "line 1: tablespaces",
		"tablespaces=[('a','../..','/x')]\n":        "line 1: tablespaces",
		"tablespaces=[('a',5,'/x'),('b',5,'/y')]\n": "listed twice",
		"included_files=[1]\n":                      "line 1: included_files",
		"copy_stats=[]\n":                           "line 1: copy_stats",
		"backup_label=[]\n":                         "line 1: backup_label",
		"backup_label='a\n":                         "line 1: backup_label",
		"parent_backup_id=../x\n":                   "line 1: parent_backup_id",
		"children_backup_ids=a,b\n":                 "line 1: children_backup_ids",
		"pgdata=/a\x00b\n":                          "line 1",
		"pgdata=\xff\n":                             "line 1",
		"\x1f\x8b\x08\x00":                          "line 1",
		strings.Repeat("\x00", 4096):                "line 1",
	} {
		_, err := parseInfo([]byte(content))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, expected %s", content, err, want)
		}
	}
	var many strings.Builder
	for i := range 2000 {
		many.WriteString("k" + strings.Repeat("x", i) + "=1\n")
	}
	if _, err := parseInfo([]byte(many.String())); err == nil {
		t.Error("thousands of unknown keys were accepted")
	}
}

func TestWhatTheFormatCannotHoldIsRefused(t *testing.T) {
	for name, change := range map[string]func(b *Backup){
		"newline in path":  func(b *Backup) { b.PGData = "/a\nstatus=DONE" },
		"carriage return":  func(b *Backup) { b.PGData = "/a\r" },
		"text None":        func(b *Backup) { b.Name = "None" },
		"white space":      func(b *Backup) { b.Server = " main" },
		"not UTF-8":        func(b *Backup) { b.PGData = "/\xff" },
		"no state":         func(b *Backup) { b.State = "" },
		"segment":          func(b *Backup) { b.BeginWAL = "x" },
		"parent":           func(b *Backup) { b.ParentID = "../x" },
		"children":         func(b *Backup) { b.ChildrenIDs = []BackupID{"x"} },
		"negative size":    func(b *Backup) { b.Size = new(int64(-1)) },
		"segment size":     func(b *Backup) { b.SegmentSize = 5 },
		"stats of structs": func(b *Backup) { b.CopyStats = Dict{{"a", struct{}{}}} },
	} {
		b := full()
		change(b)
		if content, err := formatInfo(b); err == nil {
			t.Errorf("%s: written as %s", name, content)
		}
	}
}

func TestTimesOfAllReleasesAreRead(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-21 07:58:19.018090+00:00":  "2026-11-21 07:58:19.018090+00:00",
		"2026-11-21 07:58:19+01:00":         "2026-11-21 07:58:19+01:00",
		"2026-11-21 07:58:19.5-0330":        "2026-11-21 07:58:19.500000-03:30",
		"2026-11-21 07:58:19+02":            "2026-11-21 07:58:19+02:00",
		"2026-11-21T07:58:19Z":              "2026-11-21 07:58:19+00:00",
		"2026-11-21 07:58:19 UTC":           "2026-11-21 07:58:19+00:00",
		"2026-11-21 07:58:19 +05:30":        "2026-11-21 07:58:19+05:30",
		"1850-01-01 00:00:00+00:53:28":      "1850-01-01 00:00:00+00:53:28",
		"Wed Jan 10 12:00:00 2024 +01:00":   "2024-01-10 12:00:00+01:00",
		"2026-11-21 07:58:19.0000009+00:00": "2026-11-21 07:58:19+00:00",
	} {
		got, err := parseTimestamp(text)
		if err != nil || formatTimestamp(got) != want {
			t.Errorf("%s is read as %s, %v", text, formatTimestamp(got), err)
		}
	}
	for _, text := range []string{"2024-01-10 12:00:00", "Wed Jan 10 12:00:00 2024", "2024-01-10T12:00"} {
		want := time.Date(2024, 1, 10, 12, 0, 0, 0, time.Local)
		if got, err := parseTimestamp(text); err != nil || !got.Equal(want) {
			t.Errorf("%s is read as %s, %v; expected the local zone", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "2024-13-01 00:00:00", "2024-01-10 25:00:00", "0000-00-00", strings.Repeat("1", 100)} {
		if got, err := parseTimestamp(text); err == nil {
			t.Errorf("%.40q is read as %s", text, got)
		}
	}
}

func TestValuesDamagedByACopiedCatalogueAreRepaired(t *testing.T) {
	b, err := parseInfo([]byte(`backup_label="'START\\nLABEL\\n'"` + "\nchildren_backup_ids=" + strings.Join(strings.Split("20240111T120000,20240112T120000", ""), ",") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if b.Label != "START\nLABEL\n" {
		t.Errorf("label %q", b.Label)
	}
	if d := cmp.Diff([]BackupID{"20240111T120000", "20240112T120000"}, b.ChildrenIDs); d != "" {
		t.Error(d)
	}
}

func TestTypeFollowsModeAndParent(t *testing.T) {
	for _, c := range []struct {
		b    Backup
		want Type
		full bool
	}{
		{Backup{Mode: ModePostgres}, TypeFull, true},
		{Backup{}, TypeFull, true},
		{Backup{Mode: ModePostgres, ParentID: "20240101T000000"}, TypeIncremental, false},
		{Backup{Mode: ModeRsyncConcurrent}, TypeRsync, true},
		{Backup{Mode: "snapshot-concurrent"}, TypeSnapshot, false},
	} {
		if c.b.Type() != c.want || c.b.Full() != c.full {
			t.Errorf("%+v is %s, full %v", c.b, c.b.Type(), c.b.Full())
		}
	}
}

func TestFailureKeepsOneLine(t *testing.T) {
	b := full()
	b.Fail("copying files", errors.New("sink \"posix\": disk full\x00\r\nsecond line"))
	if b.State != StateFailed || b.Error != `failure copying files (sink "posix": disk full)` {
		t.Errorf("%s: %q", b.State, b.Error)
	}
	b.Fail("x", errors.New(strings.Repeat("é", 10000)))
	if _, err := formatInfo(b); err != nil {
		t.Error(err)
	}
}

func FuzzParseInfo(f *testing.F) {
	paths, _ := filepath.Glob("testdata/barman-*/home/main/base/*/backup.info")
	for _, path := range append(paths, "testdata/barman-3.4/empty.info", "testdata/barman-3.17/backup.info") {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte("status=DONE\nsize=None\n# c\n\nbegin_time=Wed Jan 10 12:00:00 2024\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		b, err := parseInfo(content)
		if err != nil {
			return
		}
		text, err := formatInfo(b)
		if err != nil {
			t.Fatalf("%q is read but cannot be written: %v", content, err)
		}
		again, err := parseInfo(text)
		if err != nil {
			t.Fatalf("%q is written as %q, which cannot be read: %v", content, text, err)
		}
		twice, err := formatInfo(again)
		if err != nil || string(twice) != string(text) {
			t.Fatalf("%q is written differently the second time: %q, %v", text, twice, err)
		}
	})
}
