package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/sdk/schema"
)

func load(t *testing.T, text string) *Config {
	t.Helper()
	c, err := testEnvironment().Load(write(t, filepath.Join(t.TempDir(), "barman.hcl"), text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func loadFile(t *testing.T, path string) *Config {
	t.Helper()
	c, err := testEnvironment().Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stageNames shows stages as kind, name and whether they are required.
func stageNames(stages ...Stage) []string {
	var names []string
	for _, s := range stages {
		name := s.String()
		if !s.Required {
			name += " not required"
		}
		names = append(names, name)
	}
	return names
}

func TestAServerThatSaysOnlyConninfoIsComplete(t *testing.T) {
	c := loadFile(t, "testdata/minimal.hcl")
	want := Global{Home: "/var/lib/barman", LockDirectory: "/var/lib/barman", LockDirectoryCleanup: true,
		ConfigChangesQueue: "/var/lib/barman/cfg_changes.queue", LogLevel: "info"}
	if diff := cmp.Diff(want, c.Global); diff != "" {
		t.Error(diff)
	}
	s := c.Servers[0]
	const conninfo = "host=pg user=barman dbname=postgres"
	if s.Conninfo.Reveal() != conninfo || s.StreamingConninfo.Reveal() != conninfo {
		t.Errorf("conninfo %q, streaming_conninfo %q", s.Conninfo.Reveal(), s.StreamingConninfo.Reveal())
	}
	directories := Directories{
		Backup: "/var/lib/barman/main", Basebackups: "/var/lib/barman/main/base", WALs: "/var/lib/barman/main/wals",
		IncomingWALs: "/var/lib/barman/main/incoming", StreamingWALs: "/var/lib/barman/main/streaming", XlogDB: "/var/lib/barman/main/wals", Errors: "/var/lib/barman/main/errors",
	}
	if diff := cmp.Diff(directories, s.Directories); diff != "" {
		t.Error(diff)
	}
	if !s.Active || s.CheckTimeout != 30*time.Second || s.Backup.Jobs != 1 || !s.WAL.Archive || s.WAL.Source != nil || !s.Retention.Policy.IsZero() {
		t.Errorf("got %+v", s)
	}
	stages := append([]Stage{s.Backup.Source}, append(s.Backup.Sinks, s.WAL.Sinks...)...)
	stages = append(stages, append(s.Backup.Transforms, s.WAL.Transforms...)...)
	if diff := cmp.Diff([]string{`source "pgbasebackup"`, `sink "posix"`, `sink "posix"`}, stageNames(stages...)); diff != "" {
		t.Error(diff)
	}
	values, diags := s.Backup.Source.Decode(schema.Schema{Attributes: []schema.Attribute{{Name: "checkpoint", Type: schema.String}}})
	if string(values) != "{}" || diags.HasErrors() {
		t.Errorf("the settings of a stage that is not written are %s, %v", values, diags)
	}
}

func TestWALIsAskedForWhereItIsReceivedFrom(t *testing.T) {
	const main, streaming, wal, walStreaming = "host=main", "host=main user=streaming", "host=standby", "host=standby user=streaming"
	for _, c := range []struct{ settings, wal, walStreaming string }{
		{"", main, main},
		{"streaming_conninfo = \"host=main user=streaming\"", main, streaming},
		{"wal_streaming_conninfo = \"host=standby user=streaming\"", walStreaming, walStreaming},
		{"wal_conninfo = \"host=standby\"", wal, main},
		{"streaming_conninfo = \"host=main user=streaming\"\nwal_streaming_conninfo = \"host=standby user=streaming\"\nwal_conninfo = \"host=standby\"", wal, walStreaming},
	} {
		s := load(t, fmt.Sprintf("server \"main\" {\nconninfo = %q\n%s\n}", main, c.settings)).Servers[0]
		if got := s.WALConninfo.Reveal(); got != c.wal {
			t.Errorf("%q: wal_conninfo %q, want %q", c.settings, got, c.wal)
		}
		if got := s.WALStreamingConninfo.Reveal(); got != c.walStreaming {
			t.Errorf("%q: wal_streaming_conninfo %q, want %q", c.settings, got, c.walStreaming)
		}
	}
}

func TestEverySettingOfAFullConfigurationArrives(t *testing.T) {
	c := loadFile(t, "testdata/full.hcl")
	if diff := cmp.Diff([]string{"bare", "main"}, names(c)); diff != "" {
		t.Fatal(diff)
	}
	global := Global{
		Home: "/srv/barman", LockDirectory: "/run/barman", LockDirectoryCleanup: true,
		ConfigChangesQueue: "/srv/barman/cfg_changes.queue", PluginDirs: []string{"/usr/libexec/barman"},
		LogFile: "/var/log/barman/barman.log", LogLevel: "debug",
	}
	if diff := cmp.Diff(global, c.Global); diff != "" {
		t.Error(diff)
	}
	if p, found := c.Plugin("sink", "gcs"); !found || p.Path != "/opt/acme/barman-plugin-sink-gcs" || !strings.HasPrefix(p.SHA256, "9f86d081") {
		t.Errorf("the plugin is %+v, %v", p, found)
	}
	main, err := c.Server("main")
	if err != nil {
		t.Fatal(err)
	}
	if got := main.Conninfo.Reveal(); got != "host=pg user=barman dbname=postgres password=hunter2" {
		t.Errorf("conninfo is %q", got)
	}
	if want := (Retention{Policy: retention.Policy{Redundancy: 3}, MinimumRedundancy: 2}); main.Retention != want {
		t.Errorf("retention is %+v", main.Retention)
	}
	if !main.Recovery.GetWAL() || main.WAL.Archive || main.CheckTimeout != time.Minute || main.LastBackupMaximumAge != 96*time.Hour {
		t.Errorf("got %+v", main)
	}
	values, diags := main.Backup.Sinks[0].Decode(mustSchema(t, "s3"))
	want := `{"url":"s3://bucket/prefix","secret_key":"hunter2","part_size":16777216,` +
		`"retry":{"times":5},"rule":[{"name":"a"},{"name":"b","tags":{"key":"value"}}]}`
	if string(values) != want || diags.HasErrors() {
		t.Errorf("the sink's settings are %s, %v", values, diags)
	}
	if err := schema.Decode(values, &s3Settings{}); err != nil {
		t.Error(err)
	}
}

func mustSchema(t *testing.T, name string) schema.Schema {
	t.Helper()
	s, err := testSchemas("", name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDefaultsHoldForServersThatDoNotSayOtherwise(t *testing.T) {
	c := loadFile(t, "testdata/full.hcl")
	bare, main := c.Servers[0], c.Servers[1]

	sinks := []string{`sink "posix"`, `sink "s3" not required`}
	if diff := cmp.Diff(sinks, stageNames(bare.Backup.Sinks...)); diff != "" {
		t.Error(diff)
	}
	if values, _ := bare.Backup.Sinks[1].Decode(mustSchema(t, "s3")); string(values) != `{"url":"s3://bucket/bare"}` {
		t.Errorf("server.name in the defaults gives %s", values)
	}
	if bare.WAL.Source == nil || bare.WAL.Source.Name != "pgreceivewal" || bare.WAL.Archive {
		t.Errorf("the WAL pipeline is %+v", bare.WAL)
	}
	if bare.Directories.WALs != "/data/bare/wals" || bare.Retention.Policy.String() != "RECOVERY WINDOW OF 7 DAYS" {
		t.Errorf("got %+v", bare)
	}
	// A pipeline with stages of its own inherits settings, but no stage.
	stages := append([]Stage{main.Backup.Source}, append(main.Backup.Transforms, main.Backup.Sinks...)...)
	if diff := cmp.Diff([]string{`source "pgbasebackup"`, `transform "compress"`, `sink "s3"`}, stageNames(stages...)); diff != "" {
		t.Error(diff)
	}
	if main.Backup.Jobs != 4 {
		t.Errorf("jobs is %d", main.Backup.Jobs)
	}
	// One without inherits them.
	if main.WAL.Source == nil {
		t.Error("the WAL source was not inherited")
	}
}

func TestHooksAddUpWithTheDefaultsFirst(t *testing.T) {
	main := loadFile(t, "testdata/full.hcl").Servers[1]
	var got []string
	for _, h := range main.Hooks {
		got = append(got, fmt.Sprint(h.Event, " ", h.Stage.Name, " ", h.Retry))
	}
	if diff := cmp.Diff([]string{"post_backup script true", "pre_backup acme false"}, got); diff != "" {
		t.Error(diff)
	}
	script := main.Hooks[0].Stage
	values, diags := script.Decode(mustSchema(t, "script"))
	if string(values) != `{"script":"/usr/local/bin/notify main","retry":true}` || diags.HasErrors() {
		t.Errorf("a hook that knows retry gets %s, %v", values, diags)
	}
	values, diags = script.Decode(schema.Schema{Attributes: []schema.Attribute{{Name: "script", Type: schema.String}}})
	if string(values) != `{"script":"/usr/local/bin/notify main"}` || diags.HasErrors() {
		t.Errorf("a hook that does not know retry gets %s, %v", values, diags)
	}
}

func TestNullIsTheSameAsNotSayingAnything(t *testing.T) {
	s := load(t, `
		defaults { description = "d" }
		server "main" {
			conninfo    = "host=pg"
			description = null
			backup { jobs = null }
		}`).Servers[0]
	if s.Description != "d" || s.Backup.Jobs != 1 {
		t.Errorf("description %q, jobs %d", s.Description, s.Backup.Jobs)
	}
}

func TestAStringFromTheEnvironmentServesAsANumber(t *testing.T) {
	e := testEnvironment()
	e.LookupEnv = func(string) (string, bool) { return "3", true }
	path := write(t, filepath.Join(t.TempDir(), "barman.hcl"), `
		server "main" {
			conninfo = "host=pg"
			backup { jobs = env("JOBS") }
		}`)
	c, err := e.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Servers[0].Backup.Jobs != 3 {
		t.Errorf("jobs is %d", c.Servers[0].Backup.Jobs)
	}
}

func TestAPluginWithAnImpossibleSchemaIsBroken(t *testing.T) {
	sink := load(t, `
		server "main" {
			conninfo = "host=pg"
			backup {
				sink "x" { required = true }
			}
		}`).Servers[0].Backup.Sinks[0]
	for name, described := range map[string]schema.Schema{
		"type":     {Attributes: []schema.Attribute{{Name: "a", Type: "set"}}},
		"reserved": {Attributes: []schema.Attribute{{Name: "required", Type: schema.Bool}}},
	} {
		_, diags := sink.Decode(described)
		if len(diags) != 1 || diags[0].Summary != "Broken plugin" {
			t.Errorf("%s: %v", name, diags)
		}
	}
}

func TestAConfigurationWithoutServersLoads(t *testing.T) {
	if c := load(t, `barman { log_level = "WARN" }`); len(c.Servers) != 0 || c.Global.LogLevel != "warn" {
		t.Errorf("got %+v", c)
	}
}

func TestEveryStageDecodesWithTheContextOfItsServer(t *testing.T) {
	c := load(t, `
		defaults {
			backup {
				sink "s3" { url = "s3://${server.name}" }
			}
		}
		server "a" { conninfo = "host=a" }
		server "b" { conninfo = "host=b" }`)
	for _, s := range c.Servers {
		values, diags := s.Backup.Sinks[0].Decode(mustSchema(t, "s3"))
		if want := fmt.Sprintf(`{"url":"s3://%s"}`, s.Name); string(values) != want || diags.HasErrors() {
			t.Errorf("server %s: %s, %v", s.Name, values, diags)
		}
	}
}

func TestDiagnoseOfAStageNobodyWrotePointsAtTheServer(t *testing.T) {
	s := loadFile(t, "testdata/minimal.hcl").Servers[0]
	diags := s.Backup.Source.Diagnose(schema.Diagnostics{{Path: "checkpoint", Summary: "Unknown checkpoint"}})
	want := hcl.Pos{Line: 1, Column: 1}
	if len(diags) != 1 || diags[0].Subject.Start != want || !strings.Contains(diags[0].Detail, `"checkpoint"`) {
		t.Errorf("got %v", diags)
	}
}

func BenchmarkLoad100Servers(b *testing.B) {
	var text strings.Builder
	text.WriteString("defaults {\n  retention { policy = \"REDUNDANCY 3\" }\n}\n")
	for i := range 100 {
		fmt.Fprintf(&text, `
server "server-%d" {
  description        = "Server %d"
  conninfo           = "host=pg%d user=barman dbname=postgres"
  streaming_conninfo = "host=pg%d user=streaming_barman"
  backup {
    source "pgbasebackup" { checkpoint = "fast" }
    transform "compress" {
      codec = "zstd"
      level = 3
    }
    sink "posix" {}
  }
  wal {
    source "pgreceivewal" { slot = "barman" }
    transform "compress" { codec = "lz4" }
    sink "posix" {}
  }
}
`, i, i, i, i)
	}
	src := []byte(text.String())
	for b.Loop() {
		l := newLoader(testEnvironment())
		l.parse("barman.hcl", src)
		if _, err := l.finish(); err != nil {
			b.Fatal(err)
		}
	}
}
