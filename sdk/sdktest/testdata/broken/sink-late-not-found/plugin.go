// Package sinklatenotfound finds out at the first read that an object is missing.
package sinklatenotfound

import (
	"context"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// sink is the reference, broken in one way.
type sink struct{ *reference.Directory }

func (s sink) Get(ctx context.Context, name string) (sdk.Object, io.ReadCloser, error) {
	o, r, err := s.Directory.Get(ctx, name)
	if sdk.KindOf(err) == sdk.NotFound {
		return sdk.Object{Name: name, Size: sdk.SizeUnknown}, io.NopCloser(late{err}), nil
	}
	return o, r, err
}

type late struct{ err error }

func (l late) Read([]byte) (int, error) { return 0, l.err }

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Finds out at the first read that an object is missing."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
