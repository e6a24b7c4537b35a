// Package backupcutsarchives leaves out the end of its archives.
package backupcutsarchives

import (
	"context"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

type source struct{ reference.BaseBackup }

func (s source) Backup(ctx context.Context, req sdk.BackupRequest, emit sdk.Emitter) (sdk.BackupResult, error) {
	return s.BaseBackup.Backup(ctx, req, cutter{emit})
}

type cutter struct{ sdk.Emitter }

func (c cutter) Emit(ctx context.Context, o sdk.Object, r io.Reader) error {
	if o.Kind == sdk.KindTar {
		o.Size /= 2
		r = io.LimitReader(r, o.Size)
	}
	return c.Emitter.Emit(ctx, o, r)
}

// Serve is the plugin.
func Serve() {
	serve.BackupSource(sdk.Info{Name: "broken", Doc: "Leaves out the end of its archives."}, func(_ context.Context, s sdk.Server, _ *reference.NoConfig) (sdk.BackupSource, error) {
		return source{reference.BaseBackup{Server: s}}, nil
	})
}
