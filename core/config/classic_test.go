package config

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk/schema"
)

// written is what Effective says of a stage whose plugin's settings are not known:
// all that are written.
func everything(s Stage) map[string]string {
	all := map[string]string{}
	for _, name := range []string{"checkpoint", "max_rate", "application_name", "slot", "create_slot", "codec", "level", "workers", "filter",
		"decompression_filter", "magic", "script", "retry", "ssh_command", "reuse_backup", "tablespace_bandwidth_limit", "network_compression",
		"backup_options"} {
		if text := s.Text(name); text != "" {
			all[name] = text
		}
	}
	return all
}

// effective is all that holds for a server.
func effectiveText(t *testing.T, s *Server) string {
	t.Helper()
	tree, _ := Effective(s, func(string, string) (schema.Schema, error) { return schema.Schema{}, os.ErrNotExist })
	var b strings.Builder
	b.WriteString(tree.HCL())
	stages := append([]Stage{s.Backup.Source}, append(s.Backup.Transforms, s.WAL.Transforms...)...)
	if s.WAL.Source != nil {
		stages = append(stages, *s.WAL.Source)
	}
	for _, h := range s.Hooks {
		stages = append(stages, h.Stage)
	}
	for _, stage := range stages {
		b.WriteString(stage.String() + " " + stage.Digest() + "\n")
		for name, text := range everything(stage) {
			if stage.Text(name) != text {
				t.Errorf("%s has two values of %s", stage, name)
			}
		}
	}
	return b.String()
}

func TestABarmanConfMeansTheSameAsTheHCLThatIsImported(t *testing.T) {
	paths, err := filepath.Glob("testdata/classic/*.conf")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files: %v", err)
	}
	e := testEnvironment()
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			direct, err := e.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			imported, err := e.Import(path)
			if err != nil || imported.Err() != nil {
				t.Fatal(err, imported.Err())
			}
			compare(t, strings.TrimSuffix(path, ".conf")+".imported", string(imported.HCL))
			again, err := e.Load(write(t, filepath.Join(t.TempDir(), "barman.hcl"), string(imported.HCL)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(direct.Global, again.Global); diff != "" {
				t.Error(diff)
			}
			if len(direct.Servers) != len(again.Servers) || len(direct.Models) != len(again.Models) {
				t.Fatalf("%d servers and %d models, not %d and %d", len(again.Servers), len(again.Models), len(direct.Servers), len(direct.Models))
			}
			for i, s := range direct.Servers {
				if diff := cmp.Diff(effectiveText(t, s), effectiveText(t, again.Servers[i])); diff != "" {
					t.Errorf("server %s: %s", s.Name, diff)
				}
			}
			for i, m := range direct.Models {
				if other := again.Models[i]; m.Name != other.Name || m.Cluster != other.Cluster {
					t.Errorf("%+v is not %+v", other, m)
				}
			}
		})
	}
}

