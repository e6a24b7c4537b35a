// Command wal is a source of WAL that keeps the contract.
package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.WALSource(sdk.Info{Name: "wal", Doc: "Makes up WAL."}, func(_ context.Context, s sdk.Server, _ *reference.NoConfig) (sdk.WALSource, error) {
		return reference.WAL{Server: s}, nil
	})
}
