package diagnosis

import (
	"cmp"
	"errors"
	"strings"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk/schema"
)

// Option is a setting that holds for a server.
type Option struct {
	// Name is that of Barman in Python.
	Name string
	// Value is a text, number, boolean or list; nil when there is none. Passwords are
	// masked.
	Value any
	// Source is the file that the value was written in; empty for a default.
	Source string
}

// Options returns what holds for a server, in no particular order. Settings of
// plugins that have no name in Barman in Python are left out: 'barman config show'
// has them all.
func Options(c *config.Config, s *config.Server) []Option {
	o := options{written: writtenIn(c, s)}
	o.server(c, s)
	o.backup(s)
	o.wal(s)
	for _, hook := range s.Hooks {
		name := hook.Event + "_script"
		if hook.Retry {
			name = hook.Event + "_retry_script"
		}
		o.ofStage(name, hook.Stage, "script", "")
	}
	return o.all
}

// nameOfMethod are Barman's names of ways to take a backup, by our plugins'.
func nameOfMethod(source string) string {
	if source == "pgbasebackup" {
		return "postgres"
	}
	return source
}

// masked is what Barman in Python shows of passwords.
const masked = "*REDACTED*"

type options struct {
	all     []Option
	written map[string]string // files, by the path of the setting in HCL
}

func (o *options) add(name, path string, value any) {
	o.all = append(o.all, Option{Name: name, Value: value, Source: o.written[path]})
}

// text adds a value for which being empty is being absent.
func (o *options) text(name, path, value string) { o.add(name, path, orNil(value)) }

func orNil[T comparable](value T) any {
	var zero T
	if value == zero {
		return nil
	}
	return value
}

// ofStage adds a setting of a stage's plugin, which has a fallback of its own.
func (o *options) ofStage(name string, stage config.Stage, setting, fallback string) {
	added := Option{Name: name, Value: orNil(cmp.Or(stage.Text(setting), fallback))}
	if stage.Has(setting) {
		added.Source = stage.DefRange.Filename
	}
	o.all = append(o.all, added)
}

func (o *options) server(c *config.Config, s *config.Server) {
	d := s.Directories
	problems := []string{}
	for _, m := range config.Messages(s.Problems) {
		problems = append(problems, strings.TrimSuffix(m.Summary+": "+m.Detail, ": "))
	}
	o.add("name", "", s.Name)
	o.add("disabled", "", len(problems) > 0)
	o.add("msg_list", "", problems)
	o.add("active", "active", s.Active)
	o.text("active_model", "", s.ActiveModel)
	o.add("cluster", "cluster", s.Cluster)
	o.text("description", "description", s.Description)
	o.add("barman_home", "barman.home", c.Global.Home)
	o.add("barman_lock_directory", "barman.lock_directory", c.Global.LockDirectory)
	for name, path := range map[string]string{
		"backup_directory": d.Backup, "basebackups_directory": d.Basebackups, "wals_directory": d.WALs, "errors_directory": d.Errors,
		"incoming_wals_directory": d.IncomingWALs, "streaming_wals_directory": d.StreamingWALs, "xlogdb_directory": d.XlogDB,
	} {
		o.add(name, name, path)
	}
	for name, conninfo := range map[string]schema.Secret{
		"conninfo": s.Conninfo, "streaming_conninfo": s.StreamingConninfo,
		"wal_conninfo": s.WALConninfo, "wal_streaming_conninfo": s.WALStreamingConninfo,
	} {
		o.text(name, name, strings.ReplaceAll(config.MaskConninfo(conninfo), conninfo.String(), masked))
	}
	o.add("check_timeout", "check_timeout", s.CheckTimeout.Seconds())
	o.add("last_backup_maximum_age", "last_backup_maximum_age", pretty(s.LastBackupMaximumAge))
	o.add("last_wal_maximum_age", "last_wal_maximum_age", pretty(s.LastWALMaximumAge))
	o.add("last_backup_minimum_size", "last_backup_minimum_size", orNil(int64(s.LastBackupMinimumSize)))
	o.text("retention_policy", "retention.policy", s.Retention.Policy.String())
	o.add("retention_policy_mode", "", "auto")
	o.add("wal_retention_policy", "", "MAIN")
	o.add("minimum_redundancy", "retention.minimum_redundancy", s.Retention.MinimumRedundancy)
	o.add("recovery_options", "recovery.options", strings.Join(s.Recovery.Options, ","))
	o.add("passive_node", "", s.Passive())
	o.text("primary_ssh_command", "primary_ssh_command", s.PrimarySSHCommand)
	o.add("forward_config_path", "forward_config_path", s.ForwardConfigPath)
}

