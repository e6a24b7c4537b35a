// Package transformdropsbytes forgets to write what is left at the end.
package transformdropsbytes

import (
	"bufio"
	"context"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// transform is the reference, broken in one way.
type transform struct{ reference.Rot13 }

func (t transform) Encode(ctx context.Context, o sdk.Object, dst io.Writer, src io.Reader) error {
	return t.Rot13.Encode(ctx, o, bufio.NewWriterSize(dst, 64), src)
}

// Serve is the plugin.
func Serve() {
	serve.Transform(sdk.Info{Name: "broken", Doc: "Forgets to write what is left at the end."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Transform, error) {
		return transform{}, nil
	})
}
