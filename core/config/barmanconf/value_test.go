package barmanconf

import (
	"strings"
	"testing"
)

// What values come to was compared with what "barman diagnose" of Python Barman 3.4
// says; the expected ones are in its form.
func TestValuesAreThoseOfPythonBarman(t *testing.T) {
	for name, tc := range map[string]struct {
		barman, server, option string
		want                   string // empty for none
		warned                 bool
	}{
		"the server's own":                    {"parallel_jobs = 4", "parallel_jobs = 2", "parallel_jobs", "2", false},
		"inherited":                           {"parallel_jobs = 4", "", "parallel_jobs", "4", false},
		"the default":                         {"", "", "parallel_jobs", "1", false},
		"not inheritable":                     {"description = x", "", "description", "", false},
		"invalid, then inherited":             {"parallel_jobs = 4", "parallel_jobs = x", "parallel_jobs", "4", true},
		"invalid twice, then the default":     {"parallel_jobs = y", "parallel_jobs = x", "parallel_jobs", "1", true},
		"None hides what is inherited":        {"compression = gzip", "compression = None", "compression", "", false},
		"nothing hides what is inherited":     {"retention_policy = REDUNDANCY 2", "retention_policy =", "retention_policy", "", false},
		"a number cannot be nothing":          {"parallel_jobs = 4", "parallel_jobs =", "parallel_jobs", "4", true},
		"a slot cannot be nothing":            {"slot_name = Foo", "slot_name = None", "slot_name", "foo", true},
		"a choice cannot be nothing":          {"backup_method = postgres", "backup_method = None", "backup_method", "postgres", true},
		"a number with a sign and space":      {"", "parallel_jobs =  +3 ", "parallel_jobs", "3", false},
		"a number with underscores":           {"", "basebackup_retry_sleep = 1_0", "basebackup_retry_sleep", "10", false},
		"a fraction":                          {"", "check_timeout = 1.5", "check_timeout", "30", true},
		"truth in any case":                   {"", "archiver = YES", "archiver", "True", false},
		"no truth":                            {"", "streaming_archiver = maybe", "streaming_archiver", "False", true},
		"a choice in any case":                {"", "create_slot = AUTO", "create_slot", "auto", false},
		"one pair of quotes":                  {"", `description = "a"b"`, "description", `a"b`, false},
		"quotes that differ":                  {"", `description = "a'`, "description", `"a'`, false},
		"a set in any order and case":         {"", "recovery_options = Delta-Restore , get-wal", "recovery_options", "delta-restore,get-wal", false},
		"a set with an unknown member":        {"recovery_options = get-wal", "recovery_options = get-wal, x", "recovery_options", "get-wal", true},
		"a set that is none":                  {"recovery_options = get-wal", "recovery_options = none", "recovery_options", "", false},
		"a set that contradicts itself":       {"", "backup_options = exclusive_backup, concurrent_backup", "backup_options", "", true},
		"an interval":                         {"", "last_backup_maximum_age = 3 Days", "last_backup_maximum_age", "3 DAYS", false},
		"no interval":                         {"", "last_wal_maximum_age = 3 fortnights", "last_wal_maximum_age", "", true},
		"a size":                              {"", "last_backup_minimum_size = 10Ki", "last_backup_minimum_size", "10240", false},
		"a size in thousands":                 {"", "last_backup_minimum_size = 10k", "last_backup_minimum_size", "10000", false},
		"a size in the wrong case":            {"last_backup_minimum_size = 1T", "last_backup_minimum_size = 1m", "last_backup_minimum_size", "1000000000000", true},
		"too large a size":                    {"", "last_backup_minimum_size = 99999999999Ti", "last_backup_minimum_size", "", true},
		"a level":                             {"", "compression_level = HIGH", "compression_level", "high", false},
		"no level":                            {"", "compression_level = most", "compression_level", "medium", true},
		"a default that follows":              {"", "backup_directory = /d", "wals_directory", "/d/wals", false},
		"a default that follows a default":    {"", "", "errors_directory", "/home/main/errors", false},
		"a reference to the section":          {"", "mine = x\ndescription = a %(mine)s", "description", "a x", true},
		"a reference to what is computed":     {"", "wals_directory = %(backup_directory)s/w", "wals_directory", "/home/main/w", false},
		"a reference to the server's name":    {"post_backup_script = x %(name)s", "", "post_backup_script", "x main", false},
		"a reference in [barman]":             {"log_file = /l\npost_backup_script = x %(log_file)s", "", "post_backup_script", "x /l", false},
		"computed comes before the section":   {"", "description = \"q\"\npre_backup_script = %(description)s", "pre_backup_script", "q", false},
		"references are followed":             {"", "description = %%(name)s\npre_backup_script = %(description)s", "pre_backup_script", "main", false},
		"a per cent sign":                     {"", "description = 100%%", "description", "100%", false},
		"the default section":                 {"[DEFAULT]\nparallel_jobs = 7", "", "parallel_jobs", "7", false},
		"path options are not nothing either": {"", "staging_path = tmp", "staging_path", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			c := readText(t, "[barman]\nbarman_home = /home\n"+tc.barman+"\n[main]\n"+tc.server+"\n")
			if c.Diagnostics.HasErrors() || len(c.Problems) > 0 {
				t.Fatal(c.Diagnostics, c.Problems)
			}
			v := c.servers[0].values[tc.option]
			if v.text != tc.want || v.set != (tc.want != "") {
				t.Errorf("%s is %q, not %q", tc.option, v.text, tc.want)
			}
			if warned := len(c.Diagnostics) > 0; warned != tc.warned {
				t.Errorf("warnings: %v", c.Diagnostics)
			}
		})
	}
}

