// Package walreportsearly reports a segment before it has it.
package walreportsearly

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

type source struct{ reference.WAL }

func (s source) Receive(ctx context.Context, req sdk.ReceiveRequest, report func(sdk.WALProgress)) error {
	elsewhere, err := os.MkdirTemp("", "held-back")
	if err != nil {
		return err
	}
	var held string
	var failure error
	err = s.WAL.Receive(ctx, req, func(p sdk.WALProgress) {
		if held != "" {
			failure = errors.Join(failure, os.Rename(filepath.Join(elsewhere, held), filepath.Join(req.Directory, held)))
		}
		held = p.Finished
		failure = errors.Join(failure, os.Rename(filepath.Join(req.Directory, held), filepath.Join(elsewhere, held)))
		report(p)
	})
	return errors.Join(err, failure, os.RemoveAll(elsewhere))
}

// Serve is the plugin.
func Serve() {
	serve.WALSource(sdk.Info{Name: "broken", Doc: "Reports a segment before it has it."}, func(_ context.Context, s sdk.Server, _ *reference.NoConfig) (sdk.WALSource, error) {
		return source{reference.WAL{Server: s}}, nil
	})
}
