package cron

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/removal"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/sinks"
	"github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
)

// stopTimeout is how long a receiver that is not wanted any more may take to end.
const stopTimeout = 10 * time.Second

// Result is what was done for one server.
type Result struct {
	Server string `json:"server"`
	// Started are the commands that were started in the background.
	Started []string `json:"started,omitempty"`
	// Ended are commands that an earlier run started, that have ended, and that
	// said something before.
	Ended []Ended `json:"ended,omitempty"`
	// Skipped tells why nothing was done; empty if something was.
	Skipped string `json:"skipped,omitempty"`
	// Err is why some of it was not done.
	Err error `json:"-"`
}

// Ended is a command that has ended.
type Ended struct {
	Command string `json:"command"`
	// Said is what it wrote to standard error.
	Said string `json:"said"`
}

// Run does what is due for each server. One server's trouble is no other's: it
// is in its result, and in the error, which joins those of all servers. Lock files
// that nobody holds are removed from lockDirectory; empty leaves them.
func Run(ctx context.Context, servers []*server.Server, lockDirectory string, spawn Spawn) ([]Result, error) {
	var results []Result
	var errs []error
	for _, s := range servers {
		if err := ctx.Err(); err != nil {
			return results, err
		}
		result := serve(ctx, s, spawn)
		if result.Err != nil {
			errs = append(errs, fmt.Errorf("server %s: %w", s.Name(), result.Err))
		}
		results = append(results, result)
	}
	if lockDirectory != "" {
		if _, err := catalogue.RemoveStaleLocks(lockDirectory); err != nil {
			errs = append(errs, fmt.Errorf("lock directory: %w", err))
		}
	}
	return results, errors.Join(errs...)
}

// serve looks after one server under its cron lock.
func serve(ctx context.Context, s *server.Server, spawn Spawn) Result {
	result := Result{Server: s.Name()}
	if !s.Config.Active {
		result.Skipped = "it is not active"
		if pid, running, err := wal.Receiving(s); running && err == nil {
			result.Skipped += fmt.Sprintf("; its WAL is still received, by process %d: 'barman receive-wal --stop %s' ends that", pid, s.Name())
		}
		return result
	}
	if err := s.Config.Err(); err != nil {
		result.Skipped = "its configuration cannot be used: " + err.Error()
		s.Logger.Error("skipped: its configuration cannot be used", "error", err)
		return result
	}
	if result.Err = s.Catalogue.CreateDirectories(); result.Err != nil {
		return result
	}
	lock, err := s.Catalogue.Lock(catalogue.LockCron)
	if sdk.KindOf(err) == sdk.Busy {
		result.Skipped = "another cron is at work on it"
		s.Logger.Info("skipped: another cron is at work")
		return result
	}
	if err != nil {
		result.Err = err
		return result
	}
	if s.Config.Passive() {
		result.Err = errors.Join(result.copyFrom(s, spawn), backup.Reap(s), result.retain(s, spawn), lock.Release())
		return result
	}
	result.Err = errors.Join(
		result.receive(ctx, s, spawn),
		result.archive(s, spawn),
		backup.Reap(s),
		result.retain(s, spawn),
		result.syncSinks(s, spawn),
		lock.Release(),
	)
	return result
}

// receive starts a WAL receiver where one is missing, and stops one that is not
// configured any more. One that runs with other settings than today's is
// replaced, if an earlier cron has started it; others are somebody else's.
func (r *Result) receive(ctx context.Context, s *server.Server, spawn Spawn) error {
	_, running, err := wal.Receiving(s)
	if err != nil && !running {
		return err
	}
	if s.Config.WAL.Source == nil {
		if running {
			return stop(ctx, s, "it is not configured any more")
		}
		return nil
	}
	last, err := openRecord(s, catalogue.LockReceiveWAL)
	if err != nil {
		return err
	}
	defer last.file.Close() // a process that was started has its own
	switch {
	case last.alive && running && last.settings != "" && last.settings != settingsOf(s):
		if err := stop(ctx, s, "its settings have changed"); err != nil {
			return err
		}
		if last, err = openRecord(s, catalogue.LockReceiveWAL); err != nil {
			return err
		}
		defer last.file.Close() // as above
		if last.alive {
			return nil // it is about to end: the next cron starts another one
		}
	case last.alive, running:
		return nil
	}
	return r.start(s, spawn, catalogue.LockReceiveWAL, last)
}

// The commands that copy a passive server from another Barman.
const (
	copyBackup = "sync-backup"
	copyWAL    = "sync-wals"
)

