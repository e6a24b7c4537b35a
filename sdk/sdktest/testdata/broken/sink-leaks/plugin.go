// Package sinkleaks leaves a descriptor and a goroutine behind for every object.
package sinkleaks

import (
	"context"
	"io"
	"os"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// sink is the reference, broken in one way.
type sink struct{ *reference.Directory }

func (s sink) Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return sdk.Receipt{}, err
	}
	go func() {
		select {}
	}()
	receipt, err := s.Directory.Put(ctx, o, r)
	forever = append(forever, f)
	return receipt, err
}

var forever []*os.File

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Leaves a descriptor and a goroutine behind for every object."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
