// Package sinkacknowledgesearly stores what it has acknowledged later.
package sinkacknowledgesearly

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"sync"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// sink is the reference, broken in one way.
type sink struct {
	*reference.Directory
	late     *sync.RWMutex
	promised *sync.Map
}

func (s sink) Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	if r == nil {
		return s.Directory.Put(ctx, o, r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return sdk.Receipt{}, err
	}
	_, promised := s.promised.Swap(o.Name, true)
	if _, err := os.Stat(s.File(o.Name)); !o.Replace && (promised || err == nil) {
		return sdk.Receipt{}, sdk.Errorf(sdk.Exists, "%s is there already", o.Name)
	}
	s.late.RLock()
	go func() {
		defer s.late.RUnlock()
		defer s.promised.Delete(o.Name)
		time.Sleep(200 * time.Millisecond)
		// Nobody hears of an error any more.
		_, _ = s.Directory.Put(context.WithoutCancel(ctx), o, bytes.NewReader(b))
	}()
	return sdk.Receipt{Name: o.Name, Size: int64(len(b)), CRC32C: crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))}, nil
}

// Whoever asks the same process sees what it has promised.

func (s sink) Get(ctx context.Context, name string) (sdk.Object, io.ReadCloser, error) {
	s.late.Lock()
	defer s.late.Unlock()
	return s.Directory.Get(ctx, name)
}

func (s sink) List(ctx context.Context, prefix string) iter.Seq2[sdk.Object, error] {
	s.late.Lock()
	defer s.late.Unlock()
	return s.Directory.List(ctx, prefix)
}

func (s sink) Delete(ctx context.Context, names []string) error {
	s.late.Lock()
	defer s.late.Unlock()
	return s.Directory.Delete(ctx, names)
}

// Serve is the plugin.
func Serve() {
	serve.Sink(sdk.Info{Name: "broken", Doc: "Stores what it has acknowledged later."}, func(ctx context.Context, s sdk.Server, c *reference.DirectoryConfig) (sdk.Sink, error) {
		d, err := reference.OpenDirectory(ctx, s, c)
		return sink{Directory: d, late: new(sync.RWMutex), promised: new(sync.Map)}, err
	})
}
