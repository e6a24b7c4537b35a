package wal

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// Origin is where a file came from.
type Origin string

const (
	// Streaming is the directory that WAL is received into.
	Streaming Origin = "streaming"
	// Incoming is the directory that archive_command delivers into.
	Incoming Origin = "file archival"
)

// Outcome is what became of a file.
type Outcome string

const (
	// Archived: the file is in the archive now.
	Archived Outcome = "archived"
	// Known: the archive had the same file already, this copy was removed.
	Known Outcome = "known"
	// SetAside: the file was moved to the errors directory.
	SetAside Outcome = "set aside"
	// Left: the file is not complete and stays for a later run.
	Left Outcome = "left"
)

// File is a file that a run dealt with.
type File struct {
	// Name is its name, which need not be that of a WAL file.
	Name    string  `json:"name"`
	Origin  Origin  `json:"origin"`
	Outcome Outcome `json:"outcome"`
	// Reason tells why it was set aside or left.
	Reason string `json:"reason,omitempty"`
	// Path is where it was set aside.
	Path string `json:"path,omitempty"`
}

// ArchiveOptions are the choices of one run.
type ArchiveOptions struct {
	// File is told of every file once its outcome is durable; may be nil.
	File func(File)
}

// Report is what a run did.
type Report struct {
	// Archived and Known count the files that left their directory because they
	// are in the archive.
	Archived int `json:"archived"`
	Known    int `json:"known"`
	// Problems are the files that were set aside or left.
	Problems []File `json:"problems,omitempty"`
	// Lost are the optional sinks that did not take everything.
	Lost []LostSink `json:"lost_sinks,omitempty"`
	// Backups are those whose state the new WAL changed.
	Backups []*catalogue.Backup `json:"-"`
}

// LostSink is an optional sink that failed.
type LostSink struct {
	Sink   string `json:"sink"`
	Reason string `json:"reason"`
}

// Archive archives the WAL files that were received and delivered, and brings
// the state of backups that wait for WAL up to date. What was done before an
// error is in the report and stays done.
//
// It is safe to call again at any time. Errors: Busy while another run is under
// way, Invalid for directories that the WAL pipeline does not write to, else
// that of the sink, which is named.
func Archive(ctx context.Context, s *server.Server, options ArchiveOptions) (Report, error) {
	if err := checkDirectories(s); err != nil {
		return Report{}, err
	}
	if err := s.Catalogue.CreateDirectories(); err != nil {
		return Report{}, err
	}
	lock, err := s.Catalogue.Lock(catalogue.LockArchiveWAL)
	if err != nil {
		return Report{}, err
	}
	r := &run{server: s, options: options}
	err = r.locked(ctx)
	return r.report, errors.Join(err, lock.Release())
}

// checkDirectories refuses an archive elsewhere than where objects named wals/…
// end up.
func checkDirectories(s *server.Server) error {
	d := s.Config.Directories
	if usual := filepath.Join(d.Backup, archiveFolder); filepath.Clean(d.WALs) != usual {
		return sdk.Errorf(sdk.Invalid, "server %q: wals_directory is %s, but WAL is stored below the server's own directory, in %s: "+
			"leave wals_directory out, or mount the other place there", s.Name(), d.WALs, usual)
	}
	return nil
}

// run is one run of the archiver.
type run struct {
	server  *server.Server
	options ArchiveOptions
	report  Report

	cluster cluster
	index   *index
	writers map[bool]*pipeline.Writer // by whether the files are compressed already
	givenUp map[int]bool              // optional sinks that do not work in this run
}

// batchSize is how many files share an fsync of xlog.db.
const batchSize = 64

func (r *run) locked(ctx context.Context) error {
	candidates, err := r.collect()
	if err != nil {
		return err
	}
	if len(candidates) > 0 {
		if err := r.archiveAll(ctx, candidates); err != nil {
			return err
		}
	}
	return r.checkBackups()
}

func (r *run) archiveAll(ctx context.Context, candidates []*file) error {
	r.index = newIndex(r.server, candidates)
	r.writers, r.givenUp = map[bool]*pipeline.Writer{}, map[int]bool{}
	if err := r.server.Catalogue.EnsureIndex(ctx); err != nil {
		return err
	}
	if err := r.identifyCluster(); err != nil {
		return err
	}
	size := batchSize
	if r.hooked() {
		size = 1 // hooks are told of a file before the next one begins
	}
	var failed error
	for len(candidates) > 0 && failed == nil {
		n := min(size, len(candidates))
		failed = r.batch(ctx, candidates[:n])
		candidates = candidates[n:]
	}
	err := errors.Join(failed, r.closeWriters())
	if r.report.Archived+r.report.Known > 0 {
		r.server.Logger.Info("WAL archived", "archived", r.report.Archived, "known", r.report.Known)
	}
	return err
}

// batch archives some files. The first that cannot be stored ends the run, so
// that none of its successors gets ahead of it; what was stored before is
// recorded, also when the caller has given up.
func (r *run) batch(ctx context.Context, candidates []*file) error {
	sorted, failed := r.sort(candidates)
	if failed == nil {
		failed = r.compareKnown(ctx, sorted.known)
	}
	for _, f := range sorted.fresh {
		if failed == nil {
			failed = ctx.Err()
		}
		if failed == nil {
			failed = r.store(ctx, f)
		}
	}
	failed = errors.Join(failed, r.record(context.WithoutCancel(ctx), candidates))
	if failed == nil && len(sorted.again) > 0 {
		failed = errors.Join(r.compareKnown(ctx, sorted.again), r.record(context.WithoutCancel(ctx), sorted.again))
	}
	return failed
}

// sorted are the files of a batch that can be archived.
type sorted struct {
	// known are archived already, fresh are not, again is the second copy of a
	// fresh one.
	known, fresh, again []*file
}

func (r *run) sort(candidates []*file) (sorted, error) {
	var s sorted
	here := map[string]bool{}
	for _, f := range candidates {
		if err := r.inspect(f); err != nil {
			return sorted{}, err
		}
		if f.outcome != "" {
			continue
		}
		archived, err := r.server.Catalogue.HasWAL(f.name)
		switch {
		case err != nil:
			return sorted{}, err
		case archived:
			s.known = append(s.known, f)
		case here[f.base]:
			s.again = append(s.again, f)
		default:
			here[f.base] = true
			s.fresh = append(s.fresh, f)
		}
	}
	return s, nil
}

// done reports a file whose outcome is durable.
func (r *run) done(f *file) {
	told := File{Name: f.base, Origin: f.origin, Outcome: f.outcome, Reason: f.reason, Path: f.aside}
	switch f.outcome {
	case Archived:
		r.report.Archived++
	case Known:
		r.report.Known++
	case SetAside, Left:
		r.report.Problems = append(r.report.Problems, told)
	}
	if r.options.File != nil {
		r.options.File(told)
	}
}
