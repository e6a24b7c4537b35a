package barmanconf

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// fate is what becomes of an option.
type fate struct {
	// section is where the option is put: "server" unless it is "barman".
	section string
	// with are further lines of that section.
	with string
	// value is what the option is set to.
	value string
	// hcl is what the blocks say then, white space apart; empty for nothing.
	hcl string
	// told is what a warning or problem says; empty for none.
	told string
}

const (
	postgres = "backup_method = postgres\narchiver = on\n"
	rsync    = "backup_method = rsync\nssh_command = ssh pg\narchiver = on\n"
	snapshot = "snapshot backups, which are not supported yet"
	gzipTar  = postgres + "backup_compression = gzip\n"
	zstdTar  = postgres + "backup_compression = zstd\n"
	streams  = "backup_method = postgres\narchiver = on\nstreaming_archiver = on\n"
)

// fates are what becomes of every option of Python Barman.
var fates = map[string]fate{
	// The program as a whole.
	"barman_home":                   {section: "barman", value: "/b", hcl: `barman { home = "/b"`},
	"barman_user":                   {section: "barman", value: "backup", hcl: `user = "backup"`},
	"barman_lock_directory":         {section: "barman", value: "/l", hcl: `lock_directory = "/l"`},
	"lock_directory_cleanup":        {section: "barman", value: "off", hcl: `lock_directory_cleanup = false`},
	"config_changes_queue":          {section: "barman", value: "/q", hcl: `config_changes_queue = "/q"`},
	"configuration_files_directory": {section: "barman", value: "/nonexistent", told: "left out"},
	"log_file":                      {section: "barman", value: "/log", hcl: `log_file = "/log"`},
	"log_level":                     {section: "barman", value: "WARNING", hcl: `log_level = "warn"`},
	"log_format":                    {section: "barman", value: "x", told: "a format of its own"},

	// General.
	"active":              {value: "false", hcl: `active = false`},
	"description":         {value: "A line", hcl: `description = "A line"`},
	"cluster":             {value: "c", hcl: `cluster = "c"`},
	"model":               {value: "off"},
	"path_prefix":         {value: "/opt/bin", with: "pre_backup_script = x", hcl: `script = "PATH='/opt/bin':\"$PATH\"; export PATH; x"`},
	"forward_config_path": {value: "true", hcl: `forward_config_path = true`},
	"check_timeout":       {value: "60", hcl: `check_timeout = "60s"`},
	"primary_ssh_command": {value: "ssh barman@p", hcl: `primary_ssh_command = "ssh barman@p"`},
	"worm_mode":           {value: "on", told: "not supported yet"},

	// Directories.
	"backup_directory":         {value: "/d", hcl: `backup_directory = "/d"`},
	"basebackups_directory":    {value: "/d", hcl: `basebackups_directory = "/d"`},
	"wals_directory":           {value: "/d", hcl: `wals_directory = "/d"`},
	"incoming_wals_directory":  {value: "/d", hcl: `incoming_wals_directory = "/d"`},
	"streaming_wals_directory": {value: "/d", hcl: `streaming_wals_directory = "/d"`},
	"errors_directory":         {value: "/d", hcl: `errors_directory = "/d"`},
	"xlogdb_directory":         {value: "/d", hcl: `xlogdb_directory = "/d"`},

	// Connections.
	"conninfo":                   {value: "host=x", hcl: `conninfo = "host=x"`},
	"streaming_conninfo":         {value: "host=x", hcl: `streaming_conninfo = "host=x"`},
	"wal_conninfo":               {value: "host=x", hcl: `wal_conninfo = "host=x"`},
	"wal_streaming_conninfo":     {value: "host=x", hcl: `wal_streaming_conninfo = "host=x"`},
	"primary_conninfo":           {value: "host=x", hcl: `primary_conninfo = "host=x"`},
	"primary_checkpoint_timeout": {value: "5", hcl: `primary_checkpoint_timeout = "5s"`},
	"ssh_command":                {with: "backup_method = rsync", value: "ssh x", hcl: `source "rsync" { ssh_command = "ssh x" }`},
	"slot_name":                  {with: streams, value: "Slot", hcl: `source "pgreceivewal" { slot = "slot" }`},
	"create_slot":                {with: streams, value: "auto", hcl: `source "pgreceivewal" { create_slot = "auto" }`},
	"streaming_archiver_name":    {with: streams, value: "n", hcl: `source "pgreceivewal" { application_name = "n" }`},
	"streaming_backup_name":      {with: postgres, value: "n", hcl: `source "pgbasebackup" { application_name = "n" }`},
	"keepalive_interval":         {with: rsync, value: "5", hcl: `keepalive_interval = 5`},

	// WAL.
	"archiver":                      {with: "streaming_archiver = on", value: "on", hcl: `archive = true source "pgreceivewal"`},
	"archiver_batch_size":           {value: "10", hcl: `incoming_batch_size = 10`},
	"streaming_archiver":            {with: "slot_name = s", value: "on", hcl: `wal { archive = false source "pgreceivewal" { slot = "s" }`},
	"streaming_archiver_batch_size": {value: "10", hcl: `streaming_batch_size = 10`},
	"compression":                   {value: "pybzip2", hcl: `transform "compress" { codec = "bzip2" level = "medium" }`},
	"compression_level":             {with: "compression = zstd", value: "High", hcl: `transform "compress" { codec = "zstd" level = "high" }`},
	"custom_compression_filter":     {with: "compression = custom", value: "x -c", hcl: `codec = "custom" filter = "x -c"`},
	"custom_decompression_filter":   {with: "compression = custom", value: "x -d", hcl: `codec = "custom" decompression_filter = "x -d"`},
	"custom_compression_magic":      {with: "custom_decompression_filter = x -d", value: "0x4c5a", hcl: `codec = "none" decompression_filter = "x -d" magic = "0x4c5a"`},
	"max_incoming_wals_queue":       {value: "10", hcl: `maximum_queue = 10`},
	"last_wal_maximum_age":          {value: "1 day", hcl: `last_wal_maximum_age = "1 DAYS"`},
	"encryption":                    {value: "gpg", told: "not supported yet"},
	"encryption_key_id":             {value: "k", told: "GPG encryption is not supported yet"},
	"encryption_passphrase_command": {value: "c", told: "GPG encryption is not supported yet"},

	// Backup.
	"backup_method":                    {value: "postgres", hcl: `backup { layout = "plain" source "pgbasebackup" {} }`},
	"backup_options":                   {with: rsync, value: "concurrent_backup", hcl: `backup_options = "concurrent_backup"`},
	"backup_compression":               {with: postgres, value: "lz4", hcl: `layout = "tar" source "pgbasebackup" {} transform "compress" { codec = "lz4" }`},
	"backup_compression_format":        {with: gzipTar, value: "plain", hcl: `layout = "tar"`, told: "stored as tar files"},
	"backup_compression_level":         {with: gzipTar, value: "3", hcl: `transform "compress" { codec = "gzip" level = "3" }`},
	"backup_compression_location":      {with: gzipTar, value: "server", hcl: `source "pgbasebackup" { server_compression { codec = "gzip" } }`},
	"backup_compression_workers":       {with: zstdTar, value: "2", hcl: `transform "compress" { codec = "zstd" workers = 2 }`},
	"reuse_backup":                     {with: rsync, value: "link", hcl: `reuse_backup = "link"`},
	"immediate_checkpoint":             {with: postgres, value: "true", hcl: `source "pgbasebackup" { checkpoint = "fast" }`},
	"network_compression":              {with: rsync, value: "true", hcl: `network_compression = true`},
	"bandwidth_limit":                  {with: postgres, value: "4000", hcl: `source "pgbasebackup" { max_rate = "4000KiB" }`},
	"tablespace_bandwidth_limit":       {with: rsync, value: "b:2 a:1", hcl: `tablespace_bandwidth_limit = "a:1 b:2"`},
	"parallel_jobs":                    {value: "4", hcl: `jobs = 4`},
	"parallel_jobs_start_batch_size":   {with: rsync, value: "5", hcl: `parallel_jobs_start_batch_size = 5`},
	"parallel_jobs_start_batch_period": {with: rsync, value: "5", hcl: `parallel_jobs_start_batch_period = 5`},
	"basebackup_retry_times":           {value: "3", hcl: `retry_times = 3`},
	"basebackup_retry_sleep":           {value: "5", hcl: `retry_sleep = "5s"`},
	"autogenerate_manifest":            {with: rsync, value: "true", hcl: `autogenerate_manifest = true`},
	"minimum_redundancy":               {value: "2", hcl: `minimum_redundancy = 2`},
	"retention_policy":                 {value: "recovery window of 1 week", hcl: `policy = "RECOVERY WINDOW OF 1 WEEKS"`},
	"retention_policy_mode":            {value: "manual", told: "can only be auto"},
	"wal_retention_policy":             {value: "base", told: "can only be main"},
	"last_backup_maximum_age":          {value: "2 Weeks", hcl: `last_backup_maximum_age = "2 WEEKS"`},
	"last_backup_minimum_size":         {value: "16Mi", hcl: `last_backup_minimum_size = "16MiB"`},

	// Recovery.
	"recovery_options":      {value: "get-wal", hcl: `options = ["get-wal"]`},
	"staging_path":          {value: "/tmp", told: "nothing is staged"},
	"staging_location":      {value: "remote", told: "nothing is staged"},
	"recovery_staging_path": {value: "/tmp", told: "nothing is staged"},
	"local_staging_path":    {value: "/tmp", told: "nothing is staged"},
	"combine_mode":          {value: "link", told: "incremental backups, which are not supported yet"},

	// Snapshots.
	"snapshot_provider": {value: "gcp", told: snapshot}, "snapshot_instance": {value: "x", told: snapshot}, "snapshot_disks": {value: "x", told: snapshot},
	"snapshot_zone": {value: "x", told: snapshot}, "snapshot_gcp_project": {value: "x", told: snapshot}, "gcp_project": {value: "x", told: snapshot},
	"gcp_zone": {value: "x", told: snapshot}, "azure_subscription_id": {value: "x", told: snapshot}, "azure_resource_group": {value: "x", told: snapshot},
	"azure_credential": {value: "default", told: snapshot}, "aws_profile": {value: "x", told: snapshot}, "aws_region": {value: "x", told: snapshot},
	"aws_await_snapshots_timeout": {value: "1", told: snapshot}, "aws_snapshot_lock_mode": {value: "x", told: snapshot},
	"aws_snapshot_lock_duration": {value: "1", told: snapshot}, "aws_snapshot_lock_cool_off_period": {value: "1", told: snapshot},
	"aws_snapshot_lock_expiration_date": {value: "x", told: snapshot},

	// Hooks.
	"pre_backup_script":            {value: "x", hcl: `hook "pre_backup" { script = "x" }`},
	"pre_backup_retry_script":      {value: "x", hcl: `hook "pre_backup" { script = "x" retry = true }`},
	"post_backup_script":           {value: "x", hcl: `hook "post_backup" { script = "x" }`},
	"post_backup_retry_script":     {value: "x", hcl: `hook "post_backup" { script = "x" retry = true }`},
	"pre_delete_script":            {value: "x", hcl: `hook "pre_delete" { script = "x" }`},
	"pre_delete_retry_script":      {value: "x", hcl: `hook "pre_delete" { script = "x" retry = true }`},
	"post_delete_script":           {value: "x", hcl: `hook "post_delete" { script = "x" }`},
	"post_delete_retry_script":     {value: "x", hcl: `hook "post_delete" { script = "x" retry = true }`},
	"pre_archive_script":           {value: "x", hcl: `hook "pre_archive" { script = "x" }`},
	"pre_archive_retry_script":     {value: "x", hcl: `hook "pre_archive" { script = "x" retry = true }`},
	"post_archive_script":          {value: "x", hcl: `hook "post_archive" { script = "x" }`},
	"post_archive_retry_script":    {value: "x", hcl: `hook "post_archive" { script = "x" retry = true }`},
	"pre_wal_delete_script":        {value: "x", hcl: `hook "pre_wal_delete" { script = "x" }`},
	"pre_wal_delete_retry_script":  {value: "x", hcl: `hook "pre_wal_delete" { script = "x" retry = true }`},
	"post_wal_delete_script":       {value: "x", hcl: `hook "post_wal_delete" { script = "x" }`},
	"post_wal_delete_retry_script": {value: "x", hcl: `hook "post_wal_delete" { script = "x" retry = true }`},
	"pre_recovery_script":          {value: "x", hcl: `hook "pre_recovery" { script = "x" }`},
	"pre_recovery_retry_script":    {value: "x", hcl: `hook "pre_recovery" { script = "x" retry = true }`},
	"post_recovery_script":         {value: "x", hcl: `hook "post_recovery" { script = "x" }`},
	"post_recovery_retry_script":   {value: "x", hcl: `hook "post_recovery" { script = "x" retry = true }`},
}

