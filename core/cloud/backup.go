package cloud

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/datadir"
	"github.com/barman-go/barman/sdk/replication"
	"github.com/barman-go/barman/sdk/wal"
)

// BackupRequest asks for a base backup.
type BackupRequest struct {
	// Conninfo leads to the server. What it leaves open is for the variables of
	// libpq to say.
	Conninfo sdk.Secret
	// Name may stand for the backup's ID later; empty for none.
	Name string
	// Immediate asks for a checkpoint at once.
	Immediate bool
	// Jobs is how many archives are on their way at once; at least 1.
	Jobs int
	// ArchiveSize is the size in bytes at which archives are split, before they are
	// compressed; 0 for DefaultArchiveSize.
	ArchiveSize int64
	Compression Compression
	// Progress is told how far it is; may be nil.
	Progress func(pipeline.Progress)
	Logger   hclog.Logger
}

// DefaultArchiveSize makes archives of which a restore has enough to fetch and
// unpack several side by side.
const DefaultArchiveSize = 1 << 30

// applicationName is how PostgreSQL shows the connections.
const applicationName = "barman_cloud_backup"

// serverName is what backup.info calls the server, whatever its name in the
// bucket: Barman in Python, too.
const serverName = "cloud"

// BackupFailedError is the failure of a backup that had begun. The bucket lists it
// as FAILED, if that could be noted.
type BackupFailedError struct {
	ID  catalogue.BackupID
	Err error
}

// Error names the backup.
func (e *BackupFailedError) Error() string { return fmt.Sprintf("backup %s: %v", e.ID, e.Err) }

// Unwrap returns the reason.
func (e *BackupFailedError) Unwrap() error { return e.Err }

// Backup takes a base backup straight into the bucket: over the replication
// protocol, or, where the server does not let that happen, from its data directory,
// if that is on this host. Nothing is kept on this host's disks.
//
// The backup is listed when backup.info is there, which comes last. A process that
// was killed leaves objects that nobody takes for a backup; one of the next backups
// removes them.
//
// Errors: *BackupFailedError; before the backup has begun those of the server's
// connections and of the sink, and Invalid for a name that is not usable.
func (s *Store) Backup(ctx context.Context, request BackupRequest) (*catalogue.Backup, error) {
	if request.Name != "" {
		if err := catalogue.ValidBackupName(request.Name); err != nil {
			return nil, err
		}
	}
	conn, err := postgres.Connect(ctx, request.Conninfo.Reveal(), applicationName)
	if err != nil {
		return nil, err
	}
	facts, err := conn.Facts(ctx)
	if err == nil {
		err = facts.Supported()
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return nil, err
	}
	source, err := request.source(ctx, facts)
	if err != nil {
		return nil, err
	}
	r := &backupRun{store: s, request: request, facts: facts, logger: request.Logger, line: pipeline.Line{
		Server: s.server, Source: source, Transforms: request.Compression.archives(), Sinks: []pipeline.Stage{s.sink}, Lanes: max(1, request.Jobs),
	}}
	r.line.Server.Conninfo, r.line.Server.StreamingConninfo = request.Conninfo, replication.ForStreaming(request.Conninfo)
	return r.take(ctx)
}

// archives are the stages that compress archives: Barman in Python reads no further
// than to the end of the first stream in each.
func (c Compression) archives() []pipeline.Stage {
	stages := c.transforms()
	for i := range stages {
		if c.Codec == codec.Gzip || c.Codec == codec.Bzip2 {
			stages[i].Settings = pipeline.Values{"codec": c.Codec, "level": string(c.Level), "single_stream": true}
		}
	}
	return stages
}

// source chooses how the server is read.
func (r BackupRequest) source(ctx context.Context, facts postgres.Facts) (pipeline.Stage, error) {
	checkpoint := "spread"
	if r.Immediate {
		checkpoint = "fast"
	}
	settings := pipeline.Values{"checkpoint": checkpoint, "application_name": applicationName}
	refused := r.streams(ctx, facts)
	if refused == nil {
		r.Logger.Info("the server is read over the replication protocol")
		return pipeline.Stage{Kind: "source", Name: "pgbasebackup", Settings: settings}, nil
	}
	if ctx.Err() != nil {
		return pipeline.Stage{}, refused
	}
	if facts.DataDirectory == "" {
		return pipeline.Stage{}, sdk.Errorf(sdk.KindOf(refused), "the replication protocol cannot be used: %w; and the server does not tell its data directory to this user: "+
			"GRANT pg_read_all_settings", refused)
	}
	if _, err := os.Stat(filepath.Join(facts.DataDirectory, datadir.Control)); err != nil {
		return pipeline.Stage{}, sdk.Errorf(sdk.KindOf(refused), "the replication protocol cannot be used: %w; and the server's data directory cannot be read on this host: %w", refused, err)
	}
	r.Logger.Warn("the server's data directory is read on this host, because the replication protocol cannot be used", "directory", facts.DataDirectory, "reason", refused)
	return pipeline.Stage{Kind: "source", Name: "pgdata", Settings: settings}, nil
}

