// Package backupswallowserrors calls a backup complete that its emitter refused.
package backupswallowserrors

import (
	"context"
	"io"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

type source struct{ reference.BaseBackup }

func (s source) Backup(ctx context.Context, req sdk.BackupRequest, emit sdk.Emitter) (sdk.BackupResult, error) {
	if _, err := s.BaseBackup.Backup(ctx, req, deaf{emit}); sdk.KindOf(err) == sdk.Unavailable {
		return sdk.BackupResult{}, nil
	}
	return reference.Result(time.Now()), nil
}

type deaf struct{ sdk.Emitter }

func (d deaf) Emit(ctx context.Context, o sdk.Object, r io.Reader) error {
	// Nobody hears of it.
	_ = d.Emitter.Emit(ctx, o, r)
	return nil
}

// Serve is the plugin.
func Serve() {
	serve.BackupSource(sdk.Info{Name: "broken", Doc: "Calls a backup complete that its emitter refused."}, func(_ context.Context, s sdk.Server, _ *reference.NoConfig) (sdk.BackupSource, error) {
		return source{reference.BaseBackup{Server: s}}, nil
	})
}
