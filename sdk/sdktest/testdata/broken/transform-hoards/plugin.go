// Package transformhoards keeps an object in memory until it has all of it.
package transformhoards

import (
	"bytes"
	"context"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// transform is the reference, broken in one way.
type transform struct{ reference.Rot13 }

func (t transform) Encode(ctx context.Context, o sdk.Object, dst io.Writer, src io.Reader) error {
	b, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	return t.Rot13.Encode(ctx, o, dst, bytes.NewReader(b))
}

// Serve is the plugin.
func Serve() {
	serve.Transform(sdk.Info{Name: "broken", Doc: "Keeps an object in memory until it has all of it."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Transform, error) {
		return transform{}, nil
	})
}