// streams is nil when the server lets backups be taken over the replication
// protocol.
func (r BackupRequest) streams(ctx context.Context, facts postgres.Facts) error {
	conn, err := postgres.ConnectReplication(ctx, r.Conninfo.Reveal(), applicationName)
	if err != nil {
		return err
	}
	system, err := conn.IdentifySystem(ctx)
	if err == nil && system.ID != facts.SystemID {
		err = sdk.Errorf(sdk.Invalid, "it leads to another cluster, whose system identifier is %s and not %s", system.ID, facts.SystemID)
	}
	return errors.Join(err, conn.Close())
}

// backupRun is one backup on its way.
type backupRun struct {
	store   *Store
	request BackupRequest
	facts   postgres.Facts
	line    pipeline.Line
	logger  hclog.Logger

	backup   *catalogue.Backup
	begun    time.Time
	receipts *receipts
}

func (r *backupRun) take(ctx context.Context) (*catalogue.Backup, error) {
	copying, err := r.store.engine.OpenBackup(ctx, r.line)
	if err != nil {
		return nil, err
	}
	defer copying.Close()
	r.begun = time.Now()
	r.receipts = newReceipts(r.line)
	id, err := r.store.claim(ctx, r.begun, r.receipts)
	if err != nil {
		return nil, err
	}
	r.backup = &catalogue.Backup{ID: id, Server: serverName, Name: r.request.Name, BeginTime: r.begun}
	backup.Describe(r.backup, r.facts)
	if err := r.store.sweep(ctx, id); err != nil {
		r.logger.Warn("what killed backups have left could not be removed", "error", err)
	}
	if err := r.copy(ctx, copying); err != nil {
		return r.backup, r.fail(ctx, err)
	}
	return r.backup, nil
}

// copy brings the backup into the bucket and makes it a good one.
func (r *backupRun) copy(ctx context.Context, copying *pipeline.Backup) error {
	id := r.backup.ID
	size := r.request.ArchiveSize
	if size == 0 {
		size = DefaultArchiveSize
	}
	result, err := copying.Run(ctx, sdk.BackupRequest{
		Prefix: catalogue.BackupPrefix(id), Label: "Barman backup cloud " + string(id), Layout: sdk.LayoutTar, ArchiveSize: size,
	}, pipeline.Observer{Progress: r.request.Progress, Receipts: r.receipts.keep})
	if err != nil {
		return err
	}
	if err := backup.Doubt(r.line.Source.Name, result, r.facts); err != nil {
		return err
	}
	copied := time.Since(r.begun)
	backup.Conclude(r.backup, result)
	if err := r.settle(ctx); err != nil {
		return err
	}
	r.backup.CopyStats = catalogue.Dict{{Key: "copy_time", Value: copied.Seconds()}, {Key: "total_time", Value: time.Since(r.begun).Seconds()}}
	r.backup.Size, r.backup.DeduplicatedSize = &r.receipts.stored, &r.receipts.stored
	r.backup.State = catalogue.StateDone
	if err := r.store.put(ctx, catalogue.ReceiptsObject(id), r.receipts.text()); err != nil {
		return err
	}
	return r.note(ctx)
}

// note writes backup.info.
func (r *backupRun) note(ctx context.Context) error {
	content, err := catalogue.FormatInfo(r.backup)
	if err != nil {
		return err
	}
	return r.store.put(ctx, catalogue.InfoObject(r.backup.ID), content)
}

