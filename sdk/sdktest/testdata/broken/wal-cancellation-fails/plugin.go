// Package walcancellationfails takes being cancelled for a failure.
package walcancellationfails

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

type source struct{ reference.WAL }

func (s source) Receive(ctx context.Context, req sdk.ReceiveRequest, report func(sdk.WALProgress)) error {
	if err := s.WAL.Receive(ctx, req, report); err != nil {
		return err
	}
	return ctx.Err()
}

// Serve is the plugin.
func Serve() {
	serve.WALSource(sdk.Info{Name: "broken", Doc: "Takes being cancelled for a failure."}, func(_ context.Context, s sdk.Server, _ *reference.NoConfig) (sdk.WALSource, error) {
		return source{reference.WAL{Server: s}}, nil
	})
}
