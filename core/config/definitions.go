package config

import (
	"time"

	"github.com/barman-go/barman/sdk/schema"
)

// The structs of this file are the core's own blocks, in the tags of
// schema.Of. Their text is the reference documentation.

type barmanBlock struct {
	Home                 string   `hcl:"home,optional" default:"/var/lib/barman" doc:"Directory below which every server has its own."`
	LockDirectory        string   `hcl:"lock_directory,optional" doc:"Directory of the lock files. Default: home."`
	LockDirectoryCleanup bool     `hcl:"lock_directory_cleanup,optional" default:"true" doc:"Let 'barman cron' remove lock files that nobody holds."`
	User                 string   `hcl:"user,optional" doc:"Name of the operating system's user that barman works as. Started as root, it becomes that user; started as anybody else, it refuses. Default: whoever starts it."`
	ConfigChangesQueue   string   `hcl:"config_changes_queue,optional" doc:"File of the changes that 'barman config-update' has been asked for and that are not carried out. Default: cfg_changes.queue in home."`
	PluginDirs           []string `hcl:"plugin_dirs,optional" doc:"Directories that are searched for plugins, in order. Default: the directory of the barman binary."`
	LogFile              string   `hcl:"log_file,optional" doc:"File that the log is appended to. Default: standard error."`
	LogLevel             string   `hcl:"log_level,optional" default:"info" doc:"The least severe messages to log: trace, debug, info, warn or error."`
}

type pluginBlock struct {
	Path   string `hcl:"path,optional" doc:"Absolute path of the binary. Default: barman-plugin-<kind>-<name> in plugin_dirs."`
	SHA256 string `hcl:"sha256,optional" doc:"Checksum that the binary must have, in hexadecimal; any other binary is refused."`
}

type serverBlock struct {
	Description           string          `hcl:"description,optional" doc:"A line for people, shown in lists."`
	Active                bool            `hcl:"active,optional" default:"true" doc:"False leaves the server alone: no backup, no WAL, no maintenance."`
	Cluster               string          `hcl:"cluster,optional" doc:"Name that the server has in common with the models that fit it. Default: the server's name."`
	PrimarySSHCommand     string          `hcl:"primary_ssh_command,optional" doc:"Makes this a passive node: its backups and WAL are copied from the Barman to which this SSH command leads, \"ssh barman@first\" for instance, and its PostgreSQL is not connected to."`
	ForwardConfigPath     bool            `hcl:"forward_config_path,optional" doc:"For a passive node: the Barman that is copied from is started with the same -c as this one."`
	Conninfo              string          `hcl:"conninfo,optional" doc:"libpq connection string of the management connection: keywords and values or a URI. Only a passive node goes without."`
	StreamingConninfo     string          `hcl:"streaming_conninfo,optional" doc:"libpq connection string for the replication protocol. Default: conninfo."`
	WALConninfo           string          `hcl:"wal_conninfo,optional" doc:"libpq connection string for what is asked about WAL: slots, positions, settings. For WAL that is received from another host than that of conninfo. Default: wal_streaming_conninfo, and without it conninfo."`
	WALStreamingConninfo  string          `hcl:"wal_streaming_conninfo,optional" doc:"libpq connection string for the replication protocol when WAL is received, for instance from a standby. It must lead to the same cluster as conninfo. Default: streaming_conninfo."`
	PrimaryConninfo       string          `hcl:"primary_conninfo,optional" doc:"libpq connection string of the primary, when conninfo leads to a standby: WAL is switched there."`
	PrimaryCheckpoint     time.Duration   `hcl:"primary_checkpoint_timeout,optional" default:"0s" doc:"How long the end of a standby's backup waits for WAL from the primary before a checkpoint is made there; 0s makes none."`
	BackupDirectory       string          `hcl:"backup_directory,optional" doc:"The server's directory. Default: home and the server's name."`
	BasebackupsDirectory  string          `hcl:"basebackups_directory,optional" doc:"Directory of the base backups. Default: base in backup_directory."`
	WALsDirectory         string          `hcl:"wals_directory,optional" doc:"Directory of the WAL archive. Default: wals in backup_directory."`
	IncomingWALsDirectory string          `hcl:"incoming_wals_directory,optional" doc:"Directory that archive_command delivers into. Default: incoming in backup_directory."`
	StreamingWALDirectory string          `hcl:"streaming_wals_directory,optional" doc:"Directory that WAL is received in. Default: streaming in backup_directory."`
	XlogDBDirectory       string          `hcl:"xlogdb_directory,optional" doc:"Directory of the index of the WAL archive, if it is not with the archive. Default: wals_directory."`
	ErrorsDirectory       string          `hcl:"errors_directory,optional" doc:"Directory of WAL files that cannot be archived. Default: errors in backup_directory."`
	CheckTimeout          time.Duration   `hcl:"check_timeout,optional" default:"30s" doc:"How long the checks of the server may take; 0s means without limit."`
	LastBackupMaximumAge  string          `hcl:"last_backup_maximum_age,optional" doc:"Checks fail when the newest backup is older: n HOURS, DAYS, WEEKS or MONTHS."`
	LastBackupMinimumSize schema.ByteSize `hcl:"last_backup_minimum_size,optional" doc:"Checks fail when the newest backup is smaller."`
	LastWALMaximumAge     string          `hcl:"last_wal_maximum_age,optional" doc:"Checks fail when the newest archived WAL file is older: n HOURS, DAYS, WEEKS or MONTHS."`
}

