package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hooks"
	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/remote"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/stored"
	"github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
)

// Request is what to recover, and where to.
type Request struct {
	// Backup is where recovery begins.
	Backup *catalogue.Backup
	// Destination is the data directory to make; it must not exist, or be empty.
	Destination string
	// Target is where recovery stops; the zero Target is the end of the archive.
	Target Target
	// Standby makes a standby of the restored directory.
	Standby bool
	// GetWAL lets the recovered server fetch its WAL from Barman; nil copies what
	// it needs beforehand.
	GetWAL *GetWAL
	// Tablespaces are new locations by tablespace name.
	Tablespaces map[string]string
	// StagingWAL is the directory, outside of all others, that WAL is copied to where
	// it does not go into the data directory's own; empty for barman_wal in the data
	// directory. It must not exist, or be empty.
	StagingWAL string
	// RecoveryFile is the name of the file in the data directory that the settings of
	// the recovery are written to, since PostgreSQL 12; empty for
	// postgresql.auto.conf.
	RecoveryFile string
	// Remote restores on another host, to which this SSH command leads, such as
	// "ssh postgres@pg"; all directories are on that host then. Empty restores on
	// this one.
	Remote string
	// NetworkCompression compresses what goes to the other host.
	NetworkCompression bool
	// StagingPath is the directory on this host in which files wait that cannot go
	// to the other host as they are read; empty for the system's.
	StagingPath string
	// Delta restores onto the files of a cluster that does not run: what is the same
	// stays, the rest is replaced or removed. Only backups in plain files can be.
	Delta bool
	// Retries is how often to try again when the copy failed, after RetryPause each
	// time.
	Retries    int
	RetryPause time.Duration
	// Jobs is how many objects are under way at once; 0 leaves it to the
	// configuration.
	Jobs int
	// BandwidthLimit is how many bytes of data and WAL are written in a second at
	// most; 0 is without limit.
	BandwidthLimit int64
	// Begin is called when everything has been checked, just before the first byte is
	// copied; may be nil.
	Begin func()
	// Progress is told how many bytes have arrived; may be nil.
	Progress func(pipeline.Progress)
}

// Report tells what was done.
type Report struct {
	Backup      catalogue.BackupID
	Destination string
	// Tablespaces are the locations of the tablespaces, by name.
	Tablespaces map[string]string
	// WALDirectory is where WAL was copied to; empty when the recovered server
	// fetches it from Barman.
	WALDirectory string
	// WALFiles is how many files are in WALDirectory.
	WALFiles int
	// RestoreCommand is the restore_command of the recovered server; empty for a
	// standby that finds its WAL in place.
	RestoreCommand string
	// Continued tells that an interrupted recovery was continued; Kept is what it had
	// left that could stay, or what there was before a delta restore.
	Continued bool
	Kept      Kept
	// Settings are what was found in the restored configuration files.
	Settings Settings
	// Warnings are worth knowing before the server is started.
	Warnings []string
	Elapsed  time.Duration
}

// run is one recovery on its way.
type run struct {
	server  *server.Server
	request Request
	report  Report
	hooks   *hooks.Hooks
	line    pipeline.Line
	host    hostfs.Host // where it is restored to
	owner   hostfs.Owner
	mounts  map[string]string // by the name below the data directory
	reuse   bool              // there are files to go on with
	// sizes are those of files in the backup before transforms, by the names that they
	// have on their way; nil when nobody knows.
	sizes func(name string) (int64, bool)
}

// Run restores a backup and prepares it to recover to the target. It changes
// nothing outside the destination and the tablespaces' directories.
func Run(ctx context.Context, s *server.Server, request Request) (Report, error) {
	begun := time.Now()
	if !filepath.IsAbs(request.Destination) {
		return Report{}, sdk.Errorf(sdk.Invalid, "destination %q: give an absolute path", request.Destination)
	}
	if err := refuseUnprintable(request); err != nil {
		return Report{}, err
	}
	host, disconnect, err := reachHost(ctx, request.Remote)
	if err != nil {
		return Report{}, err
	}
	defer disconnect()
	if request.Destination, err = host.Resolve(request.Destination); err != nil {
		return Report{}, inDestination(err)
	}
	r := &run{
		server: s, request: request, hooks: hooks.Of(s, hooks.Recovery), line: s.BackupLine(), host: host, mounts: map[string]string{},
		report: Report{Backup: request.Backup.ID, Destination: request.Destination, Tablespaces: map[string]string{}},
	}
	if request.Jobs > 0 {
		r.line.Lanes = request.Jobs
	}
	release, err := r.protect()
	if err != nil {
		return r.report, err
	}
	defer release()
	if err := r.validate(ctx); err != nil {
		return r.report, err
	}
	defer r.hooks.Close()
	values, err := r.aboutRecovery()
	if err != nil {
		return r.report, err
	}
	if err := r.hooks.Before(ctx, values); err != nil {
		return r.report, err
	}
	err = r.recover(ctx)
	r.hooks.After(ctx, values, err)
	if err != nil {
		return r.report, fmt.Errorf("recover backup %s of server %s to %s: %w", request.Backup.ID, s.Name(), request.Destination, err)
	}
	r.report.Elapsed = time.Since(begun)
	return r.report, nil
}

