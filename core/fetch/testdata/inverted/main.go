// Command inverted is the transform "inverted": it inverts every bit, so that
// nobody recognises what is stored.
package main

import (
	"context"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.Transform(sdk.Info{Name: "inverted", Doc: "Inverts every bit."},
		func(context.Context, sdk.Server, *struct{}) (sdk.Transform, error) { return inverted{}, nil })
}

type inverted struct{}

func (inverted) Encode(_ context.Context, _ sdk.Object, dst io.Writer, src io.Reader) error {
	_, err := io.Copy(dst, inverter{src})
	return err
}

func (inverted) Decode(_ context.Context, _ sdk.Object, dst io.Writer, src io.Reader) error {
	_, err := io.Copy(dst, inverter{src})
	return err
}

func (inverted) Suffix() string { return "" }

type inverter struct{ io.Reader }

func (i inverter) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	for at := range p[:n] {
		p[at] ^= 0xff
	}
	return n, err
}
