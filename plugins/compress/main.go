package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.Transform(sdk.Info{Name: "compress", Doc: "Compresses objects with gzip, zstd or lz4, on all cores."}, open)
}

func open(_ context.Context, _ sdk.Server, config *Config) (sdk.Transform, error) { return New(config) }
