// Package sinkunsorted lists backwards.
package sinkunsorted

import (
	"context"
	"iter"
	"sort"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// sink is the reference, broken in one way.
type sink struct{ *reference.Directory }

func (s sink) List(_ context.Context, prefix string) iter.Seq2[sdk.Object, error] {
	return func(yield func(sdk.Object, error) bool) {
		objects, err := s.Objects(prefix)
		if err != nil {
			yield(sdk.Object{}, err)
			return
		}
		sort.Slice(objects, func(i, j int) bool { return objects[i].Name > objects[j].Name })
		for _, o := range objects {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Lists backwards."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
