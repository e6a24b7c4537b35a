// Package transformnotinverse does not take back what it did.
package transformnotinverse

import (
	"context"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// transform is the reference, broken in one way.
type transform struct{ reference.Rot13 }

func (transform) Decode(_ context.Context, _ sdk.Object, dst io.Writer, src io.Reader) error {
	return reference.Map(dst, src, func(b byte) byte { return b })
}

// Serve is the plugin.
func Serve() {
	serve.Transform(sdk.Info{Name: "broken", Doc: "Does not take back what it did."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Transform, error) {
		return transform{}, nil
	})
}
