// Package sinkdeletestoomuch deletes everything whose name begins alike.
package sinkdeletestoomuch

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
		objects, err := s.Objects(name)
		if err != nil {
			return err
		}
		for _, o := range objects {
			if err := s.Directory.Delete(ctx, []string{o.Name}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Deletes everything whose name begins alike."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
