package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hooks"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/sinks"
	"github.com/barman-go/barman/core/version"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
)

// run is one backup on its way.
type run struct {
	server   *server.Server
	options  Options
	backup   *catalogue.Backup
	facts    postgres.Facts
	line     pipeline.Line
	copying  *pipeline.Backup
	hooks    *hooks.Hooks
	begun    time.Time
	doing    string // what fails if it fails now, as backup.info says it
	lost     []sinks.Lost
	archives bool   // what is stored are tar files
	suffix   string // of the stored tar files
	stored   int64
	unshared *int64 // bytes of files not shared with another backup; nil if all are
}

// Run takes a base backup and then archives the WAL that has come. It returns the
// backup as the catalogue has it, also beside an error once it was registered; it
// is DONE or WAITING_FOR_WALS then, or FAILED. Errors: Busy while another backup
// of the server runs; Unavailable when it was waited for WAL in vain.
func Run(ctx context.Context, s *server.Server, options Options) (*catalogue.Backup, error) {
	if options.Name != "" {
		if err := catalogue.ValidBackupName(options.Name); err != nil {
			return nil, err
		}
	}
	facts, err := readFacts(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := s.Catalogue.CreateDirectories(); err != nil {
		return nil, err
	}
	r := newRun(s, options, facts)
	defer r.hooks.Close()
	// A setting that a plugin refuses is no failed backup: there is no backup yet.
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	defer r.stop()
	lock, err := s.Catalogue.Lock(catalogue.LockBackup)
	if err != nil {
		return nil, err
	}
	err = r.locked(ctx)
	if err = errors.Join(err, lock.Release()); err != nil || options.Wait {
		return r.backup, err
	}
	return settle(ctx, s, r.backup.ID, options.File)
}

// newRun prepares a backup, whose hooks are to be closed.
func newRun(s *server.Server, options Options, facts postgres.Facts) *run {
	return &run{server: s, options: options, hooks: hooks.Of(s, hooks.Backup), facts: facts, begun: time.Now(), doing: "starting backup"}
}

// open starts the plugins.
func (r *run) open(ctx context.Context) error {
	r.line = r.server.BackupLine()
	if r.options.Jobs > 0 {
		r.line.Lanes = r.options.Jobs
	}
	source := r.line.Source
	r.line.Source.Settings = chosen{Settings: source.Settings, stage: source, choices: r.options.Source, ignored: func(option string) {
		r.server.Logger.Warn(option+" has no effect: the backup source has no such setting", "source", source.Name)
	}}
	copying, err := r.server.Engine.OpenBackup(ctx, r.line)
	if err != nil {
		return err
	}
	r.copying = copying
	if anyBucket, _ := copying.Buckets(); anyBucket && r.layout(r.line, true) != sdk.LayoutTar {
		r.stop()
		return sdk.Errorf(sdk.Invalid, "server %q: a bucket takes backups in archives only, and layout is %q: leave it out, or set it to %q",
			r.server.Name(), r.server.Config.Backup.Layout, sdk.LayoutTar)
	}
	return nil
}

// stop stops them, if they run.
func (r *run) stop() {
	if r.copying != nil {
		r.copying.Close()
		r.copying = nil
	}
}

func readFacts(ctx context.Context, s *server.Server) (postgres.Facts, error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return postgres.Facts{}, err
	}
	facts, err := conn.Facts(ctx)
	if err == nil {
		err = facts.Supported()
	}
	return facts, errors.Join(err, conn.Close())
}

