// Command hook is a hook that keeps the contract.
package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.Hook(sdk.Info{Name: "hook", Doc: "Protects backups."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Hook, error) {
		return reference.Hook{}, nil
	})
}