// copyFrom starts what copies a passive server's WAL and its oldest missing backup
// from another Barman, unless it is at it still.
func (r *Result) copyFrom(s *server.Server, spawn Spawn) error {
	var errs []error
	for _, command := range []string{copyWAL, copyBackup} {
		last, err := openRecord(s, command)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !last.alive {
			errs = append(errs, r.start(s, spawn, command, last))
		}
		errs = append(errs, last.file.Close()) // a process that was started has its own
	}
	return errors.Join(errs...)
}

// Renew has WAL received with the settings of today, if it is being received: a
// receiver that a cron has started is replaced if its settings were others; any other
// is stopped, for whoever started it to start again.
func Renew(ctx context.Context, s *server.Server, spawn Spawn) Result {
	result := Result{Server: s.Name()}
	_, running, err := wal.Receiving(s)
	if err != nil || !running {
		result.Err = err
		return result
	}
	lock, err := s.Catalogue.Lock(catalogue.LockCron)
	if sdk.KindOf(err) == sdk.Busy {
		result.Skipped = "a cron is at work on it; the next one replaces its receiver"
		return result
	}
	if err != nil {
		result.Err = err
		return result
	}
	last, err := openRecord(s, catalogue.LockReceiveWAL)
	if err != nil {
		result.Err = errors.Join(err, lock.Release())
		return result
	}
	ours := last.alive
	if err := last.file.Close(); err != nil {
		result.Err = errors.Join(err, lock.Release())
		return result
	}
	if ours {
		err = result.receive(ctx, s, spawn)
	} else {
		err = stop(ctx, s, "its settings have changed")
	}
	result.Err = errors.Join(err, lock.Release())
	return result
}

func stop(ctx context.Context, s *server.Server, why string) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	pid, err := wal.Stop(ctx, s)
	if sdk.KindOf(err) == sdk.NotFound {
		return nil
	}
	s.Logger.Info("stopped the WAL receiver: "+why, "process", pid)
	return err
}

// archive starts an archiver, which also brings the state of backups up to
// date. There may be received files left when there is no source any more.
func (r *Result) archive(s *server.Server, spawn Spawn) error {
	_, running, err := s.Catalogue.Holder(catalogue.LockArchiveWAL)
	if err != nil && !running {
		return err
	}
	last, err := openRecord(s, catalogue.LockArchiveWAL)
	if err != nil {
		return err
	}
	defer last.file.Close() // a process that was started has its own
	if running || last.alive {
		return nil
	}
	return r.start(s, spawn, catalogue.LockArchiveWAL, last)
}

// retain starts what enforces the retention policy, if there is something to
// delete.
func (r *Result) retain(s *server.Server, spawn Spawn) error {
	due, err := removal.Due(s, time.Now())
	if err != nil || !due {
		return err
	}
	last, err := openRecord(s, enforcement)
	if err != nil {
		return err
	}
	defer last.file.Close() // a process that was started has its own
	if last.alive {
		return nil
	}
	return r.start(s, spawn, enforcement, last, "--enforce")
}

// syncSinks starts what brings sinks up to date, if it is noted that one is not.
func (r *Result) syncSinks(s *server.Server, spawn Spawn) error {
	due, err := sinks.Due(s)
	if err != nil || !due {
		return err
	}
	_, running, err := s.Catalogue.Holder(catalogue.LockSyncSink)
	if err != nil && !running {
		return err
	}
	last, err := openRecord(s, catalogue.LockSyncSink)
	if err != nil {
		return err
	}
	defer last.file.Close() // a process that was started has its own
	if running || last.alive {
		return nil
	}
	return r.start(s, spawn, catalogue.LockSyncSink, last, "--noted")
}

// enforcement is the command that deletes obsolete backups.
const enforcement = "retention"

// start runs a command with options, and tells what the last one said that has
// ended.
func (r *Result) start(s *server.Server, spawn Spawn, command string, last *record, options ...string) error {
	if last.said != "" {
		r.Ended = append(r.Ended, Ended{Command: command, Said: last.said})
		s.Logger.Info(command+" has ended", "said", last.said)
	}
	if err := last.begin(settingsOf(s)); err != nil {
		return fmt.Errorf("start %s: %w", command, err)
	}
	args := append([]string{command, s.Name()}, options...)
	if err := spawn(last.file, args...); err != nil {
		return fmt.Errorf("start %s: %w", command, err)
	}
	r.Started = append(r.Started, command)
	s.Logger.Debug("started", "command", command)
	return nil
}
