package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
)

// Config is what a source "rsync" block says. The names are those of Python
// Barman's options.
type Config struct {
	SSHCommand               string     `hcl:"ssh_command,optional" doc:"How to get to PostgreSQL's host, as a user who may read the data directory: \"ssh postgres@pg\". Without it the files are on this machine, and so is rsync's work."`
	ReuseBackup              string     `hcl:"reuse_backup,optional" default:"off" doc:"What becomes of files that the backup before has too: link (hard links, which take no room), copy (copied on this machine, not over the network) or off."`
	ImmediateCheckpoint      bool       `hcl:"immediate_checkpoint,optional" doc:"Have PostgreSQL make the checkpoint that begins a backup at once, rather than spread it, which may take minutes."`
	NetworkCompression       bool       `hcl:"network_compression,optional" doc:"Compress what goes over the network."`
	BandwidthLimit           *int       `hcl:"bandwidth_limit,optional" doc:"The most that is copied in a second, by all jobs together, in kilobytes; unlimited when left out."`
	TablespaceBandwidthLimit string     `hcl:"tablespace_bandwidth_limit,optional" doc:"Other limits for some tablespaces: \"name:kilobytes name:kilobytes\"."`
	StartBatchSize           *int       `hcl:"parallel_jobs_start_batch_size,optional" default:"10" doc:"How many jobs start in one period, so that sshd does not refuse them."`
	StartBatchPeriod         *int       `hcl:"parallel_jobs_start_batch_period,optional" default:"1" doc:"That period in seconds."`
	AutogenerateManifest     bool       `hcl:"autogenerate_manifest,optional" default:"true" doc:"Write a backup manifest, which 'barman verify-backup' and pg_verifybackup hold the backup against."`
	KeepaliveInterval        *int       `hcl:"keepalive_interval,optional" default:"60" doc:"How often, in seconds, the connection that holds the backup says something, so that nothing on the way takes it for dead."`
	PathPrefix               string     `hcl:"path_prefix,optional" doc:"Directories, separated by colons, where rsync and ssh are looked for first."`
	BackupOptions            string     `hcl:"backup_options,optional" doc:"Accepted for Python Barman's sake: concurrent_backup, exclusive_backup and external_configuration. Backups are always concurrent."`
	Scratch                  string     `hcl:"scratch_directory,optional" doc:"Where files land on their way to a sink that grants no landing directory: there must be room for the whole server (default: the server's directory)."`
	Conninfo                 sdk.Secret `hcl:"conninfo,optional" doc:"Connection string; the server's conninfo when left out."`
	ApplicationName          string     `hcl:"application_name,optional" default:"barman" doc:"The name that the server shows in pg_stat_activity."`
}

// Ways to use the backup before.
const (
	reuseOff  = "off"
	reuseCopy = "copy"
	reuseLink = "link"
)

// Validate tells what the schema cannot.
func (c *Config) Validate() schema.Diagnostics {
	var found schema.Diagnostics
	say := func(path, summary, format string, args ...any) {
		found = append(found, schema.Diagnostic{Path: path, Summary: summary, Detail: fmt.Sprintf(format, args...)})
	}
	if !slices.Contains([]string{"", reuseOff, reuseCopy, reuseLink}, c.ReuseBackup) {
		say("reuse_backup", "Unknown way to reuse", "%q is none of link, copy and off.", c.ReuseBackup)
	}
	if strings.ContainsAny(c.SSHCommand, "\n\x00") {
		say("ssh_command", "Unusable command", "A command is one line.")
	}
	for _, n := range []struct {
		name  string
		value *int
		least int
	}{
		{"bandwidth_limit", c.BandwidthLimit, 0}, {"parallel_jobs_start_batch_size", c.StartBatchSize, 1},
		{"parallel_jobs_start_batch_period", c.StartBatchPeriod, 1}, {"keepalive_interval", c.KeepaliveInterval, 0},
	} {
		if n.value != nil && *n.value < n.least {
			say(n.name, "Number out of range", "%d is less than %d.", *n.value, n.least)
		}
	}
	if _, err := limits(c.TablespaceBandwidthLimit); err != nil {
		say("tablespace_bandwidth_limit", "Unreadable limits", "%v.", err)
	}
	if c.Scratch != "" && !filepath.IsAbs(c.Scratch) {
		say("scratch_directory", "Relative path", "%q depends on where barman is started; give an absolute path.", c.Scratch)
	}
	return found
}

// limits reads "name:kilobytes name:kilobytes".
func limits(text string) (map[string]int, error) {
	found := map[string]int{}
	for _, rule := range strings.Fields(text) {
		colon := strings.LastIndexByte(rule, ':')
		if colon < 1 {
			return nil, fmt.Errorf("%q is not name:kilobytes", rule)
		}
		limit, err := strconv.Atoi(rule[colon+1:])
		if err != nil || limit < 0 {
			return nil, fmt.Errorf("%q is not name:kilobytes", rule)
		}
		found[rule[:colon]] = limit
	}
	return found, nil
}

// limit returns what rsync may copy in a second, in kilobytes, 0 for no limit, of
// the data directory (the name is empty) or a tablespace.
func (c *Config) limit(tablespace string) int {
	rules, _ := limits(c.TablespaceBandwidthLimit) // Validate has read them
	if limit, found := rules[tablespace]; found && tablespace != "" {
		return limit
	}
	return number(c.BandwidthLimit, 0)
}

func (c *Config) keepAlive() time.Duration {
	if number(c.KeepaliveInterval, 60) == 0 {
		return time.Hour // the connection is watched all the same
	}
	return time.Duration(number(c.KeepaliveInterval, 60)) * time.Second
}

func number(n *int, otherwise int) int {
	if n == nil {
		return otherwise
	}
	return *n
}
