// Command gzip is a transform that keeps the contract.
package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.Transform(sdk.Info{Name: "gzip", Doc: "Compresses objects."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Transform, error) {
		return reference.Gzip{}, nil
	})
}
