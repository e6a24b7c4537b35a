package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// Options are the choices of one Sync.
type Options struct {
	// Sinks are the labels of those to bring up to date; empty stands for all.
	Sinks []string
	// From is the label of the sink to copy from; empty stands for any that has what
	// is missing.
	From string
	// Noted limits it to what is noted as missing; else what sinks have is compared.
	Noted bool
	// DryRun changes nothing; the report says what would be done.
	DryRun bool
	// Progress is told how much was copied; may be nil.
	Progress func(pipeline.Progress)
}

// Synced is what was done for one sink.
type Synced struct {
	Sink    string         `json:"sink"`
	Backups []SyncedBackup `json:"backups"`
	WAL     SyncedWAL      `json:"wal"`
	// Problems are what could not be done.
	Problems []string `json:"problems"`
}

// What was done with a backup in a sink.
const (
	Copied    = "copied"    // data that was missing
	Described = "described" // it was told what the catalogue says
	Removed   = "removed"   // what was left of a backup that failed or was deleted
)

// SyncedBackup is a backup that a sink was brought up to date about.
type SyncedBackup struct {
	ID catalogue.BackupID `json:"backup_id"`
	// Action is Copied, Described or Removed.
	Action string `json:"action"`
	// From is the sink that data was copied from.
	From    string `json:"from,omitempty"`
	Objects int    `json:"objects,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
}

// SyncedWAL are the WAL files that were copied, and those that were removed because
// no backup needs them any more and they were deleted elsewhere.
type SyncedWAL struct {
	Files   int   `json:"files"`
	Bytes   int64 `json:"bytes"`
	Removed int   `json:"removed"`
}

// Sync brings sinks up to date that lack backups or WAL, from sinks that have
// them. What is there under a name with other bytes is never replaced, and told
// of. It can be killed at any time, and goes on when it is called again. What one
// sink or backup is in the way of is no obstacle to the others: the error joins
// what could not be done.
//
// Errors: Busy while another Sync of the server runs; Invalid for a sink that is
// not configured.
func Sync(ctx context.Context, s *server.Server, options Options) (report []Synced, err error) {
	y := &syncing{server: s, options: options}
	if err := y.validate(); err != nil {
		return nil, err
	}
	if !options.DryRun {
		lock, err := s.Catalogue.Lock(catalogue.LockSyncSink)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, lock.Release()) }()
	}
	for _, label := range y.labels() {
		y.now = &Synced{Sink: label, Backups: []SyncedBackup{}, Problems: []string{}}
		if err := y.sink(ctx, label); err != nil {
			y.problem(err)
		}
		report = append(report, *y.now)
		if ctx.Err() != nil {
			break
		}
	}
	return report, errors.Join(y.errs...)
}

// Due tells whether anything is noted that a sink which is configured lacks.
func Due(s *server.Server) (bool, error) {
	lags, err := s.Catalogue.Lags()
	return slices.ContainsFunc(lags, func(l catalogue.Lag) bool {
		sinks := s.BackupSinks()
		if l.Backup == "" {
			sinks = s.WALSinks()
		}
		_, configured := find(sinks, l.Sink)
		return configured && (l.Backup == "" || !underWay(s, l.Backup))
	}), err
}

// syncing is a Sync on its way.
type syncing struct {
	server  *server.Server
	options Options
	now     *Synced
	errs    []error
	copied  pipeline.Progress // of what has ended
	// unneeded is the WAL that serves no backup.
	unneeded catalogue.Release
}

func find(sinks []server.Sink, label string) (server.Sink, bool) {
	i := slices.IndexFunc(sinks, func(sink server.Sink) bool { return sink.Label == label })
	if i < 0 {
		return server.Sink{}, false
	}
	return sinks[i], true
}

// labels are those of the sinks to bring up to date.
func (y *syncing) labels() []string {
	if len(y.options.Sinks) > 0 {
		return y.options.Sinks
	}
	return Labels(y.server)
}

// Labels are the labels of a server's sinks, of backups and of WAL.
func Labels(s *server.Server) []string {
	var labels []string
	for _, sink := range append(s.BackupSinks(), s.WALSinks()...) {
		if !slices.Contains(labels, sink.Label) {
			labels = append(labels, sink.Label)
		}
	}
	return labels
}

func (y *syncing) validate() error {
	known := Labels(y.server)
	for _, label := range append(slices.Clone(y.options.Sinks), y.options.From) {
		if label != "" && !slices.Contains(known, label) {
			return sdk.Errorf(sdk.Invalid, "server %q has no sink %q: it has %s", y.server.Name(), label, strings.Join(known, ", "))
		}
	}
	if slices.Equal(y.options.Sinks, []string{y.options.From}) {
		return sdk.Errorf(sdk.Invalid, "sink %q cannot be brought up to date from itself", y.options.From)
	}
	return nil
}

// sink brings one sink up to date: the newest backups first, then its WAL.
func (y *syncing) sink(ctx context.Context, label string) error {
	if label == y.options.From {
		return nil
	}
	if to, ok := find(y.server.BackupSinks(), label); ok {
		if err := y.backups(ctx, to); err != nil {
			return err
		}
	}
	to, ok := find(y.server.WALSinks(), label)
	if !ok || len(y.server.WALSinks()) == 1 {
		return nil
	}
	return y.wal(ctx, to)
}

// problem notes what could not be done.
func (y *syncing) problem(err error) {
	y.now.Problems = append(y.now.Problems, err.Error())
	y.errs = append(y.errs, fmt.Errorf("sink %s of server %s: %w", y.now.Sink, y.server.Name(), err))
}

// sources are the sinks to copy from, in the order in which they are asked.
func (y *syncing) sources(all []server.Sink, to server.Sink) []server.Sink {
	return slices.DeleteFunc(slices.Clone(all), func(sink server.Sink) bool {
		return sink.Label == to.Label || y.options.From != "" && sink.Label != y.options.From
	})
}

// observe adds the progress of one copy to that of those before.
func (y *syncing) observe(receipts func([]sdk.Receipt) error) pipeline.Observer {
	before := y.copied
	return pipeline.Observer{Receipts: receipts, Progress: func(p pipeline.Progress) {
		y.copied.Objects, y.copied.Bytes = before.Objects+p.Objects, before.Bytes+p.Bytes
		if y.options.Progress != nil {
			y.options.Progress(y.copied)
		}
	}}
}
