package bucket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
)

const (
	firstPause   = 200 * time.Millisecond
	longestPause = 10 * time.Second
)

// try asks the store for something, and again while it is unavailable and
// patience lasts, at growing intervals that differ from process to process. The
// error says what was wanted of which object.
func (s *Sink) try(ctx context.Context, what, key string, ask func(ctx context.Context) error) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = firstPause, longestPause
	begun, warned := time.Now(), false
	for {
		err := classify(ctx, ask(ctx))
		if err == nil {
			return nil
		}
		pause := pauses.NextBackOff()
		if sdk.KindOf(err) != sdk.Unavailable || time.Since(begun)+pause > s.options.Patience {
			return s.explain(what, key, err)
		}
		if log := hclog.FromContext(ctx); !warned {
			warned = true
			log.Warn("the store does not do what it was asked to; trying again", "request", what, "object", s.where(key), "for", s.options.Patience.String(), "error", err)
		} else {
			log.Debug("trying again", "request", what, "object", s.where(key), "error", err)
		}
		select {
		case <-ctx.Done():
			return s.explain(what, key, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// explain says what was wanted of which object. A bucket that does not exist is
// a mistake in the settings and proves nothing of an object.
func (s *Sink) explain(what, key string, err error) error {
	err = fmt.Errorf("%s %s: %w", what, s.where(key), err)
	if errors.Is(err, ErrNoBucket) {
		return &sdk.Error{Kind: sdk.Invalid, Err: err}
	}
	return err
}

// classify tells an error because the context ended from all others.
func classify(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return &sdk.Error{Kind: sdk.Cancelled, Err: err}
	}
	return err
}

// KindOfStatus is the kind of error that an HTTP status stands for, where the
// store says no more.
func KindOfStatus(status int) sdk.ErrorKind {
	switch {
	case status == 401 || status == 403 || status == 407:
		return sdk.Denied
	case status == 404 || status == 410:
		return sdk.NotFound
	case status == 409 || status == 412:
		return sdk.Exists
	case status == 408 || status == 425 || status == 429 || status >= 500 && status != 501:
		return sdk.Unavailable
	case status >= 300:
		return sdk.Invalid
	}
	return sdk.Unknown
}