// reachHost is the host that is restored to, and what ends the connection.
func reachHost(ctx context.Context, command string) (host hostfs.Host, disconnect func(), err error) {
	if command == "" {
		return hostfs.Local{}, func() {}, nil
	}
	remote, err := hostfs.Connect(ctx, remote.Shell{Command: command})
	if err != nil {
		return nil, nil, err
	}
	return remote, func() { _ = remote.Close() }, nil // whatever became of it has been told
}

// validate refuses, before anything is written, what can't succeed.
func (r *run) validate(ctx context.Context) error {
	b := r.request.Backup
	if !b.State.CopyDone() {
		return sdk.Errorf(sdk.Invalid, "backup %s is %s: only a complete backup can be recovered", b.ID, b.State)
	}
	if err := supported(b); err != nil {
		return err
	}
	if err := r.request.Target.validate(); err != nil {
		return err
	}
	if err := r.request.Target.suits(b); err != nil {
		return err
	}
	if r.request.GetWAL != nil {
		if err := r.request.GetWAL.validate(); err != nil {
			return err
		}
		if r.host.Remote() != "" && r.request.GetWAL.Host == "" {
			return sdk.Errorf(sdk.Invalid, "a server on another host fetches WAL over SSH: name this host, as that one knows it")
		}
	}
	if file := r.request.RecoveryFile; file != "" && (filepath.Base(file) != file || file == "." || file == ".." || strings.ContainsFunc(file, unprintable)) {
		return sdk.Errorf(sdk.Invalid, "recovery configuration file %q: give the name of a file in the data directory, without a path", file)
	}
	if err := r.placeTablespaces(); err != nil {
		return err
	}
	return r.leadsThere(ctx)
}

func unprintable(r rune) bool { return r < ' ' || r == 0x7f }

// supported refuses backups of the forms that this program cannot read.
func supported(b *catalogue.Backup) error {
	switch {
	case b.Type() == catalogue.TypeSnapshot:
		return sdk.Errorf(sdk.Invalid, "backup %s is a snapshot of volumes, and cannot be recovered by this version of barman: use Barman 3.4 or later in Python", b.ID)
	case b.ParentID != "":
		return sdk.Errorf(sdk.Invalid, "backup %s is incremental (it builds on %s), and cannot be recovered by this version of barman: use Barman 3.11 or later in Python, or recover a full backup", b.ID, b.ParentID)
	case b.Encryption != "" && b.Encryption != "none":
		return sdk.Errorf(sdk.Invalid, "backup %s is encrypted with %s, and cannot be recovered by this version of barman: use Barman 3.14 or later in Python", b.ID, b.Encryption)
	}
	return nil
}

// leadsThere refuses a target that the backup does not lead to, and names what
// does.
func (r *run) leadsThere(ctx context.Context) error {
	b, t := r.request.Backup, r.request.Target
	a, err := survey(ctx, r.server, b.SegmentSize)
	if err != nil {
		return err
	}
	j, err := a.judge(t, b, r.request.Standby)
	if err != nil {
		return err
	}
	for _, warning := range j.warnings {
		r.warn("%s", warning)
	}
	if j.obstacle != nil {
		return a.refusal(t, b, j, r.request.Standby)
	}
	return nil
}

// recover does the work between the hooks.
func (r *run) recover(ctx context.Context) error {
	begun := time.Now()
	var form stored.Form
	var err error
	r.line, form, err = stored.Locate(ctx, r.server, r.line, r.request.Backup)
	if err != nil {
		return err
	}
	if r.request.Delta && form.Tar {
		if occupied(r.destinations()) {
			return sdk.Errorf(sdk.Invalid, "a delta restore needs a backup in plain files, and backup %s is stored in tar files: recover it into an empty directory", r.request.Backup.ID)
		}
		r.request.Delta = false
	}
	if r.owner, err = r.host.Owner(r.request.Destination); err != nil {
		return inDestination(err)
	}
	e, err := r.errand()
	if err != nil {
		return err
	}
	all := r.destinations()
	created := missing(all)
	for _, d := range all {
		held, err := d.hold()
		if err != nil {
			return err
		}
		defer func() { _ = held.Close() }() // nothing was written to it
	}
	if r.reuse, err = prepareAll(all, e); err != nil {
		for _, path := range created {
			r.host.RemoveEmpty(path)
		}
		return err
	}
	r.report.Continued = r.reuse
	if r.request.Begin != nil {
		r.request.Begin()
	}
	r.archive(ctx)
	if err := r.restorePersistently(ctx, form); err != nil {
		if sdk.KindOf(err) == sdk.Corrupt {
			err = errors.Join(err, disown(all, e))
		}
		return err
	}
	if r.reuse && r.host.Remote() == "" { // of another host it is known already
		if r.report.Kept, err = kept(ctx, all, begun); err != nil {
			return err
		}
	}
	if err := r.configure(ctx); err != nil {
		return err
	}
	for _, d := range all {
		if err := r.host.GiveTo(d.path, r.owner); err != nil {
			return err
		}
	}
	if r.reuse || r.host.Remote() != "" { // where nobody else makes it durable
		if err := syncAll(all); err != nil {
			return err
		}
	}
	return complete(all, e)
}

