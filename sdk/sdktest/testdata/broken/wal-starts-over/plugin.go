// Package walstartsover begins at the server's position whatever it has already.
package walstartsover

import (
	"context"
	"os"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

type source struct{ reference.WAL }

func (s source) Receive(ctx context.Context, req sdk.ReceiveRequest, report func(sdk.WALProgress)) error {
	scratch, err := os.MkdirTemp(req.Directory, "")
	if err != nil {
		return err
	}
	next, err := s.Next(scratch)
	if err != nil {
		return err
	}
	if err := os.Remove(scratch); err != nil {
		return err
	}
	if err := os.WriteFile(req.Directory+"/"+reference.Segment(next)+".partial", nil, 0o600); err != nil {
		return err
	}
	return s.WAL.Receive(ctx, req, report)
}

// Serve is the plugin.
func Serve() {
	serve.WALSource(sdk.Info{Name: "broken", Doc: "Begins at the server's position whatever it has already."}, func(_ context.Context, s sdk.Server, _ *reference.NoConfig) (sdk.WALSource, error) {
		return source{reference.WAL{Server: s}}, nil
	})
}
