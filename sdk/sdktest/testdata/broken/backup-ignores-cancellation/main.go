// Command backup-ignores-cancellation goes on when it is cancelled.
package main

import (
	"context"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

type source struct{ reference.BaseBackup }

func (s source) Backup(ctx context.Context, req sdk.BackupRequest, emit sdk.Emitter) (sdk.BackupResult, error) {
	result, err := s.BaseBackup.Backup(ctx, req, emit)
	if ctx.Err() != nil {
		time.Sleep(time.Hour)
	}
	return result, err
}

func main() {
	serve.BackupSource(sdk.Info{Name: "broken", Doc: "Goes on when it is cancelled."}, func(_ context.Context, s sdk.Server, _ *reference.NoConfig) (sdk.BackupSource, error) {
		return source{reference.BaseBackup{Server: s}}, nil
	})
}