// restorePersistently restores the data, and tries again if that is wanted and of
// any use: what has arrived stays.
func (r *run) restorePersistently(ctx context.Context, form stored.Form) error {
	for attempt := 0; ; attempt++ {
		err := r.host.Renew(ctx)
		if err == nil {
			err = r.tidyUp()
		}
		if err == nil {
			err = r.restoreData(ctx, form)
		}
		if err == nil || attempt >= r.request.Retries || ctx.Err() != nil || !mayPass(err) {
			return err
		}
		r.warn("%v; trying again in %s", err, r.request.RetryPause)
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-time.After(r.request.RetryPause):
		}
		r.reuse = true
	}
}

// mayPass tells whether it may help to try again.
func mayPass(err error) bool {
	switch sdk.KindOf(err) {
	case sdk.Unavailable, sdk.Disconnected, sdk.Unknown:
		return true
	}
	return false
}

// tidyUp makes room for a backup's files among those that are there.
func (r *run) tidyUp() error {
	if !r.reuse {
		return nil
	}
	if err := r.tidy(); err != nil {
		return sdk.Errorf(cmp.Or(sdk.KindOf(err), sdk.Denied), "go on with what is in the destination: %w", err)
	}
	return nil
}

// configure makes the data directory one that recovers.
func (r *run) configure(ctx context.Context) error {
	configuration := settings{
		host: r.host, version: r.request.Backup.Version, directory: r.request.Destination, target: r.request.Target, standby: r.request.Standby, file: r.request.RecoveryFile,
	}
	if err := r.describe(); err != nil {
		return err
	}
	var err error
	if configuration.restore, configuration.end, err = r.provideWAL(ctx); err != nil {
		return err
	}
	r.report.RestoreCommand = configuration.restore
	if r.report.Settings, err = safeguard(r.host, r.request.Destination, r.request.RecoveryFile); err != nil {
		return err
	}
	return configuration.write()
}

// describe leaves word of the backup in what was restored of it. The manifest gets
// another name: it tells of the backup, not of what the server makes of it.
func (r *run) describe() error {
	b := r.request.Backup
	info, err := r.server.Catalogue.InfoPath(b.ID)
	if err != nil {
		return err
	}
	if err := r.copyInfo(info, filepath.Join(r.request.Destination, recoverInfo)); err != nil {
		return err
	}
	manifest := filepath.Join(r.request.Destination, stored.ManifestName)
	err = r.host.Rename(manifest, manifest+"."+string(b.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// copyInfo copies a file of this host to where it is restored to.
func (r *run) copyInfo(from, to string) error {
	if r.host.Remote() == "" {
		return r.host.CopyFile(from, to, 0o600)
	}
	content, err := hostfs.Local{}.ReadFile(from, maxSettingsFile)
	if err != nil {
		return err
	}
	return r.host.WriteFile(to, content, 0o600)
}

// errand is what the destinations are told.
func (r *run) errand() (errand, error) {
	mark, err := r.mark()
	if err != nil {
		return errand{}, err
	}
	e := errand{what: fmt.Sprintf("backup %s of server %s", r.request.Backup.ID, r.server.Name()), mark: mark}
	if r.request.Delta {
		e.onto = r.request.Backup
	}
	return e, nil
}

// archive takes in the WAL that has come since the last run. Without it
// recovery still goes as far as the archive and the receiver's files reach.
func (r *run) archive(ctx context.Context) {
	_, err := wal.Archive(ctx, r.server, wal.ArchiveOptions{})
	if err != nil && sdk.KindOf(err) != sdk.Busy && ctx.Err() == nil {
		r.warn("the WAL that has come since the last run could not be archived: %v", err)
	}
}

func (r *run) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.report.Warnings = append(r.report.Warnings, text)
	r.server.Logger.Warn(text)
}

// aboutRecovery is what the hooks are told.
func (r *run) aboutRecovery() (map[string]string, error) {
	t := r.request.Target
	given := hooks.RecoveryOptions{
		Destination: r.request.Destination, Tablespaces: r.request.Tablespaces, RemoteCommand: r.request.Remote,
		TargetXID: t.XID, TargetLSN: t.LSN, TargetName: t.Name, TargetAction: t.Action, TargetTimeline: t.Timeline,
		TargetImmediate: t.Immediate, Exclusive: t.Exclusive, StandbyMode: r.request.Standby,
	}
	if t.Time != nil {
		given.TargetTime = t.Time.Format("2006-01-02 15:04:05.999999-07:00")
	}
	return r.hooks.AboutRecovery(r.request.Backup, given)
}
