package diagnosis

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/server"
)

// configured is a server that nobody can reach, with its configuration.
func configured(t *testing.T) (*config.Config, *server.Server) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "barman.hcl")
	text := `
		barman { home = "` + dir + `" }
		defaults { last_backup_maximum_age = "2 DAYS" }
		server "main" {
			conninfo = "host=/nowhere user=barman password=geheim"
			backup {
				source "pgbasebackup" { checkpoint = "fast" }
				transform "compress" {}
				sink "posix" {}
			}
			wal {
				source "pgreceivewal" { slot = "barman" }
				sink "posix" {}
			}
			retention { policy = "REDUNDANCY 2" }
			hook "pre_backup" {
				script = "/bin/check"
				retry  = true
			}
		}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(loaded, loaded.Servers[0], nil, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return loaded, s
}

func TestSettingsHaveTheNamesOfABarmanConf(t *testing.T) {
	loaded, s := configured(t)
	found := map[string]Option{}
	for _, o := range Options(loaded, s.Config) {
		if _, twice := found[o.Name]; twice {
			t.Errorf("%s is there twice", o.Name)
		}
		found[o.Name] = o
	}
	file := loaded.Paths[0]
	for name, want := range map[string]Option{
		"conninfo":                {Value: "host=/nowhere user=barman password=*REDACTED*", Source: file},
		"streaming_conninfo":      {Value: "host=/nowhere user=barman password=*REDACTED*"},
		"barman_home":             {Value: loaded.Global.Home, Source: file},
		"wals_directory":          {Value: filepath.Join(loaded.Global.Home, "main", "wals")},
		"backup_method":           {Value: "postgres", Source: file},
		"immediate_checkpoint":    {Value: true},
		"backup_compression":      {Value: "zstd"},
		"compression":             {},
		"slot_name":               {Value: "barman", Source: file},
		"streaming_archiver":      {Value: true},
		"streaming_archiver_name": {Value: "barman_receive_wal"},
		"archiver":                {Value: false},
		"retention_policy":        {Value: "REDUNDANCY 2", Source: file},
		"last_backup_maximum_age": {Value: "2 days", Source: file},
		"pre_backup_retry_script": {Value: "/bin/check", Source: file},
		"disabled":                {Value: false},
	} {
		want.Name = name
		if diff := cmp.Diff(want, found[name]); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAReportIsWholeWithoutAServerToAsk(t *testing.T) {
	loaded, s := configured(t)
	b, err := s.Catalogue.Create(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	size := int64(42)
	b.Server, b.State, b.Mode, b.EndTime, b.Size = "main", catalogue.StateDone, catalogue.ModePostgres, time.Now(), &size
	b.BeginWAL, b.EndWAL, b.Timeline = "000000010000000000000002", "000000010000000000000002", 1
	b.CopyStats = catalogue.Dict{{Key: "total_time", Value: 1.5}}
	if err := s.Catalogue.Save(b); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(s.Config.Directories.Basebackups, "20260101T000000")
	if err := os.MkdirAll(damaged, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "backup.info"), []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	report := Report(t.Context(), Request{Config: loaded, Servers: []*server.Server{s}, Sources: true, Now: time.Now()})
	encoded, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var told struct {
		Servers map[string]struct {
			Config  map[string]struct{ Source string }
			Status  map[string]any
			Backups map[string]struct {
				Status    string
				Size      int
				CopyStats map[string]float64 `json:"copy_stats"`
			}
			ErrorsList []string `json:"errors_list"`
		}
	}
	if err := json.Unmarshal(encoded, &told); err != nil {
		t.Fatal(err)
	}
	main := told.Servers["main"]
	if reason, _ := main.Status["connection_error"].(string); !strings.Contains(reason, "/nowhere") || main.Status["streaming"] != false {
		t.Errorf("%v", main.Status)
	}
	if got := main.Backups[string(b.ID)]; got.Status != "DONE" || got.Size != 42 || got.CopyStats["total_time"] != 1.5 {
		t.Errorf("%+v", got)
	}
	if len(main.ErrorsList) != 1 || !strings.Contains(main.ErrorsList[0], "20260101T000000") {
		t.Errorf("%q", main.ErrorsList)
	}
	if main.Config["description"].Source != "default" || main.Config["conninfo"].Source != loaded.Paths[0] {
		t.Errorf("%+v", main.Config)
	}
	if strings.Contains(string(encoded), "geheim") {
		t.Error("the password is there")
	}
}

func TestTheAgeOfTheNewestBackupIsHeldAgainstItsLimit(t *testing.T) {
	loaded, s := configured(t)
	age := func(now time.Time) any {
		summary, err := Summary(t.Context(), loaded, s, now)
		if err != nil {
			t.Fatal(err)
		}
		return summary["last_backup_maximum_age"]
	}
	if got := age(time.Now()); got != "2 days (WARNING! latest backup is No available backups old)" {
		t.Error(got)
	}
	b, err := s.Catalogue.Create(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b.State, b.Mode, b.EndTime = catalogue.StateDone, catalogue.ModePostgres, time.Now()
	b.BeginWAL, b.EndWAL, b.Timeline = "000000010000000000000002", "000000010000000000000002", 1
	if err := s.Catalogue.Save(b); err != nil {
		t.Fatal(err)
	}
	if got := age(b.EndTime.Add(time.Hour)); got != "2 days (latest backup: 1 hour )" {
		t.Error(got)
	}
	if got := age(b.EndTime.Add(72 * time.Hour)); got != "2 days (WARNING! latest backup is 3 days old)" {
		t.Error(got)
	}
}
