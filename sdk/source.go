package sdk

import (
	"context"
	"io"
	"time"

	"github.com/barman-go/barman/sdk/wal"
)

// Server tells a stage which PostgreSQL server it works for.
type Server struct {
	// Name is the server's name in the configuration.
	Name string
	// Directory is the server's directory on the backup host; a stage with a
	// local store uses it when its settings name no other.
	Directory string
	// Elsewhere are directories that stand for some in Directory, by their names
	// there: what a store there calls "wals/…" belongs below Elsewhere["wals"].
	Elsewhere map[string]string
	// Conninfo is the libpq connection string of the management connection.
	Conninfo Secret
	// StreamingConninfo is the libpq connection string for the replication
	// protocol.
	StreamingConninfo Secret
}

// Emitter takes the objects of a source.
type Emitter interface {
	// Emit hands one object to the pipeline.
	//
	// r is read to EOF; nil stands for no bytes. When Emit returns nil the
	// pipeline has taken every byte, and r and its buffers are the caller's
	// again; the object is durable once the source's own method has returned and
	// the SDK has collected every receipt. An error from r, or bytes beyond or
	// short of a stated Size, fails the object and the pipeline. Emit may be
	// called from several goroutines; it blocks while all lanes are taken.
	Emit(ctx context.Context, o Object, r io.Reader) error
	// Expect announces how many bytes the source will emit in all, an estimate
	// for progress and ETA. It may be called again with a better one.
	Expect(bytes int64)
}

// BackupLayout is the form in which a base backup is stored.
type BackupLayout string

const (
	// LayoutPlain stores every file of the data directory as an object.
	LayoutPlain BackupLayout = "plain"
	// LayoutTar stores one tar archive for the data directory and one for each
	// tablespace.
	LayoutTar BackupLayout = "tar"
)

// BackupRequest asks a source for a base backup.
type BackupRequest struct {
	// Prefix is put before the name of every object: "base/<backup id>/". The
	// data directory goes to Prefix+"data/…" (plain) or Prefix+"data/base.tar",
	// a tablespace to Prefix+"<oid>/…" or Prefix+"data/<oid>.tar", the manifest
	// to Prefix+"data/backup_manifest".
	Prefix string
	// Label is the backup's label, as in pg_backup_start.
	Label string
	// Layout is the form wanted.
	Layout BackupLayout
	// Jobs is how many objects may be emitted at once.
	Jobs int
	// ArchiveSize splits the archives of LayoutTar: before a file with which one
	// would hold more uncompressed bytes the source begins another, so that they
	// can be restored side by side. No file is split. The first archives keep
	// their names, the others are Prefix+"data/base_0001.tar", "base_0002.tar" and
	// Prefix+"data/<oid>_0001.tar", up to four digits and more where four are not
	// enough; each is an archive by itself. global/pg_control is in the last one
	// of the data directory. 0 never splits, and what the server itself compresses is
	// not split either.
	ArchiveSize int64
	// Landing, if there is one, is where to put the files, in LayoutPlain, rather
	// than emit them. Only a source that was served with serve.LandingSource gets
	// one.
	Landing *Landing
}

// Tablespace is a tablespace outside the data directory.
type Tablespace struct {
	// OID is the tablespace's object identifier.
	OID uint32
	// Location is its directory on the PostgreSQL host.
	Location string
}

// BackupResult is what a source knows once a base backup is complete.
type BackupResult struct {
	// SystemID is the cluster's system identifier.
	SystemID string
	// Timeline is the timeline on which the backup began.
	Timeline wal.Timeline
	// BeginLSN and EndLSN bound the WAL that makes the backup consistent.
	BeginLSN, EndLSN wal.LSN
	// BeginTime and EndTime are the server's times of start and stop.
	BeginTime, EndTime time.Time
	// Label is the content of the backup_label file.
	Label string
	// Tablespaces lists the tablespaces that the backup holds.
	Tablespaces []Tablespace
	// Codec is the compression that the server applied ("gzip", "lz4", "zstd"),
	// empty for none.
	Codec string
}

// BackupSource takes base backups of a PostgreSQL server.
type BackupSource interface {
	// Backup emits a base backup.
	//
	// It returns when every object was handed to emit and the server ended the
	// backup. It is not retried. When ctx ends it stops at once and leaves
	// nothing running on the server.
	Backup(ctx context.Context, req BackupRequest, emit Emitter) (BackupResult, error)
}

// ReceiveRequest asks a source to receive WAL.
type ReceiveRequest struct {
	// Directory is where segments are kept: finished ones under their name, the
	// one being received with the suffix ".partial".
	Directory string
	// SegmentSize is the server's WAL segment size.
	SegmentSize wal.SegmentSize
	// Synchronous asks for a flush and a report after every message, so that
	// the receiver can be a synchronous standby.
	Synchronous bool
}

// WALProgress is where a WAL source stands.
type WALProgress struct {
	// Timeline is the timeline being received.
	Timeline wal.Timeline
	// Flushed is the position up to which WAL is durable in the directory.
	Flushed wal.LSN
	// Finished is the name of a segment or history file that was just
	// completed; empty otherwise.
	Finished string
}

// WALSource receives WAL as it is generated.
type WALSource interface {
	// Receive streams WAL into the request's directory until ctx ends, which is
	// no error, or something fails. A position is reported to PostgreSQL, and to
	// report, only after it is durable. Calling it again goes on where the files
	// in the directory end.
	Receive(ctx context.Context, req ReceiveRequest, report func(WALProgress)) error
}