func TestAModelOfABarmanConfMeansTheSameInHCL(t *testing.T) {
	home := t.TempDir()
	text := strings.ReplaceAll(`[barman]
barman_home = HOME
barman_user =
[main]
conninfo = host=a
backup_method = postgres
backup_compression = gzip
streaming_archiver = on
slot_name = barman
compression = gzip
minimum_redundancy = 1
parallel_jobs = 4
[m]
model = on
cluster = main
conninfo = host=b
bandwidth_limit = 100
archiver = on
streaming_archiver = off
archiver_batch_size = 5
compression_level = low
retention_policy = REDUNDANCY 3
`, "HOME", home)
	e := testEnvironment()
	classic := write(t, filepath.Join(home, "barman.conf"), text)
	imported, err := e.Import(classic)
	if err != nil || imported.Err() != nil {
		t.Fatal(err, imported.Err())
	}
	hcl := write(t, filepath.Join(home, "barman.hcl"), string(imported.HCL))
	write(t, filepath.Join(home, "main", ".active-model.auto"), "m\n")
	direct, err := e.Load(classic)
	if err != nil {
		t.Fatal(err)
	}
	again, err := e.Load(hcl)
	if err != nil {
		t.Fatal(err)
	}
	s := direct.Servers[0]
	if s.ActiveModel != "m" || again.Servers[0].ActiveModel != "m" || s.WAL.Source != nil || s.Backup.Jobs != 4 || s.Conninfo.Reveal() != "host=b" {
		t.Errorf("the model is not laid over the server: %+v", s)
	}
	if diff := cmp.Diff(effectiveText(t, s), effectiveText(t, again.Servers[0])); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsWrongWithOneSectionIsAtItsPlaceAndNobodyElses(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "barman.conf"), `[barman]
barman_home = /srv
barman_user =
[good]
conninfo = host=pg
backup_method = postgres
archiver = on
[nowhere]
backup_method = postgres
archiver = on
[relative]
conninfo = host=pg
backup_method = postgres
archiver = on
wals_directory = wals
[twice]
conninfo = host=pg
backup_method = postgres
archiver = on
incoming_wals_directory = /srv/twice/streaming
[.hidden]
conninfo = host=pg
backup_method = postgres
archiver = on
[garbage]
conninfo = host
backup_method = postgres
archiver = on
`)
	c, err := testEnvironment().Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		line int
		text string
	}{
		"nowhere": {8, `needs "conninfo"`}, "relative": {15, "must be an absolute path"}, "twice": {16, "Every directory has one purpose"},
		".hidden": {21, "cannot name a server"}, "garbage": {26, "no \"=\""},
	}
	for _, s := range c.Servers {
		expected, broken := want[s.Name]
		if !broken {
			if s.Err() != nil {
				t.Errorf("server %s: %v", s.Name, s.Err())
			}
			continue
		}
		if len(s.Problems) != 1 || s.Problems[0].Subject.Start.Line != expected.line || !strings.Contains(s.Problems[0].Detail, expected.text) {
			t.Errorf("server %s: %v", s.Name, s.Problems)
		}
	}
	shared := write(t, filepath.Join(t.TempDir(), "barman.conf"), `[barman]
barman_home = /srv
barman_user =
[a]
conninfo = host=pg
backup_method = postgres
archiver = on
[b]
conninfo = host=pg
backup_method = postgres
archiver = on
wals_directory = /srv/a/wals
`)
	if _, err := testEnvironment().Load(shared); err == nil || !strings.Contains(err.Error(), "Every directory has one purpose") {
		t.Errorf("two servers in one directory: %v", err)
	}
}

func TestAPolicyThatCannotBeReadIsRemembered(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "barman.conf"), `[barman]
barman_home = /srv
barman_user =
retention_policy = REDUNDANCY few
[main]
conninfo = host=pg
backup_method = postgres
archiver = on
`)
	c, err := testEnvironment().Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Servers[0]
	if s.Err() != nil || !s.Retention.Policy.IsZero() || !strings.Contains(s.Retention.Refused, "few") {
		t.Errorf("%v, %+v", s.Err(), s.Retention)
	}
	if len(c.Warnings) != 1 || c.Warnings[0].Subject.Start.Line != 4 {
		t.Errorf("warnings: %v", c.Warnings)
	}
}

