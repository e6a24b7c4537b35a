// Command directory is a sink that keeps the contract.
package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.Sink(sdk.Info{Name: "directory", Doc: "Keeps objects as files."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		return reference.OpenDirectory(ctx, s, c)
	})
}
