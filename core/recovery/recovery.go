package recovery

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hooks"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
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
	// Jobs is how many objects are under way at once; 0 leaves it to the
	// configuration.
	Jobs int
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
	owner   *syscall.Stat_t
	mounts  map[string]string // by the name below the data directory
}

// Run restores a backup and prepares it to recover to the target. It changes
// nothing outside the destination and the tablespaces' directories.
func Run(ctx context.Context, s *server.Server, request Request) (Report, error) {
	begun := time.Now()
	if !filepath.IsAbs(request.Destination) {
		return Report{}, sdk.Errorf(sdk.Invalid, "destination %q: give an absolute path", request.Destination)
	}
	request.Destination = resolved(request.Destination)
	r := &run{
		server: s, request: request, hooks: hooks.Of(s, hooks.Recovery), line: s.BackupLine(), mounts: map[string]string{},
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
	if err := r.validate(); err != nil {
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

// validate refuses, before anything is written, what can't succeed.
func (r *run) validate() error {
	b := r.request.Backup
	if !b.State.CopyDone() {
		return sdk.Errorf(sdk.Invalid, "backup %s is %s: only a complete backup can be recovered", b.ID, b.State)
	}
	if err := r.request.Target.validate(); err != nil {
		return err
	}
	if err := r.request.Target.reaches(r.server, b); err != nil {
		return err
	}
	if r.request.GetWAL != nil {
		if err := r.request.GetWAL.validate(); err != nil {
			return err
		}
	}
	if b.State == catalogue.StateWaitingForWALs {
		r.warn("backup %s still waits for WAL: without all segments up to %s the server does not become consistent", b.ID, b.EndWAL)
	}
	return r.placeTablespaces()
}

// placeTablespaces decides where each tablespace goes.
func (r *run) placeTablespaces() error {
	left := map[string]string{}
	for name, location := range r.request.Tablespaces {
		left[name] = location
	}
	taken := []string{r.request.Destination}
	for _, t := range r.request.Backup.Tablespaces {
		location := t.Location
		if moved, ok := left[t.Name]; ok {
			location = moved
			delete(left, t.Name)
		}
		if !filepath.IsAbs(location) {
			return sdk.Errorf(sdk.Invalid, "tablespace %s: %q is not an absolute path", t.Name, location)
		}
		location = resolved(location)
		for _, other := range taken {
			if within(location, other) || within(other, location) {
				return sdk.Errorf(sdk.Invalid, "tablespace %s: %s and %s overlap", t.Name, location, other)
			}
		}
		taken = append(taken, location)
		r.mounts[fmt.Sprintf("pg_tblspc/%d", t.OID)] = location
		r.report.Tablespaces[t.Name] = location
	}
	for name := range left {
		return sdk.Errorf(sdk.Invalid, "backup %s has no tablespace %q", r.request.Backup.ID, name)
	}
	return nil
}

// resolved is a path without symbolic links, as far as it exists: two names of
// one directory must not be taken for two.
func resolved(path string) string {
	path = filepath.Clean(path)
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(resolved(parent), filepath.Base(path))
	}
	return path
}

// within reports whether path is root or lies below it.
func within(path, root string) bool {
	return path == root || strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/")
}

// recover does the work between the hooks.
func (r *run) recover(ctx context.Context) error {
	var err error
	if r.owner, err = ownerOf(r.request.Destination); err != nil {
		return err
	}
	all := r.destinations()
	for _, d := range all {
		held, err := d.hold()
		if err != nil {
			return err
		}
		defer held.Close() // it was only read from: closing cannot lose anything
	}
	if err := prepareAll(all, r.what()); err != nil {
		return err
	}
	r.archive(ctx)
	if err := r.restoreData(ctx); err != nil {
		return err
	}
	configuration := settings{
		version: r.request.Backup.Version, directory: r.request.Destination, target: r.request.Target, standby: r.request.Standby,
	}
	if configuration.restore, configuration.end, err = r.provideWAL(ctx); err != nil {
		return err
	}
	r.report.RestoreCommand = configuration.restore
	if err := configuration.write(); err != nil {
		return err
	}
	for _, d := range all {
		if err := handOver(d.path, r.owner); err != nil {
			return err
		}
	}
	return complete(all, r.what())
}

// what is being restored, for people.
func (r *run) what() string {
	return fmt.Sprintf("backup %s of server %s", r.request.Backup.ID, r.server.Name())
}

// archive takes in the WAL that has come since the last run. Without it
// recovery still goes as far as the archive and the receiver's files reach.
func (r *run) archive(ctx context.Context) {
	_, err := wal.Archive(ctx, r.server, wal.ArchiveOptions{})
	if err != nil && sdk.KindOf(err) != sdk.Busy && ctx.Err() == nil {
		r.warn("the WAL that has come since the last run could not be archived: %v", err)
	}
}

// destinations are all directories that are written to, the data directory
// first.
func (r *run) destinations() []destination {
	all := []destination{{path: r.request.Destination}}
	for _, location := range r.mounts {
		all = append(all, destination{path: location})
	}
	return all
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
		Destination: r.request.Destination, Tablespaces: r.request.Tablespaces,
		TargetXID: t.XID, TargetLSN: t.LSN, TargetName: t.Name, TargetAction: t.Action, TargetTimeline: t.Timeline,
		TargetImmediate: t.Immediate, Exclusive: t.Exclusive, StandbyMode: r.request.Standby,
	}
	if t.Time != nil {
		given.TargetTime = t.Time.Format("2006-01-02 15:04:05.999999-07:00")
	}
	return r.hooks.AboutRecovery(r.request.Backup, given)
}
