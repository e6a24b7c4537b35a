package wal

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hooks"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
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
	// Stuck: the file can neither be archived nor be set aside, and stays.
	Stuck Outcome = "stuck"
)

// File is a file that a run dealt with.
type File struct {
	// Name is its name, which need not be that of a WAL file.
	Name    string  `json:"name"`
	Origin  Origin  `json:"origin"`
	Outcome Outcome `json:"outcome"`
	// Reason tells why it was set aside, left or stuck.
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
	// Problems are the files that were set aside, left or stuck.
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
	if err := s.Catalogue.CreateDirectories(); err != nil {
		return Report{}, err
	}
	lock, err := s.Catalogue.Lock(catalogue.LockArchiveWAL)
	if err != nil {
		return Report{}, err
	}
	r := newRun(s, options)
	defer r.hooks.Close()
	err = r.locked(ctx)
	return r.report, errors.Join(err, lock.Release())
}

// run is one run of the archiver.
type run struct {
	server  *server.Server
	options ArchiveOptions
	report  Report
	hooks   *hooks.Hooks

	cluster  cluster
	queue    *queue
	next     *file // taken from the queue for a batch that had no room for it
	index    *index
	writers  map[bool]*pipeline.Writer // by whether the files are compressed already
	early    *opening                  // the one that may become the first of them; nil for none
	underway *batch                    // being stored and recorded; nil for none
	sinks    []server.Sink             // that take part
	givenUp  map[int]bool              // those of them that do not work in this run
}

// newRun makes a run, whose hooks are to be closed.
func newRun(s *server.Server, options ArchiveOptions) *run {
	r := &run{server: s, options: options, hooks: hooks.Of(s, hooks.Archive)}
	r.sinks, _ = partaking(s)
	return r
}

// partaking are the sinks that WAL goes to now. An optional one that lacks WAL takes
// no part until it has caught up (see package sinks): else each run would wait for
// it in vain, and it is given all of it then.
func partaking(s *server.Server) (partaking []server.Sink, out []LostSink) {
	for _, sink := range s.WALSinks() {
		if sink.Optional {
			lacks, err := s.Catalogue.LagOf(sink.Label, "")
			if err != nil {
				s.Logger.Warn("it is not known whether a sink lacks WAL", "sink", sink.Label, "error", err)
			}
			if lacks != nil {
				out = append(out, LostSink{Sink: sink.Label, Reason: "it lacks WAL since " + lacks.Since.Format(time.RFC3339) + ", until barman cron or sync-sink brings it up to date: " + lacks.Reason})
				continue
			}
		}
		partaking = append(partaking, sink)
	}
	return partaking, out
}

// gather finds out, now that nobody else archives, which sinks take part. One that
// has caught up meanwhile must not be left out.
func (r *run) gather() error {
	now, out := partaking(r.server)
	r.report.Lost = append(r.report.Lost, out...)
	same := slices.EqualFunc(now, r.sinks, func(a, b server.Sink) bool { return a.Label == b.Label })
	if same {
		return nil
	}
	err := r.closeWriters() // the one that was started early
	r.sinks = now
	return err
}

func (r *run) locked(ctx context.Context) error {
	q, err := r.collect()
	if err != nil {
		return err
	}
	if !q.empty() {
		err := r.archiveAll(ctx, q)
		if r.report.Archived+r.report.Known > 0 {
			r.server.Logger.Info("WAL archived", "archived", r.report.Archived, "known", r.report.Known)
		}
		if err != nil {
			return err
		}
	}
	return r.checkBackups(ctx)
}

// archiveAll archives what the queue gives out.
func (r *run) archiveAll(ctx context.Context, q *queue) error {
	r.queue, r.index = q, &index{catalogue: r.server.Catalogue, queue: q}
	r.writers, r.givenUp = map[bool]*pipeline.Writer{}, map[int]bool{}
	if err := r.gather(); err != nil {
		return err
	}
	if err := r.server.Catalogue.EnsureIndex(ctx); err != nil {
		return err
	}
	if err := r.identifyCluster(); err != nil {
		return err
	}
	err := r.batches(ctx)
	return errors.Join(err, r.closeWriters())
}

// done reports a file whose outcome is durable.
func (r *run) done(f *file) {
	told := File{Name: f.base, Origin: f.origin, Outcome: f.outcome, Reason: f.reason, Path: f.aside}
	switch f.outcome {
	case Archived:
		r.report.Archived++
	case Known:
		r.report.Known++
	case SetAside, Left, Stuck:
		r.report.Problems = append(r.report.Problems, told)
	}
	if r.options.File != nil {
		r.options.File(told)
	}
}
