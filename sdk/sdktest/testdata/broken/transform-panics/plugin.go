// Package transformpanics panics at an empty object.
package transformpanics

import (
	"context"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// transform is the reference, broken in one way.
type transform struct{ reference.Rot13 }

func (t transform) Encode(ctx context.Context, o sdk.Object, dst io.Writer, src io.Reader) error {
	b := make([]byte, 1)
	n, err := src.Read(b)
	if n == 0 {
		panic(err)
	}
	if err := reference.Map(dst, &first{b[:n], src}, func(b byte) byte { return b }); err != nil {
		return err
	}
	return nil
}

func (transform) Decode(_ context.Context, _ sdk.Object, dst io.Writer, src io.Reader) error {
	return reference.Map(dst, src, func(b byte) byte { return b })
}

type first struct {
	b []byte
	r io.Reader
}

func (f *first) Read(p []byte) (int, error) {
	if len(f.b) > 0 {
		n := copy(p, f.b)
		f.b = f.b[n:]
		return n, nil
	}
	return f.r.Read(p)
}

// Serve is the plugin.
func Serve() {
	serve.Transform(sdk.Info{Name: "broken", Doc: "Panics at an empty object."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Transform, error) {
		return transform{}, nil
	})
}
