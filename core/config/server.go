package config

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/sdk/schema"
)

// Server is a PostgreSQL server that Barman looks after.
type Server struct {
	// Name is a single safe path element; it names the server's directory.
	Name string
	// Description is shown in lists.
	Description string
	// Active is false when the server is to be left alone.
	Active bool
	// Cluster is what the server has in common with the models that fit it; the
	// server's name unless the configuration says otherwise.
	Cluster string
	// ActiveModel is the model that has been laid over the server; empty for none.
	ActiveModel string
	// Problems keep this server, and no other, from being worked with: an active model
	// that does not fit, or what is wrong with its section of a barman.conf. Other
	// mistakes in HCL stop everything. See Err.
	Problems hcl.Diagnostics
	// PrimarySSHCommand leads to the Barman that a passive node copies its backups and
	// WAL from; empty for a server that is not passive. See Passive.
	PrimarySSHCommand string
	// ForwardConfigPath tells that that Barman is started with the path of this
	// configuration.
	ForwardConfigPath bool
	// Conninfo is the libpq connection string of the management connection; a passive
	// node may have none.
	Conninfo schema.Secret
	// StreamingConninfo is the libpq connection string for the replication
	// protocol.
	StreamingConninfo schema.Secret
	// WALConninfo is the libpq connection string of the host that WAL is
	// received from, for what is asked about WAL; that of the management
	// connection when no other is named.
	WALConninfo schema.Secret
	// WALStreamingConninfo is the libpq connection string for the replication
	// protocol when WAL is received.
	WALStreamingConninfo schema.Secret
	// PrimaryConninfo leads to the primary when Conninfo leads to a standby; empty
	// when that is not known.
	PrimaryConninfo schema.Secret
	// PrimaryCheckpointTimeout is how long the end of a standby's backup waits for WAL
	// before a checkpoint is made on the primary; 0 means that none is made.
	PrimaryCheckpointTimeout time.Duration
	// Directories are where the server's files are.
	Directories Directories
	// CheckTimeout bounds the checks of the server; 0 means no bound.
	CheckTimeout time.Duration
	// LastBackupMaximumAge, LastBackupMinimumSize and LastWALMaximumAge are
	// limits that checks hold against; 0 means none.
	LastBackupMaximumAge, LastWALMaximumAge time.Duration
	// LastBackupMinimumSize is the least a complete backup may measure.
	LastBackupMinimumSize schema.ByteSize
	// Backup is the pipeline of base backups.
	Backup BackupPipeline
	// WAL is the pipeline of WAL files.
	WAL WALPipeline
	// Retention tells which backups are kept.
	Retention Retention
	// Recovery tells how backups are recovered.
	Recovery Recovery
	// Hooks are called in this order: those of the defaults block, then the
	// server's own.
	Hooks []Hook
	// DefRange is where the server's block begins.
	DefRange hcl.Range

	blocks serverBlocks
	read   layer
	files  map[string]*hcl.File
}

// Err is nil, or the server's problems as an *Error: what a command answers with
// that would do more for it than show it.
func (s *Server) Err() error { return Check(s.Problems, s.files) }

// Passive tells whether the server is copied from another Barman, and its
// PostgreSQL is left alone.
func (s *Server) Passive() bool { return s.PrimarySSHCommand != "" }

// Directories are absolute and clean paths; no two servers share one, but for XlogDB.
type Directories struct {
	// Backup holds all the others by default.
	Backup string
	// Basebackups holds base backups.
	Basebackups string
	// WALs is the WAL archive.
	WALs string
	// IncomingWALs is where archive_command delivers.
	IncomingWALs string
	// StreamingWALs is where WAL is received.
	StreamingWALs string
	// XlogDB holds the index of the WAL archive; usually it is WALs.
	XlogDB string
	// Errors is where WAL files that cannot be archived are kept.
	Errors string
}

// BackupPipeline is source, transforms and sinks of base backups.
type BackupPipeline struct {
	// Source reads the server.
	Source Stage
	// Transforms are in the order of a backup; recovery goes through them
	// backwards.
	Transforms []Stage
	// Sinks are at least one, of which at least one is required. The first is
	// the one that is read from first.
	Sinks []Stage
	// Jobs is how many objects are under way at once, 1 or more.
	Jobs int
	// RetryTimes is how many times a copy that failed is tried again, after RetrySleep
	// each.
	RetryTimes int
	// RetrySleep is 0 or more.
	RetrySleep time.Duration
	// Layout is plain or tar; empty leaves it to the core.
	Layout string
	// ArchiveSize is the most bytes in a tar archive, 0 for any number; nil leaves
	// it to the core.
	ArchiveSize *int64
}

// WALPipeline is sources, transforms and sinks of WAL files.
type WALPipeline struct {
	// Archive is true when files delivered into the incoming directory are
	// archived.
	Archive bool
	// IncomingBatchSize and StreamingBatchSize are how many delivered and received
	// files one run of the archiver takes at most; 0 means all of them.
	IncomingBatchSize, StreamingBatchSize int
	// MaximumQueue is how many files may wait in either directory before checks
	// fail; 0 means any number.
	MaximumQueue int
	// Source streams WAL; nil when WAL is not streamed.
	Source *Stage
	// Transforms are in the order of archiving.
	Transforms []Stage
	// Sinks are at least one, of which at least one is required.
	Sinks []Stage
}

// Retention tells which backups are kept.
type Retention struct {
	// Policy is the zero Policy when every backup is kept.
	Policy retention.Policy
	// MinimumRedundancy is how many backups are kept whatever the policy says.
	MinimumRedundancy int
	// Refused is why no policy is enforced although a barman.conf asks for one; empty
	// if there is no such reason.
	Refused string
}

// Recovery tells how backups are recovered.
type Recovery struct {
	// Options may hold "get-wal", WAL is fetched from Barman during recovery and not
	// copied beforehand, and "delta-restore", the files of a cluster that does not run
	// are reused.
	Options []string
}

// DeltaRestore tells whether the files of a cluster that does not run are reused.
func (r Recovery) DeltaRestore() bool { return contains(r.Options, optionDeltaRestore) }

// GetWAL tells whether WAL is fetched from Barman during recovery.
func (r Recovery) GetWAL() bool { return contains(r.Options, optionGetWAL) }
