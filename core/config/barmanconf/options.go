package barmanconf

import "slices"

// scope is where an option may stand.
type scope int

const (
	ofServer  scope = 1 << iota // in a server's section
	ofModel                     // in a model's section
	inherited                   // in [barman], for the servers that do not say otherwise
	ofBarman                    // in [barman] only, for the program as a whole

	anywhere       = inherited | ofServer | ofModel
	serverAndModel = ofServer | ofModel
)

// kind is how the text of an option becomes a value.
type kind int

const (
	text      kind = iota
	truth          // true or false
	number         // whole
	interval       // n HOURS, DAYS, WEEKS or MONTHS
	size           // bytes, with a suffix
	choice         // one of the option's choices
	exact          // one of the option's choices, letter by letter
	set            // some of the option's choices, separated by commas
	slotName       // the name of a replication slot
	directory      // an absolute path
	codecName      // one of the option's choices, or nothing
	level          // a number, low, medium or high
)

// option is an option of Python Barman.
type option struct {
	name    string
	scope   scope
	kind    kind
	choices []string
	// fallback is the value when nothing says otherwise, with references to other
	// options; empty is none.
	fallback string
	// idle is why the option has no effect; empty if it has.
	idle string
}

const (
	onlySnapshots = "it is for snapshot backups, which are not supported yet"
	notStaged     = "recovery reads backups straight from where they are stored; nothing is staged"
	onlyGPG       = "GPG encryption is not supported yet"
)

