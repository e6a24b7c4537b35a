package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

// version is set by the linker.
var version = "dev"

func main() {
	serve.Transform(sdk.Info{Name: "compress", Version: version, Doc: "Compresses objects with gzip, bzip2, xz, lz4, zstd, snappy or a command of yours, on all cores."}, open)
}

func open(_ context.Context, _ sdk.Server, config *Config) (sdk.Transform, error) { return New(config) }