// locked is what happens under the server's backup lock.
func (r *run) locked(ctx context.Context) error {
	if err := reap(r.server); err != nil {
		// An old backup that cannot be cleared away is no reason to go without a new one.
		r.server.Logger.Error("an unfinished backup could not be cleared away", "error", err)
	}
	identity := catalogue.Identity{SystemID: r.facts.SystemID, Version: fmt.Sprint(r.facts.Major())}
	if err := r.server.Catalogue.WriteIdentity(identity); err != nil {
		return err
	}
	if err := r.warnOfName(); err != nil {
		return err
	}
	var err error
	if r.backup, err = r.server.Catalogue.Create(r.begun); err != nil {
		return err
	}
	anyBucket, _ := r.copying.Buckets()
	r.backup.Mode = r.mode(r.layout(r.line, anyBucket))
	r.reached(Registered)
	r.server.Logger.Info("backup begins", "backup", r.backup.ID)
	if err := r.take(ctx); err != nil {
		return r.fail(ctx, err)
	}
	r.server.Logger.Info("backup is stored", "backup", r.backup.ID, "size", catalogue.PrettySize(*r.backup.Size))
	r.conclude(ctx)
	r.reached(Stored)
	return r.wait(ctx)
}

func (r *run) reached(s Step) {
	if r.options.Reached != nil {
		r.options.Reached(s, r.backup)
	}
}

// warnOfName tells that a name means more than one backup.
func (r *run) warnOfName() error {
	if r.options.Name == "" {
		return nil
	}
	for entry, err := range r.server.Catalogue.Entries() {
		if err != nil {
			return err
		}
		if entry.Backup != nil && entry.Backup.Name == r.options.Name {
			r.server.Logger.Warn("another backup has the same name: use their IDs", "name", r.options.Name, "backup", entry.ID)
		}
	}
	return nil
}

// wait waits for the backup's WAL, if that was asked for, and tells the hooks.
func (r *run) wait(ctx context.Context) error {
	if !r.options.Wait {
		r.after(ctx, nil)
		return nil
	}
	r.reached(Waiting)
	b, err := wait(ctx, r.server, r.backup.ID, r.options)
	if b != nil {
		r.backup = b
	}
	if r.backup.State == catalogue.StateFailed {
		r.after(ctx, err)
	} else {
		r.after(ctx, nil) // it is stored, whatever became of its WAL
	}
	return err
}

// take copies the data and records what is known of the backup.
func (r *run) take(ctx context.Context) error {
	if err := r.before(ctx); err != nil {
		return err
	}
	r.describe()
	r.backup.State = catalogue.StateStarted
	if err := r.server.Catalogue.Save(r.backup); err != nil {
		return err
	}
	if err := sinks.Begin(r.server, r.backup.ID); err != nil {
		return err
	}
	r.doing = "copying files"
	r.reached(Copying)
	begun := time.Now()
	result, err := r.copyWithRetries(ctx)
	if err != nil {
		return err
	}
	r.finish(result, time.Since(begun))
	if err := r.linkTablespaces(); err != nil {
		return err
	}
	r.reached(Copied)
	if err := r.server.Catalogue.Save(r.backup); err != nil {
		return err
	}
	r.lost, err = sinks.Complete(ctx, r.server, r.backup.ID, r.lost)
	return err
}

// describe fills in what is known before the copy begins.
func (r *run) describe() {
	r.backup.Server, r.backup.Name, r.backup.BeginTime = r.server.Name(), r.options.Name, r.begun
	Describe(r.backup, r.facts)
}

// copy runs the pipeline. The receipts are durable when it returns.
func (r *run) copy(ctx context.Context) (sdk.BackupResult, error) {
	anyBucket, allBuckets := r.copying.Buckets()
	layout := r.layout(r.line, anyBucket)
	r.archives = layout == sdk.LayoutTar
	request := sdk.BackupRequest{
		Prefix:      prefix(r.backup.ID),
		Label:       fmt.Sprintf("Barman backup %s %s", r.server.Name(), r.backup.ID),
		Layout:      layout,
		ArchiveSize: r.archiveSize(layout, allBuckets),
	}
	if layout == sdk.LayoutPlain && r.copying.Lands() {
		return r.land(ctx, request)
	}
	receipts, err := r.server.Catalogue.NewReceipts(r.backup.ID, header(r.line))
	if err != nil {
		return sdk.BackupResult{}, err
	}
	result, err := r.copying.Run(ctx, request, pipeline.Observer{
		Progress: r.options.Progress,
		Receipts: func(stored []sdk.Receipt) error { return r.keep(receipts, stored) },
		Lost: func(l pipeline.Lost) {
			lost := sinks.Lost{Sink: r.server.BackupSinks()[l.Sink].Label, Reason: l.Reason}
			r.lost = append(r.lost, lost)
			r.server.Logger.Warn("an optional sink failed, the backup goes on without it", "backup", r.backup.ID, "sink", lost.Sink, "reason", l.Reason)
		},
	})
	if err == nil {
		err = Doubt(r.line.Source.Name, result, r.facts)
	}
	if err != nil {
		return result, errors.Join(err, receipts.Abort())
	}
	return result, receipts.Commit()
}

