// Package sinkignorescancellation goes on when it is cancelled.
package sinkignorescancellation

import (
	"context"
	"io"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// sink is the reference, broken in one way.
type sink struct{ *reference.Directory }

func (s sink) Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	receipt, err := s.Directory.Put(ctx, o, r)
	if ctx.Err() != nil {
		time.Sleep(time.Hour)
	}
	return receipt, err
}

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Goes on when it is cancelled."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
