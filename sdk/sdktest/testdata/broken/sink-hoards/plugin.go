// Package sinkhoards keeps an object in memory until it has all of it.
package sinkhoards

import (
	"bytes"
	"context"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// sink is the reference, broken in one way.
type sink struct{ *reference.Directory }

func (s sink) Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	if r == nil {
		return s.Directory.Put(ctx, o, r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return sdk.Receipt{}, err
	}
	return s.Directory.Put(ctx, o, bytes.NewReader(b))
}

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Keeps an object in memory until it has all of it."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
