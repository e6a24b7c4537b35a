// Command noop is the transform "noop": it copies bytes. Benchmarks measure with
// it what one more stage costs, tests put it where a pipeline needs a stage.
package main

import (
	"context"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.Transform(sdk.Info{Name: "noop", Doc: "Copies objects as they are."},
		func(context.Context, sdk.Server, *struct{}) (sdk.Transform, error) { return noop{}, nil })
}

type noop struct{}

func (noop) Encode(_ context.Context, _ sdk.Object, dst io.Writer, src io.Reader) error {
	_, err := io.Copy(dst, src)
	return err
}

func (noop) Decode(_ context.Context, _ sdk.Object, dst io.Writer, src io.Reader) error {
	_, err := io.Copy(dst, src)
	return err
}

func (noop) Suffix() string { return "" }