// readText reads a barman.conf.
func readText(t testing.TB, text string) *Configuration {
	t.Helper()
	c, err := Read("barman.conf", func(path string) ([]byte, error) {
		if path == "barman.conf" {
			return []byte(text), nil
		}
		return os.ReadFile(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryOptionHasAHomeOrAReasonForNone(t *testing.T) {
	for _, o := range options() {
		f, known := fates[o.name]
		if !known {
			t.Errorf("no word of what becomes of %q", o.name)
			continue
		}
		line := o.name + " = " + f.value + "\n"
		barman, server := "[barman]\nbarman_home = /nonexistent\nbarman_user =\n", "[main]\n"
		// Neither backup method nor WAL shall tell of what is missing, if the option is about something else.
		with := f.with
		for _, needed := range []string{"backup_method = postgres\n", "archiver = on\n"} {
			name, _, _ := strings.Cut(needed, " ")
			if o.name != name && !strings.Contains("\n"+with, "\n"+name) && !strings.Contains("\n"+with+line, "\nstreaming_archiver = on") {
				with += "\n" + needed
			}
		}
		if strings.HasSuffix(o.name, "archiver") {
			with += "\nbackup_method = postgres\n"
		}
		if f.section == "barman" {
			barman += line
			line = ""
		}
		c := readText(t, barman+server+with+"\n"+line)
		d := c.Document(false)
		var got strings.Builder
		for _, b := range d.Blocks {
			got.WriteString(strings.Join(strings.Fields(string((&Document{Blocks: []*Block{b}}).HCL())), " ") + "\n")
		}
		if !strings.Contains(got.String(), f.hcl) {
			t.Errorf("%s becomes\n%s, without\n%s", o.name, got.String(), f.hcl)
		}
		if f.hcl == "" && f.told == "" && o.name != "model" {
			t.Errorf("%s: nothing is expected", o.name)
		}
		var told []string
		for _, found := range append(append(hcl.Diagnostics{}, d.Warnings...), d.Problems["main"]...) {
			told = append(told, found.Detail)
		}
		all := strings.Join(told, "\n")
		if f.told == "" && all != "" || !strings.Contains(all, f.told) || f.told != "" && f.value != "" && !strings.Contains(all, o.name) && f.section == "" {
			t.Errorf("%s is told of by %q, not %q", o.name, all, f.told)
		}
	}
	for name := range fates {
		if !slices.ContainsFunc(options(), func(o option) bool { return o.name == name }) {
			t.Errorf("%q is no option", name)
		}
	}
}

func TestOperationsSayWhatBecomesOfEveryOption(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options() {
		if strings.HasSuffix(o.name, "_script") || strings.HasPrefix(o.name, "snapshot_") || strings.HasPrefix(o.name, "aws_") ||
			strings.HasPrefix(o.name, "azure_") || strings.HasPrefix(o.name, "gcp_") {
			continue // the table has a row for all of them
		}
		if !strings.Contains(string(text), "`"+o.name+"`") {
			t.Errorf("docs/operations.md does not say what becomes of %s", o.name)
		}
	}
}

func parseHCL(text []byte) (*hcl.File, hcl.Diagnostics) {
	return hclsyntax.ParseConfig(text, "barman.hcl", hcl.InitialPos)
}
