// Package sinkdropsbytes loses the last byte of an object of more than a thousand.
package sinkdropsbytes

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// sink is the reference, broken in one way.
type sink struct{ *reference.Directory }

func (s sink) Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	if r == nil {
		return s.Directory.Put(ctx, o, r)
	}
	head, err := io.ReadAll(io.LimitReader(r, 1001))
	if err != nil {
		return sdk.Receipt{}, err
	}
	if len(head) < 1001 {
		return s.Directory.Put(ctx, o, bytes.NewReader(head))
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	short := &lastByteLost{r: io.TeeReader(io.MultiReader(bytes.NewReader(head), r), sum)}
	receipt, err := s.Directory.Put(ctx, o, short)
	receipt.Size, receipt.CRC32C = receipt.Size+1, sum.Sum32()
	return receipt, err
}

type lastByteLost struct {
	r    io.Reader
	held []byte
}

func (l *lastByteLost) Read(p []byte) (int, error) {
	buffer := make([]byte, len(p))
	n, err := l.r.Read(buffer)
	if n == 0 {
		return 0, err
	}
	all := append(l.held, buffer[:n]...)
	l.held = all[len(all)-1:]
	return copy(p, all[:len(all)-1]), nil
}

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Loses the last byte of an object of more than a thousand."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d}, err
	})
}
