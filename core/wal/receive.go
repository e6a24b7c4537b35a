package wal

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/wal"
)

// ReceiveOptions are the choices of one receiver.
type ReceiveOptions struct {
	// Progress is told whenever more WAL is durable; may be nil.
	Progress func(sdk.WALProgress)
	// GiveUpAfter is how long a lost connection is tried again; 0 stands for
	// five minutes.
	GiveUpAfter time.Duration
}

// Pauses between attempts to connect again.
const (
	firstPause         = time.Second
	longestPause       = 30 * time.Second
	defaultGiveUpAfter = 5 * time.Minute
)

// lookAgain is how often a receiver that no commit waits for looks whether it
// has become a synchronous standby, for which WAL must be durable at once. Until
// it has looked, commits take as long as the source's status_interval.
const lookAgain = 30 * time.Second

// errNowSynchronous ends a connection that is to be made again as that of a
// synchronous standby.
var errNowSynchronous = errors.New("synchronous_standby_names names the receiver now")

// Receive receives WAL into the server's streaming directory until ctx ends,
// which is no error, or something fails. A connection that worked and is lost is
// made again with growing pauses, after the same checks as the first one.
//
// Errors: Busy while another receiver runs, Invalid for a server that does not
// stream WAL, or is not the one whose WAL is in the catalogue, else those of
// the source.
func Receive(ctx context.Context, s *server.Server, options ReceiveOptions) error {
	source, err := s.WALSource(ctx)
	if err != nil {
		return err
	}
	if err := s.Catalogue.CreateDirectories(); err != nil {
		return err
	}
	lock, err := s.Catalogue.Lock(catalogue.LockReceiveWAL)
	if err != nil {
		return err
	}
	if options.GiveUpAfter == 0 {
		options.GiveUpAfter = defaultGiveUpAfter
	}
	r := &receiver{server: s, source: source, options: options, lookAgain: lookAgain}
	return errors.Join(r.run(ctx), lock.Release())
}

// Receiving tells whether a receiver runs, and its process.
func Receiving(s *server.Server) (pid int, running bool, err error) {
	return s.Catalogue.Holder(catalogue.LockReceiveWAL)
}

type receiver struct {
	server  *server.Server
	source  server.WALSource
	options ReceiveOptions
	// lookAgain is the constant of that name, but in tests.
	lookAgain time.Duration

	worked     bool    // a connection was made
	progressed bool    // more WAL came over the last one
	flushed    wal.LSN // what came so far
}

func (r *receiver) run(ctx context.Context) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = firstPause, longestPause
	var since time.Time // when the connection was lost
	for {
		r.progressed = false
		err := r.receive(ctx)
		if ctx.Err() != nil && (err == nil || sdk.KindOf(err) == sdk.Cancelled) {
			return nil
		}
		if errors.Is(err, errNowSynchronous) {
			r.server.Logger.Info("commits wait for this receiver from now on: WAL is made durable as soon as it comes")
			continue
		}
		if err == nil || !r.worthAnother(err) {
			return err
		}
		if r.progressed || since.IsZero() {
			since = time.Now()
			pauses.Reset()
		}
		if time.Since(since) > r.options.GiveUpAfter {
			return err
		}
		pause := pauses.NextBackOff()
		r.server.Logger.Warn("WAL is not received, trying again", "in", pause.Round(time.Millisecond), "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// worthAnother tells whether trying again may help. Only a receiver that worked
// tries: whoever starts one on a server that is down wants to know.
func (r *receiver) worthAnother(err error) bool {
	var crash *host.Crash
	if errors.As(err, &crash) { // killed, for the memory that others wanted perhaps: nothing is wrong with what it wrote
		return r.worked
	}
	switch sdk.KindOf(err) {
	case sdk.Unavailable:
		return r.worked
	case sdk.Busy:
		// After a broken connection the server goes on for a while to hold the slot
		// for it.
		return r.worked && r.source.Slot != ""
	}
	return false
}

// receive checks the server and receives over one connection.
func (r *receiver) receive(ctx context.Context) error {
	request, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	if !request.Synchronous {
		watching.Go(func() { r.watch(ctx, cancel) })
	}
	err = r.server.Engine.Receive(ctx, r.server.ForWALSource(), r.server.Stage(*r.server.Config.WAL.Source), request, r.report)
	if cause := context.Cause(ctx); errors.Is(cause, errNowSynchronous) && (err == nil || sdk.KindOf(err) == sdk.Cancelled) {
		return cause
	}
	return err
}

func (r *receiver) report(p sdk.WALProgress) {
	r.worked = true
	if p.Flushed > r.flushed {
		r.progressed, r.flushed = true, p.Flushed
	}
	if p.Finished != "" {
		r.server.Logger.Debug("WAL received", "file", p.Finished)
	}
	if r.options.Progress != nil {
		r.options.Progress(p)
	}
}

// watch ends the connection once commits wait for the receiver: nothing in the
// replication protocol tells of it. A server that cannot be asked is asked again.
func (r *receiver) watch(ctx context.Context, end context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(r.lookAgain):
		}
		facts, _, err := r.ask(ctx)
		if err != nil {
			r.server.Logger.Debug("whether commits wait for the receiver is not known", "error", err)
			continue
		}
		if waitsFor(facts.SynchronousStandbyNames, r.source.ApplicationName) {
			end(errNowSynchronous)
			return
		}
	}
}