func TestAReferenceThatLeadsNowhereConcernsItsServer(t *testing.T) {
	for _, value := range []string{"%(none)s", "100%", "%(description)s", "%(a"} {
		c := readText(t, "[barman]\nbarman_home = /home\n[main]\ndescription = "+value+"\n[other]\n")
		if c.Diagnostics.HasErrors() || len(c.Problems["main"]) != 1 || len(c.Problems) != 1 {
			t.Errorf("%s: %v, %v", value, c.Diagnostics, c.Problems)
		}
	}
}

func TestWhatConcernsAllServersStopsEverything(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "section [barman]",
		"[main]\nconninfo = x\n":          "section [barman]",
		"[barman]\nlog_file = /x\n":       "barman_home",
		"[barman]\nbarman_home = %(x)s\n": "barman_home",
		"[barman]\nbarman_home = /h\n[all]\nconninfo = x\n":                 `"all"`,
		"[barman]\nbarman_home = /h\n[m]\nmodel = on\n":                     "needs a cluster",
		"[barman]\nbarman_home = /h\nwhat\n":                                "cannot read this line",
		"[barman]\nbarman_home = /h\nconfiguration_files_directory = DIR\n": "Only barman.conf may have a section [barman]",
	} {
		c := readText(t, strings.ReplaceAll(text, "DIR", "testdata/barman.d"))
		if !c.Diagnostics.HasErrors() || !strings.Contains(c.Diagnostics.Error(), want) {
			t.Errorf("%q: %v", text, c.Diagnostics)
		}
	}
}

