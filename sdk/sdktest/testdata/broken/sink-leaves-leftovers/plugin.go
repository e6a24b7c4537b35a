// Package sinkleavesleftovers does not clean up after a failure.
package sinkleavesleftovers

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// sink is the reference, broken in one way.
type sink struct{ *reference.Directory }

func (s sink) Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	receipt, err := s.Directory.Put(ctx, o, r)
	if err != nil {
		f, err := os.CreateTemp(filepath.Join(s.Root, "incomplete"), "")
		if err == nil {
			_ = f.Close()
		}
	}
	return receipt, err
}

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Does not clean up after a failure."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
