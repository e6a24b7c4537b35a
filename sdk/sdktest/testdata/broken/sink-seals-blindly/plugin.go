// Package sinksealsblindly seals a landing directory without a look at it.
package sinksealsblindly

import (
	"context"
	"os"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// sink is the reference, broken in one way.
type sink struct{ *reference.Directory }

// Land grants a directory.
func (s sink) Land(_ context.Context, name, reference string) (sdk.Landing, error) {
	landing := sdk.Landing{Directory: s.File(name)}
	if info, err := os.Stat(s.File(reference)); err == nil && info.IsDir() {
		landing.Reference = s.File(reference)
	}
	return landing, os.MkdirAll(landing.Directory, 0o700)
}

// Seal does nothing.
func (s sink) Seal(context.Context, string) (sdk.Sealed, error) { return sdk.Sealed{}, nil }

// Serve is the plugin.
func Serve() {
	serve.LandingSink(sdk.Info{Name: "broken", Doc: "Seals without a look."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.LandingSink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
