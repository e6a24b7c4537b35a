// Command backup is a source of base backups that keeps the contract.
package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.BackupSource(sdk.Info{Name: "backup", Doc: "Makes up base backups."}, func(_ context.Context, s sdk.Server, _ *reference.NoConfig) (sdk.BackupSource, error) {
		return reference.BaseBackup{Server: s}, nil
	})
}