func TestOptionsThatDependOnOthersAreHeldAgainstThem(t *testing.T) {
	for name, tc := range map[string]struct{ server, problem, warning string }{
		"rsync without ssh":           {"archiver = on", `needs "ssh_command"`, ""},
		"local rsync with ssh":        {rsync + "backup_method = local-rsync", `goes without "ssh_command"`, ""},
		"rsync that compresses":       {rsync + "backup_compression = gzip", `is for "backup_method = postgres"`, ""},
		"postgres that reuses":        {postgres + "reuse_backup = copy", `"reuse_backup" is for`, ""},
		"postgres with reuse off":     {postgres + "reuse_backup = off", "", ""},
		"postgres over a thin wire":   {postgres + "network_compression = on", `"network_compression" is for`, ""},
		"postgres tablespace limits":  {postgres + "tablespace_bandwidth_limit = a:1", `"tablespace_bandwidth_limit" is for`, ""},
		"postgres with ssh":           {postgres + "ssh_command = ssh pg", "", "only rsync backups use it"},
		"exclusive over replication":  {postgres + "backup_options = exclusive_backup", "", "are concurrent"},
		"streaming without a slot":    {"backup_method = postgres\nstreaming_archiver = on", `needs a "slot_name"`, ""},
		"both without a slot":         {streams, "", ""},
		"no way for WAL":              {"backup_method = postgres", "", `"archiver" is on all the same`},
		"an unknown policy":           {postgres + "retention_policy = REDUNDANCY x", "", "No retention policy is enforced"},
		"a negative redundancy":       {postgres + "minimum_redundancy = -1", "", "it is 0"},
		"a bandwidth that is none":    {postgres + "bandwidth_limit = 12.5", "", "there is no limit"},
		"bad tablespace rules":        {rsync + "tablespace_bandwidth_limit = a:1 b c:x", "", "b c:x"},
		"plain compressed on the way": {gzipTar + "backup_compression_format = plain\nbackup_compression_location = server", "", "not compressed on their way"},
		"workers of gzip":             {gzipTar + "backup_compression_workers = 2", "", "only zstd has workers"},
		"too many jobs":               {postgres + "parallel_jobs = 1000", "", "from 1 to 64"},
		"a filter without a codec":    {postgres + "custom_decompression_filter = x", "", "has no effect without"},
		"an unknown option":           {postgres + "no_such = 1", "", `"no_such" means nothing in [main]`},
		"a global option":             {postgres + "log_level = INFO", "", `"log_level" means nothing in [main]`},
	} {
		t.Run(name, func(t *testing.T) {
			d := readText(t, "[barman]\nbarman_home = /home\n[main]\n"+tc.server+"\n").Document(false)
			if problems := d.Problems["main"]; tc.problem == "" && len(problems) > 0 || !strings.Contains(problems.Error(), tc.problem) {
				t.Errorf("problems: %v", problems)
			}
			if tc.warning == "" && len(d.Warnings) > 0 || !strings.Contains(d.Warnings.Error(), tc.warning) {
				t.Errorf("warnings: %v", d.Warnings)
			}
		})
	}
}

func TestHooksComeInTheOrderOfPythonBarman(t *testing.T) {
	d := readText(t, `[barman]
barman_home = /home
[main]
post_backup_script = 4
post_backup_retry_script = 3
pre_backup_retry_script = 2
pre_backup_script = 1
backup_method = postgres
archiver = on
`).Document(false)
	text := string(d.HCL())
	last := -1
	for _, script := range []string{`script = "1"`, `script = "2"`, `script = "3"`, `script = "4"`} {
		at := strings.Index(text, script)
		if at <= last {
			t.Fatalf("%s is not where it belongs:\n%s", script, text)
		}
		last = at
	}
}

func TestAModelThatDependsOnItsServerIsWarnedOf(t *testing.T) {
	c := readText(t, `[barman]
barman_home = /home
backup_method = postgres
archiver = on
[a]
cluster = c
compression = gzip
[b]
cluster = c
compression = zstd
[m]
model = on
cluster = c
compression_level = low
[n]
model = on
cluster = c
check_timeout = 5
parallel_jobs = 3
`)
	d := c.Import(nil)
	if len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0].Detail, `"a" and "b" make different pipelines of the model "m"`) {
		t.Errorf("warnings: %v", d.Warnings)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("[barman]\nbarman_home = /h\n[main]\nconninfo = host=pg\nbackup_method = postgres\nstreaming_archiver = on\nslot_name = s\ncompression = zstd\n")
	f.Add("[barman]\nbarman_home = /h\nretention_policy: redundancy 2\n[a]\nssh_command = ssh \"${x}\"\n[m]\nmodel = on\ncluster = a\ncompression = gzip\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "configuration_files_directory") {
			return // it would read this machine's files
		}
		c := readText(t, text)
		if c.Diagnostics.HasErrors() {
			return
		}
		d := c.Import(c.Document(false).Problems)
		written := d.HCL()
		if _, diags := parseHCL(written); diags.HasErrors() {
			t.Errorf("%q becomes\n%s\n%v", text, written, diags)
		}
	})
}
