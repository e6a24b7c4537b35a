package backup

import (
	"context"
	"errors"
	"time"

	"github.com/barman-go/barman/core/sinks"
	"github.com/barman-go/barman/sdk"
)

// copyWithRetries copies the data. A copy that failed begins anew, with nothing
// left of the one before, as often as that was asked for.
func (r *run) copyWithRetries(ctx context.Context) (sdk.BackupResult, error) {
	times, sleep := r.retries()
	for attempt := 0; ; attempt++ {
		result, err := r.copy(ctx)
		if err == nil || attempt >= times || ctx.Err() != nil || !mayHelp(err) {
			return result, err
		}
		r.server.Logger.Warn("the copy failed; what was copied is removed, and it begins anew", "backup", r.backup.ID, "error", err, "attempt", attempt+1, "of", times+1, "pause", sleep)
		if again := r.beginAnew(ctx, sleep); again != nil {
			return result, errors.Join(err, again)
		}
	}
}

// retries are how often a copy is tried again, and the pause before.
func (r *run) retries() (times int, sleep time.Duration) {
	times, sleep = r.server.Config.Backup.RetryTimes, r.server.Config.Backup.RetrySleep
	if r.options.RetryTimes != nil {
		times = *r.options.RetryTimes
	}
	if r.options.RetrySleep != nil {
		sleep = *r.options.RetrySleep
	}
	return times, sleep
}

// mayHelp tells whether an error may be gone by itself.
func mayHelp(err error) bool {
	switch sdk.KindOf(err) {
	case sdk.Invalid, sdk.Denied, sdk.Corrupt, sdk.Cancelled, sdk.NotFound:
		return false
	}
	return true
}

// beginAnew removes what was copied, and starts the plugins again after a pause.
func (r *run) beginAnew(ctx context.Context, pause time.Duration) error {
	r.stop()
	if err := r.clear(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	r.lost, r.stored, r.suffix = nil, 0, ""
	return r.open(ctx)
}

// clear removes the backup's data from all sinks. An optional one that fails is
// about to be tried again.
func (r *run) clear(ctx context.Context) error {
	errs := []error{discard(r.server, r.backup.ID)}
	for _, sink := range r.server.BackupSinks() {
		err := sinks.Clear(ctx, r.server, sink, r.backup.ID)
		if err != nil && sink.Optional {
			r.server.Logger.Warn("an optional sink keeps what was copied to it", "backup", r.backup.ID, "sink", sink.Label, "error", err)
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
