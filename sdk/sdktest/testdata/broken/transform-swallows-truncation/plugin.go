// Package transformswallowstruncation takes the end of its input for the end of the object.
package transformswallowstruncation

import (
	"context"
	"errors"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// transform is the reference, broken in one way.
type transform struct{ reference.Gzip }

func (t transform) Decode(ctx context.Context, o sdk.Object, dst io.Writer, src io.Reader) error {
	err := t.Gzip.Decode(ctx, o, dst, src)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Serve is the plugin.
func Serve() {
	serve.Transform(sdk.Info{Name: "broken", Doc: "Takes the end of its input for the end of the object."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Transform, error) {
		return transform{}, nil
	})
}
