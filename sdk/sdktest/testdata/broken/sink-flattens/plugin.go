// Package sinkflattens takes a colon for a slash in names.
package sinkflattens

import (
	"context"
	"io"
	"iter"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// sink is the reference, broken in one way.
type sink struct{ *reference.Directory }

func flat(name string) string { return strings.ReplaceAll(name, ":", "/") }

func (s sink) Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	name := o.Name
	o.Name = flat(name)
	receipt, err := s.Directory.Put(ctx, o, r)
	receipt.Name = name
	return receipt, err
}

func (s sink) Get(ctx context.Context, name string) (sdk.Object, io.ReadCloser, error) {
	return s.Directory.Get(ctx, flat(name))
}

func (s sink) List(ctx context.Context, prefix string) iter.Seq2[sdk.Object, error] {
	return s.Directory.List(ctx, flat(prefix))
}

func (s sink) Delete(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := s.Directory.Delete(ctx, []string{flat(name)}); err != nil {
			return err
		}
	}
	return nil
}

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Takes a colon for a slash in names."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
