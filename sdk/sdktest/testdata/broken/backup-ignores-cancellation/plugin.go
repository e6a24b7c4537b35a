// Package backupignorescancellation does not take no for an answer.
package backupignorescancellation

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
	if err != nil && sdk.KindOf(err) != sdk.Unavailable {
		time.Sleep(time.Hour)
	}
	return result, err
}

// Serve is the plugin.
func Serve() {
	serve.BackupSource(sdk.Info{Name: "broken", Doc: "Does not take no for an answer."}, func(_ context.Context, s sdk.Server, _ *reference.NoConfig) (sdk.BackupSource, error) {
		return source{reference.BaseBackup{Server: s}}, nil
	})
}