// settle marks the backup in the server's WAL, and waits until the server has
// archived all WAL that the backup needs: the end of the backup has completed the
// last segment. Where a standby's WAL is archived, only its primary knows.
func (r *backupRun) settle(ctx context.Context) error {
	if r.facts.InRecovery {
		return nil
	}
	err := r.ask(ctx, func(conn *postgres.Conn) error {
		_, err := conn.CreateRestorePoint(ctx, "barman_"+string(r.backup.ID))
		return err
	})
	if err != nil {
		r.logger.Info("there is no restore point for the backup", "error", err)
	}
	if r.facts.ArchiveMode != "on" && r.facts.ArchiveMode != "always" {
		return nil
	}
	return r.awaitWAL(ctx)
}

// ask makes a connection for one question. One that is held for hours is cut off by
// something in between.
func (r *backupRun) ask(ctx context.Context, question func(*postgres.Conn) error) error {
	conn, err := postgres.Connect(ctx, r.request.Conninfo.Reveal(), applicationName)
	if err != nil {
		return err
	}
	return errors.Join(question(conn), conn.Close())
}

const (
	// firstLook and lastLook are the pauses between looks at the archiver.
	firstLook = 50 * time.Millisecond
	lastLook  = 5 * time.Second
	// complainEvery is how often it is said that the archiver is waited for, as
	// PostgreSQL does itself.
	complainEvery = time.Minute
	// unanswered is how long the server may be away before nobody waits for its
	// archiver any more: the backup is complete without it.
	unanswered = 5 * time.Minute
)

func (r *backupRun) awaitWAL(ctx context.Context) error {
	pause, complained, answered := firstLook, time.Now(), time.Now()
	for {
		var archiver postgres.Archiver
		err := r.ask(ctx, func(conn *postgres.Conn) (err error) {
			archiver, err = conn.Archiver(ctx)
			return err
		})
		switch {
		case err == nil && reaches(archiver.LastArchived, r.backup.EndWAL):
			return nil
		case err == nil:
			answered = time.Now()
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Since(answered) > unanswered:
			r.logger.Warn("it is not known whether the server has archived the WAL of the backup", "needed", r.backup.EndWAL, "error", err)
			return nil
		}
		if time.Since(complained) >= complainEvery {
			complained = time.Now()
			r.logger.Warn("the backup waits until the server has archived its WAL: look at archive_command and the server's log",
				"needed", r.backup.EndWAL, "archived", archiver.LastArchived, "failed", archiver.LastFailed)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		pause = min(2*pause, lastLook)
	}
}

// reaches tells whether the newest WAL file that was archived is the last one
// needed, or follows it: the archiver takes them in order.
func reaches(archived, needed string) bool {
	name, err := wal.ParseName(archived)
	if err != nil || len(archived) < len(needed) {
		return false // none, or the history file of a timeline
	}
	return name.Kind != wal.KindHistory && archived[:len(needed)] >= needed
}

// cleanUp is how long may be taken to note that a backup failed.
const cleanUp = time.Minute

// fail notes that the backup failed, and removes its data. Whatever ended the
// backup must not keep that from being done.
func (r *backupRun) fail(ctx context.Context, cause error) error {
	failed := &BackupFailedError{r.backup.ID, cause}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	r.backup.Fail("uploading data", cause)
	r.backup.EndTime = time.Time{}
	// What follows the end is known no better.
	r.backup.EndLSN, r.backup.EndWAL, r.backup.EndOffset = 0, "", nil
	if err := r.note(ctx); err != nil {
		r.logger.Error("the backup could not be marked as FAILED in the bucket, which does not list it", "backup", r.backup.ID, "error", err)
		return failed
	}
	if err := r.store.discard(ctx, r.backup.ID); err != nil {
		r.logger.Warn("objects of a failed backup stay in the bucket; backup-delete removes them", "backup", r.backup.ID, "error", err)
	}
	return failed
}

// discard removes the data of a failed backup, and leaves what describes it.
func (s *Store) discard(ctx context.Context, id catalogue.BackupID) error {
	return s.deleteIf(ctx, catalogue.BackupPrefix(id), func(object sdk.Object) bool {
		return object.Name != catalogue.InfoObject(id) && !strings.HasPrefix(object.Name, catalogue.BackupPrefix(id)+"annotations/")
	})
}

// deleteIf deletes the objects below a prefix that are to be deleted.
func (s *Store) deleteIf(ctx context.Context, prefix string, unwanted func(sdk.Object) bool) error {
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return err
	}
	defer sink.Close()
	var names []string
	for object, err := range sink.List(ctx, prefix) {
		if err != nil {
			return err
		}
		if unwanted(object) {
			names = append(names, object.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return sink.Delete(ctx, names)
}
