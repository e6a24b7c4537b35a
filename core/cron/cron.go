package cron

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
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
	// Skipped tells why nothing was done; empty if something was.
	Skipped string `json:"skipped,omitempty"`
	// Err is why some of it was not done.
	Err error `json:"-"`
}

// Run does what is due for each server. One server's trouble is no other's: it
// is in its result, and in the error, which joins those of all servers.
func Run(ctx context.Context, servers []*server.Server, spawn Spawn) ([]Result, error) {
	var results []Result
	var errs []error
	directories := map[string]bool{}
	for _, s := range servers {
		if err := ctx.Err(); err != nil {
			return results, err
		}
		result := serve(ctx, s, spawn)
		if result.Err != nil {
			errs = append(errs, fmt.Errorf("server %s: %w", s.Name(), result.Err))
		}
		results = append(results, result)
		directories[s.Catalogue.Layout().LockDirectory] = true
	}
	for directory := range directories {
		if _, err := catalogue.RemoveStaleLocks(directory); err != nil {
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
	result.Err = errors.Join(
		result.receive(ctx, s, spawn),
		result.archive(s, spawn),
		backup.Reap(s),
		lock.Release(),
	)
	return result
}

// receive starts a WAL receiver where one is missing, and stops one that is not
// configured any more.
func (r *Result) receive(ctx context.Context, s *server.Server, spawn Spawn) error {
	_, running, err := wal.Receiving(s)
	if err != nil && !running {
		return err
	}
	wanted := s.Config.WAL.Source != nil
	switch {
	case wanted && !running:
		return r.start(s, spawn, catalogue.LockReceiveWAL)
	case !wanted && running:
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		pid, err := wal.Stop(ctx, s)
		if sdk.KindOf(err) == sdk.NotFound {
			return nil
		}
		s.Logger.Info("stopped a WAL receiver that is not configured any more", "process", pid)
		return err
	}
	return nil
}

// archive starts an archiver, which also brings the state of backups up to
// date. There may be received files left when there is no source any more.
func (r *Result) archive(s *server.Server, spawn Spawn) error {
	_, running, err := s.Catalogue.Holder(catalogue.LockArchiveWAL)
	if err != nil && !running {
		return err
	}
	if running {
		return nil
	}
	return r.start(s, spawn, catalogue.LockArchiveWAL)
}

// start runs a command, which is named after the lock that it takes.
func (r *Result) start(s *server.Server, spawn Spawn, command string) error {
	if err := spawn(command, s.Name()); err != nil {
		return fmt.Errorf("start %s: %w", command, err)
	}
	r.Started = append(r.Started, command)
	s.Logger.Debug("started", "command", command)
	return nil
}