// randomSection says some options, at random.
func randomSection(r *rand.Rand, name string, share float64) string {
	text := "[" + name + "]\n"
	for _, line := range []string{
		"retention_policy = REDUNDANCY 2", "retention_policy = RECOVERY WINDOW OF 1 WEEK", "retention_policy =", "minimum_redundancy = 3",
		"compression = gzip", "compression = zstd", "compression = None", "compression_level = low", "custom_compression_magic = 0x4c5a",
		"custom_decompression_filter = lzip -d", "archiver = on", "archiver = off", "streaming_archiver = on", "streaming_archiver = off",
		"slot_name = barman", "create_slot = auto", "archiver_batch_size = 5", "max_incoming_wals_queue = 9", "backup_method = postgres",
		"backup_method = postgres", "backup_method = rsync", "ssh_command = ssh pg", "reuse_backup = link", "reuse_backup = off",
		"backup_compression = gzip", "backup_compression = none", "backup_compression_location = server", "backup_compression_level = 3",
		"immediate_checkpoint = on", "bandwidth_limit = 100", "parallel_jobs = 4", "parallel_jobs = x", "basebackup_retry_times = 2",
		"pre_backup_script = a", "pre_backup_script = b %(name)s", "post_backup_script = c", "post_archive_retry_script = d",
		"recovery_options = get-wal", "recovery_options =", "check_timeout = 10", "last_backup_maximum_age = 3 DAYS", "last_wal_maximum_age = 1 HOUR",
		"path_prefix = /opt/bin", "description = x", "active = off", "streaming_archiver_name = r", "streaming_backup_name = b",
	} {
		if r.Float64() < share {
			text += line + "\n"
		}
	}
	return text
}

func TestAnyBarmanConfMeansTheSameAsTheHCLThatIsImported(t *testing.T) {
	e := testEnvironment()
	directory := t.TempDir()
	usable := 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 0))
		text := randomSection(r, "barman", 0.3) + "barman_home = /srv/barman\nbarman_user =\n"
		for _, name := range []string{"a", "b", "c", "d"}[:1+r.IntN(4)] {
			text += randomSection(r, name, 0.15) + "conninfo = host=" + name + "\n"
		}
		classic := write(t, filepath.Join(directory, "barman.conf"), text)
		direct, err := e.Load(classic)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		imported, err := e.Import(classic)
		if err != nil {
			t.Fatal(err)
		}
		again, err := e.Load(write(t, filepath.Join(directory, "barman.hcl"), string(imported.HCL)))
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, text, imported.HCL)
		}
		for _, s := range direct.Servers {
			if s.Err() != nil {
				if _, err := again.Server(s.Name); err == nil {
					t.Errorf("server %s with problems has been imported", s.Name)
				}
				continue
			}
			usable++
			other, err := again.Server(s.Name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(effectiveText(t, s), effectiveText(t, other)); diff != "" {
				t.Fatalf("server %s: %s\n%s\n%s", s.Name, diff, text, imported.HCL)
			}
		}
	}
	if usable < 100 {
		t.Errorf("only %d servers could be used at all", usable)
	}
}

func TestValuesOfABarmanConfComeFromTheirFiles(t *testing.T) {
	home := t.TempDir()
	main := write(t, filepath.Join(home, "barman.conf"), "[barman]\nbarman_home = "+home+"\nbarman_user =\nminimum_redundancy = 1\nconfiguration_files_directory = "+
		home+"/d\n[main]\nconninfo = host=pg\nbackup_method = postgres\narchiver = on\ndescription = old\ncluster = c\n")
	more := write(t, filepath.Join(home, "d", "more.conf"), "[main]\ndescription = new\n[m]\nmodel = on\ncluster = c\ncheck_timeout = 5\n")
	auto := write(t, filepath.Join(home, ".barman.auto.conf"), "[main]\nactive = off\n")
	write(t, filepath.Join(home, "main", ".active-model.auto"), "m")
	c, err := testEnvironment().Load(main)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{main, more, auto}, c.Paths); diff != "" {
		t.Error(diff)
	}
	tree, _ := Effective(c.Servers[0], testSchemas)
	got := map[string]string{}
	for _, n := range append(tree.Nodes, tree.Nodes[len(tree.Nodes)-2].Nodes...) {
		got[n.Name] = n.Source
	}
	for name, want := range map[string]string{
		"conninfo": main, "description": more, "active": auto, "check_timeout": more, "minimum_redundancy": main, "streaming_conninfo": "", "backup_directory": "",
	} {
		if got[name] != want {
			t.Errorf("%s comes from %q, not %q", name, got[name], want)
		}
	}
	if node := c.Effective().Nodes[0]; node.Name != "home" || node.Source != main {
		t.Errorf("%s comes from %q", node.Name, node.Source)
	}
}