// options are all of Python Barman's, sorted by name.
func options() []option {
	all := []option{
		{name: "barman_home", scope: ofBarman},
		{name: "barman_user", scope: ofBarman, fallback: "barman"},
		{name: "barman_lock_directory", scope: ofBarman},
		{name: "lock_directory_cleanup", scope: ofBarman, kind: truth, fallback: "true"},
		{name: "config_changes_queue", scope: ofBarman},
		{name: "configuration_files_directory", scope: ofBarman},
		{name: "log_file", scope: ofBarman},
		{name: "log_level", scope: ofBarman, fallback: "INFO"},
		{name: "log_format", scope: ofBarman, idle: "the log has a format of its own"},

		{name: "active", scope: serverAndModel, kind: truth, fallback: "true"},
		{name: "description", scope: serverAndModel},
		{name: "cluster", scope: serverAndModel, fallback: "%(name)s"},
		{name: "model", scope: ofModel, kind: truth},
		{name: "path_prefix", scope: anywhere},
		{name: "forward_config_path", scope: anywhere, kind: truth, fallback: "false"},
		{name: "check_timeout", scope: anywhere, kind: number, fallback: "30"},
		{name: "primary_ssh_command", scope: anywhere},
		{name: "worm_mode", scope: anywhere, kind: truth, fallback: "false"},

		{name: "backup_directory", scope: ofServer, fallback: "%(barman_home)s/%(name)s"},
		{name: "basebackups_directory", scope: ofServer, fallback: "%(backup_directory)s/base"},
		{name: "wals_directory", scope: ofServer, fallback: "%(backup_directory)s/wals"},
		{name: "incoming_wals_directory", scope: ofServer, fallback: "%(backup_directory)s/incoming"},
		{name: "streaming_wals_directory", scope: ofServer, fallback: "%(backup_directory)s/streaming"},
		{name: "errors_directory", scope: ofServer, fallback: "%(backup_directory)s/errors"},
		{name: "xlogdb_directory", scope: ofServer | inherited, fallback: "%(wals_directory)s"},

		{name: "conninfo", scope: serverAndModel},
		{name: "streaming_conninfo", scope: serverAndModel},
		{name: "wal_conninfo", scope: serverAndModel},
		{name: "wal_streaming_conninfo", scope: serverAndModel},
		{name: "primary_conninfo", scope: serverAndModel},
		{name: "primary_checkpoint_timeout", scope: serverAndModel, kind: number, fallback: "0"},
		{name: "ssh_command", scope: serverAndModel},
		{name: "slot_name", scope: anywhere, kind: slotName},
		{name: "create_slot", scope: anywhere, kind: choice, choices: []string{"manual", "auto"}, fallback: "manual"},
		{name: "streaming_archiver_name", scope: anywhere, fallback: "barman_receive_wal"},
		{name: "streaming_backup_name", scope: anywhere, fallback: "barman_streaming_backup"},
		{name: "keepalive_interval", scope: serverAndModel, kind: number, fallback: "60"},

		{name: "archiver", scope: anywhere, kind: truth, fallback: "false"},
		{name: "archiver_batch_size", scope: anywhere, kind: number, fallback: "0"},
		{name: "streaming_archiver", scope: anywhere, kind: truth, fallback: "false"},
		{name: "streaming_archiver_batch_size", scope: anywhere, kind: number, fallback: "0"},
		{name: "compression", scope: anywhere, kind: codecName,
			choices: []string{"gzip", "bzip2", "pigz", "pygzip", "pybzip2", "xz", "zstd", "lz4", "snappy", "custom"}},
		{name: "compression_level", scope: anywhere, kind: level, fallback: "medium"},
		{name: "custom_compression_filter", scope: anywhere},
		{name: "custom_decompression_filter", scope: anywhere},
		{name: "custom_compression_magic", scope: anywhere},
		{name: "max_incoming_wals_queue", scope: anywhere, kind: number},
		{name: "last_wal_maximum_age", scope: anywhere, kind: interval},
		{name: "encryption", scope: anywhere, kind: choice, choices: []string{"none", "gpg"}, fallback: "none"},
		{name: "encryption_key_id", scope: anywhere, idle: onlyGPG},
		{name: "encryption_passphrase_command", scope: anywhere, idle: onlyGPG + ", nor is reading what is encrypted so"},

		{name: "backup_method", scope: anywhere, kind: choice, choices: []string{"rsync", "postgres", "local-rsync", "snapshot"}, fallback: "rsync"},
		{name: "backup_options", scope: anywhere, kind: set, choices: []string{"concurrent_backup", "exclusive_backup", "external_configuration"}},
		{name: "backup_compression", scope: anywhere, kind: choice, choices: []string{"gzip", "lz4", "zstd", "none"}},
		{name: "backup_compression_format", scope: anywhere, kind: choice, choices: []string{"plain", "tar"}},
		{name: "backup_compression_level", scope: anywhere, kind: number},
		{name: "backup_compression_location", scope: anywhere, kind: choice, choices: []string{"client", "server"}},
		{name: "backup_compression_workers", scope: anywhere, kind: number},
		{name: "reuse_backup", scope: anywhere, kind: choice, choices: []string{"off", "copy", "link"}},
		{name: "immediate_checkpoint", scope: anywhere, kind: truth, fallback: "false"},
		{name: "network_compression", scope: anywhere, kind: truth, fallback: "false"},
		{name: "bandwidth_limit", scope: anywhere},
		{name: "tablespace_bandwidth_limit", scope: anywhere},
		{name: "parallel_jobs", scope: anywhere, kind: number, fallback: "1"},
		{name: "parallel_jobs_start_batch_size", scope: anywhere, kind: number, fallback: "10"},
		{name: "parallel_jobs_start_batch_period", scope: anywhere, kind: number, fallback: "1"},
		{name: "basebackup_retry_times", scope: anywhere, kind: number, fallback: "0"},
		{name: "basebackup_retry_sleep", scope: anywhere, kind: number, fallback: "30"},
		{name: "autogenerate_manifest", scope: anywhere, kind: truth, fallback: "false"},
		{name: "minimum_redundancy", scope: anywhere, fallback: "0"},
		{name: "retention_policy", scope: anywhere},
		{name: "retention_policy_mode", scope: anywhere, fallback: "auto"},
		{name: "wal_retention_policy", scope: anywhere, fallback: "main"},
		{name: "last_backup_maximum_age", scope: anywhere, kind: interval},
		{name: "last_backup_minimum_size", scope: anywhere, kind: size},

		{name: "recovery_options", scope: anywhere, kind: set, choices: []string{"get-wal", "delta-restore"}},
		{name: "staging_path", scope: anywhere, kind: directory, idle: notStaged},
		{name: "staging_location", scope: anywhere, kind: exact, choices: []string{"local", "remote"}, fallback: "local", idle: notStaged},
		{name: "recovery_staging_path", scope: anywhere, idle: notStaged},
		{name: "local_staging_path", scope: anywhere, idle: notStaged},
		{name: "combine_mode", scope: anywhere, kind: choice, choices: []string{"copy", "link", "clone", "copy-file-range"}, fallback: "copy",
			idle: "it is for PostgreSQL 17's incremental backups, which are not supported yet"},

		{name: "snapshot_provider", scope: anywhere, kind: choice, choices: []string{"gcp", "aws", "azure"}, idle: onlySnapshots},
		{name: "snapshot_instance", scope: serverAndModel, idle: onlySnapshots},
		{name: "snapshot_disks", scope: serverAndModel, idle: onlySnapshots},
		{name: "snapshot_zone", scope: serverAndModel, idle: onlySnapshots},
		{name: "snapshot_gcp_project", scope: anywhere, idle: onlySnapshots},
		{name: "gcp_project", scope: anywhere, idle: onlySnapshots},
		{name: "gcp_zone", scope: serverAndModel, idle: onlySnapshots},
		{name: "azure_subscription_id", scope: anywhere, idle: onlySnapshots},
		{name: "azure_resource_group", scope: anywhere, idle: onlySnapshots},
		{name: "azure_credential", scope: anywhere, kind: choice, choices: []string{"azure-cli", "managed-identity", "default"}, idle: onlySnapshots},
		{name: "aws_profile", scope: anywhere, idle: onlySnapshots},
		{name: "aws_region", scope: anywhere, idle: onlySnapshots},
		{name: "aws_await_snapshots_timeout", scope: anywhere, kind: number, fallback: "3600", idle: onlySnapshots},
		{name: "aws_snapshot_lock_mode", scope: anywhere, idle: onlySnapshots},
		{name: "aws_snapshot_lock_duration", scope: anywhere, kind: number, idle: onlySnapshots},
		{name: "aws_snapshot_lock_cool_off_period", scope: anywhere, kind: number, idle: onlySnapshots},
		{name: "aws_snapshot_lock_expiration_date", scope: anywhere, idle: onlySnapshots},
	}
	for _, h := range hookOptions() {
		all = append(all, option{name: h.name, scope: inherited | ofServer})
	}
	// Python Barman computes values in this order, so that one may refer to those
	// that come before it in the alphabet.
	slices.SortFunc(all, func(a, b option) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return all
}

// hookOption is an option that names a hook script.
type hookOption struct {
	name, event string
	retry       bool
}

// hookOptions are in the order in which Python Barman runs the scripts of an
// operation: the one that is retried is nearest to the operation.
func hookOptions() []hookOption {
	var all []hookOption
	for _, operation := range []string{"backup", "delete", "archive", "wal_delete", "recovery"} {
		pre, post := "pre_"+operation, "post_"+operation
		all = append(all,
			hookOption{pre + "_script", pre, false}, hookOption{pre + "_retry_script", pre, true},
			hookOption{post + "_retry_script", post, true}, hookOption{post + "_script", post, false})
	}
	return all
}
