// Package backupneversplits makes one archive whatever its size.
package backupneversplits

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

type source struct{ reference.BaseBackup }

func (s source) Backup(ctx context.Context, req sdk.BackupRequest, emit sdk.Emitter) (sdk.BackupResult, error) {
	req.ArchiveSize = 0
	return s.BaseBackup.Backup(ctx, req, emit)
}

// Serve is the plugin.
func Serve() {
	serve.BackupSource(sdk.Info{Name: "broken", Doc: "Makes one archive whatever its size."}, func(_ context.Context, s sdk.Server, _ *reference.NoConfig) (sdk.BackupSource, error) {
		return source{reference.BaseBackup{Server: s}}, nil
	})
}