// layout is what the configuration says, else plain files; what transforms
// make of them has to be tar files, which any tool can unpack, and so has what goes
// into a bucket.
func (r *run) layout(line pipeline.Line, buckets bool) sdk.BackupLayout {
	switch {
	case r.server.Config.Backup.Layout != "":
		return sdk.BackupLayout(r.server.Config.Backup.Layout)
	case len(line.Transforms) > 0, buckets:
		return sdk.LayoutTar
	}
	return sdk.LayoutPlain
}

// bucketArchiveSize is where archives are split that go to buckets alone: then they
// are fetched and unpacked side by side.
const bucketArchiveSize = 1 << 30

// archiveSize is what the configuration says, else none, but in buckets alone.
func (r *run) archiveSize(layout sdk.BackupLayout, allBuckets bool) int64 {
	configured := r.server.Config.Backup.ArchiveSize
	switch {
	case layout != sdk.LayoutTar:
		return 0
	case configured != nil:
		return *configured
	case allBuckets:
		return bucketArchiveSize
	}
	return 0
}

// keep notes receipts of one sink, without which there is no backup: all get the
// same.
func (r *run) keep(w *catalogue.ReceiptsWriter, receipts []sdk.Receipt) error {
	required := slices.IndexFunc(r.line.Sinks, func(sink pipeline.Stage) bool { return !sink.Optional })
	for _, receipt := range receipts {
		if receipt.Output != required {
			continue
		}
		r.stored += receipt.Size
		if path.Base(receipt.SourceName) == "base.tar" { // whose suffix all others have
			r.suffix = strings.TrimPrefix(receipt.Name, receipt.SourceName)
		}
		err := w.Add(catalogue.ObjectReceipt{
			Name: receipt.Name, Size: receipt.SourceSize, CRC32C: catalogue.Checksum(receipt.SourceCRC32C),
			StoredSize: receipt.Size, StoredCRC32C: catalogue.Checksum(receipt.CRC32C),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// finish fills in what the source and the sinks reported.
func (r *run) finish(result sdk.BackupResult, copying time.Duration) {
	b := r.backup
	Conclude(b, result)
	b.Compression = compression(r.suffix, result.Codec)
	if b.Compression == "" && r.archives {
		b.Compression = catalogue.Uncompressed
	}
	b.CopyStats = catalogue.Dict{{Key: "copy_time", Value: copying.Seconds()}, {Key: "total_time", Value: time.Since(r.begun).Seconds()}}
	size := r.stored
	b.Size, b.DeduplicatedSize = &size, &size
	if r.unshared != nil {
		b.DeduplicatedSize = r.unshared
	}
	b.State = catalogue.StateWaitingForWALs
}

// compression is that of the tar files, by the name that backup.info has for it:
// what the transforms made, or else the server.
func compression(suffix, server string) string { return cmp.Or(codec.OfSuffix(suffix), server) }

func header(line pipeline.Line) catalogue.ReceiptsHeader {
	h := catalogue.ReceiptsHeader{Program: "barman " + version.Version}
	for _, s := range append(append([]pipeline.Stage{line.Source}, line.Transforms...), line.Sinks...) {
		h.Chain = append(h.Chain, catalogue.ChainStage{Kind: s.Kind, Name: s.Name})
	}
	return h
}

// prefix is what the names of a backup's objects begin with.
func prefix(id catalogue.BackupID) string { return "base/" + string(id) + "/" }
