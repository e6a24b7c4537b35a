// Package sinklistsdirectories takes a prefix for a directory.
package sinklistsdirectories

import (
	"context"
	"iter"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// sink is the reference, broken in one way.
type sink struct{ *reference.Directory }

func (s sink) List(ctx context.Context, prefix string) iter.Seq2[sdk.Object, error] {
	return func(yield func(sdk.Object, error) bool) {
		directory := strings.TrimSuffix(prefix, "/")
		for o, err := range s.Directory.List(ctx, directory) {
			if err == nil && o.Name != directory && !strings.HasPrefix(o.Name, directory+"/") {
				continue
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Takes a prefix for a directory."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
