// Package sinkhalfvisible shows an object while it is being stored.
package sinkhalfvisible

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
	early := o
	early.Size = 0
	if _, err := s.Directory.Put(ctx, early, bytes.NewReader(nil)); err != nil {
		return sdk.Receipt{}, err
	}
	o.Replace = true
	receipt, err := s.Directory.Put(ctx, o, r)
	if err != nil {
		// It cleans up, so only those who look in between, or after its death, see it.
		_ = s.Delete(context.WithoutCancel(ctx), []string{o.Name})
	}
	return receipt, err
}

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Shows an object while it is being stored."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