func (o *options) backup(s *config.Server) {
	source := s.Backup.Source
	o.all = append(o.all, Option{Name: "backup_method", Value: nameOfMethod(source.Name), Source: source.DefRange.Filename})
	o.add("immediate_checkpoint", "", source.Text("checkpoint") == "fast")
	o.add("parallel_jobs", "backup.jobs", s.Backup.Jobs)
	o.ofStage("bandwidth_limit", source, "max_rate", "")
	o.ofStage("streaming_backup_name", source, "application_name", "barman_streaming_backup")
	o.compression("backup_compression", s.Backup.Transforms)
}

func (o *options) wal(s *config.Server) {
	o.add("archiver", "wal.archive", s.WAL.Archive)
	o.add("archiver_batch_size", "wal.incoming_batch_size", s.WAL.IncomingBatchSize)
	o.add("streaming_archiver", "", s.WAL.Source != nil)
	o.add("streaming_archiver_batch_size", "wal.streaming_batch_size", s.WAL.StreamingBatchSize)
	o.add("max_incoming_wals_queue", "wal.maximum_queue", orNil(s.WAL.MaximumQueue))
	if source := s.WAL.Source; source != nil {
		o.ofStage("slot_name", *source, "slot", "")
		o.ofStage("create_slot", *source, "create_slot", "manual")
		o.ofStage("streaming_archiver_name", *source, "application_name", "barman_receive_wal")
	} else {
		for _, name := range []string{"slot_name", "create_slot", "streaming_archiver_name"} {
			o.add(name, "", nil)
		}
	}
	o.compression("compression", s.WAL.Transforms)
}

// compression adds what a pipeline compresses with.
func (o *options) compression(name string, transforms []config.Stage) {
	for _, transform := range transforms {
		if transform.Name == server.Compressor {
			o.ofStage(name, transform, "codec", "zstd")
			o.ofStage(name+"_level", transform, "level", "")
			return
		}
	}
	o.add(name, "", nil)
	o.add(name+"_level", "", nil)
}

// writtenIn returns the files that settings of the core were written in, by their
// paths: "retention.policy".
func writtenIn(c *config.Config, s *config.Server) map[string]string {
	// What belongs to plugins is asked of the stages.
	tree, _ := config.Effective(s, func(string, string) (schema.Schema, error) { return schema.Schema{}, errors.New("not asked") })
	files := map[string]string{}
	var walk func(prefix string, nodes []*config.Node)
	walk = func(prefix string, nodes []*config.Node) {
		for _, n := range nodes {
			switch {
			case n.IsBlock() && n.Label == "":
				walk(prefix+n.Name+".", n.Nodes)
			case !n.IsBlock():
				files[prefix+n.Name] = n.Source
			}
		}
	}
	walk("", tree.Nodes)
	walk("", []*config.Node{c.Effective()})
	return files
}

// ofFacts adds what PostgreSQL says of itself.
func ofFacts(to map[string]any, f postgres.Facts) {
	to["server_txt_version"] = f.ShortVersion()
	to["version_supported"] = f.Supported() == nil
	to["is_in_recovery"] = f.InRecovery
	to["postgres_systemid"] = orNil(f.SystemID)
	to["timeline"] = orNil(uint32(f.Timeline))
	to["xlogpos"] = f.LSN.String()
	to["current_lsn"] = f.LSN.String()
	if !f.InRecovery {
		to["current_xlog"] = f.CurrentWAL()
	}
	to["data_directory"] = orNil(f.DataDirectory)
	to["config_file"] = orNil(f.ConfigFile)
	to["hba_file"] = orNil(f.HBAFile)
	to["ident_file"] = orNil(f.IdentFile)
	to["xlog_segment_size"] = uint64(f.SegmentSize)
	to["data_checksums"] = orNil(f.DataChecksums)
	to["wal_level"] = orNil(f.WALLevel)
	to["archive_mode"] = orNil(f.ArchiveMode)
	to["archive_command"] = orNil(f.ArchiveCommand)
	to["synchronous_standby_names"] = f.SynchronousStandbyNames
	to["max_wal_senders"] = f.MaxWALSenders
	to["max_replication_slots"] = f.MaxReplicationSlots
	to["replication_slot_support"] = true
	to["streaming_supported"] = true
}
