// Package sinkdeletemissing is surprised that what it shall delete is gone.
package sinkdeletemissing

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// sink is the reference, broken in one way.
type sink struct{ *reference.Directory }

func (s sink) Delete(ctx context.Context, names []string) error {
	for _, name := range names {
		_, r, err := s.Get(ctx, name)
		if err != nil {
			return err
		}
		if err := r.Close(); err != nil {
			return err
		}
	}
	return s.Directory.Delete(ctx, names)
}

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Is surprised that what it shall delete is gone."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