type backupBlock struct {
	Jobs       int           `hcl:"jobs,optional" default:"1" doc:"How many objects are copied at once."`
	RetryTimes int           `hcl:"retry_times,optional" default:"0" doc:"How many times a copy that failed is tried again."`
	RetrySleep time.Duration `hcl:"retry_sleep,optional" default:"30s" doc:"How long to wait before a copy is tried again."`
	Layout     string        `hcl:"layout,optional" doc:"Form in which a backup is stored: plain (every file by itself) or tar (one archive for each tablespace). Default: what suits the pipeline."`

	ArchiveSize *schema.ByteSize `hcl:"archive_size,optional" doc:"Tar archives are split before a file with which they would be larger, uncompressed; no file is split, and 0 never splits. Default: 1GiB when all sinks are buckets, so that archives are restored side by side, otherwise 0."`
}

type walBlock struct {
	Archive *bool `hcl:"archive,optional" doc:"Archive the WAL files that archive_command delivers into incoming_wals_directory. Default: true, but false when a source streams WAL."`

	IncomingBatchSize  int `hcl:"incoming_batch_size,optional" default:"0" doc:"How many delivered WAL files one run of archive-wal takes at most; 0 means all of them."`
	StreamingBatchSize int `hcl:"streaming_batch_size,optional" default:"0" doc:"How many received WAL files one run of archive-wal takes at most; 0 means all of them."`
	MaximumQueue       int `hcl:"maximum_queue,optional" default:"0" doc:"Checks fail when more WAL files than this wait to be archived, counted for each way that they come; 0 means without limit."`
}

type retentionBlock struct {
	Policy            string `hcl:"policy,optional" doc:"REDUNDANCY n or RECOVERY WINDOW OF n DAYS, WEEKS or MONTHS. Default: every backup is kept."`
	MinimumRedundancy int    `hcl:"minimum_redundancy,optional" default:"0" doc:"How many backups are kept whatever the policy says, and checked for."`
}

type recoveryBlock struct {
	Options []string `hcl:"options,optional" doc:"\"get-wal\": fetch WAL from Barman during recovery instead of copying it beforehand. \"delta-restore\": restore onto the files of a cluster that does not run, and replace only what differs."`
}

// The settings of a stage's block that are the core's and not the plugin's.

type sinkBlock struct {
	Required bool `hcl:"required,optional" default:"true" doc:"False lets a backup or WAL file count as stored when this sink failed. At least one sink of a pipeline is required."`
}

type hookBlock struct {
	Plugin string `hcl:"plugin,optional" default:"script" doc:"Name of the hook plugin; the other settings of the block are the plugin's."`
	Retry  bool   `hcl:"retry,optional" default:"false" doc:"Try again until the hook succeeds. The plugin does the trying, when it can."`
}

// serverBlocks are the decoded blocks of one server, its defaults filled in.
type serverBlocks struct {
	Server    serverBlock
	Backup    backupBlock
	WAL       walBlock
	Retention retentionBlock
	Recovery  recoveryBlock
}

const (
	optionGetWAL       = "get-wal"
	optionDeltaRestore = "delta-restore"
)

func logLevels() []string { return []string{"trace", "debug", "info", "warn", "error"} }

func layouts() []string { return []string{"plain", "tar"} }

func recoveryOptions() []string { return []string{optionGetWAL, optionDeltaRestore} }

func pluginKinds() []string {
	return []string{kindSource, kindTransform, kindSink, kindHook}
}

func hookEvents() []string {
	var events []string
	for _, operation := range []string{"backup", "delete", "archive", "wal_delete", "recovery"} {
		events = append(events, "pre_"+operation, "post_"+operation)
	}
	return events
}
