// Package transformignorescancellation does not take no for an answer.
package transformignorescancellation

import (
	"context"
	"io"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// transform is the reference, broken in one way.
type transform struct{ reference.Rot13 }

func (t transform) Encode(ctx context.Context, o sdk.Object, dst io.Writer, src io.Reader) error {
	err := t.Rot13.Encode(ctx, o, dst, src)
	if err != nil {
		time.Sleep(time.Hour)
	}
	return err
}

// Serve is the plugin.
func Serve() {
	serve.Transform(sdk.Info{Name: "broken", Doc: "Does not take no for an answer."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Transform, error) {
		return transform{}, nil
	})
}
