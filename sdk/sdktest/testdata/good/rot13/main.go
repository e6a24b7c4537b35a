// Command rot13 is a transform that keeps the contract.
package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.Transform(sdk.Info{Name: "rot13", Doc: "Rotates letters."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Transform, error) {
		return reference.Rot13{}, nil
	})
}
