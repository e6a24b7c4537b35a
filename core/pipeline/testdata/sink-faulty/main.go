// Command sink-faulty is the sink "faulty" for tests: it takes some objects and
// forgets them, and then fails.
package main

import (
	"context"
	"hash/crc32"
	"io"
	"iter"
	"sync/atomic"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

type config struct {
	Takes    int    `hcl:"takes,optional" doc:"How many objects it takes."`
	AtOnce   bool   `hcl:"at_once,optional" doc:"Fail before the object is read rather than after."`
	Complain string `hcl:"complaint,optional" doc:"The error after that." default:"the disk is on fire"`
	Broken   bool   `hcl:"broken,optional" doc:"It cannot even be opened."`
}

func main() {
	serve.Sink(sdk.Info{Name: "faulty", Doc: "Fails."}, func(_ context.Context, _ sdk.Server, c *config) (sdk.Sink, error) {
		if c.Broken {
			return nil, sdk.Errorf(sdk.Unavailable, "no connection to the store")
		}
		return &sink{config: *c}, nil
	})
}

type sink struct {
	config
	taken atomic.Int64
}

func (s *sink) fault() error { return sdk.Errorf(sdk.Denied, "%s", s.Complain) }

func (s *sink) Put(_ context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	fails := s.taken.Add(1) > int64(s.Takes)
	if fails && s.AtOnce {
		return sdk.Receipt{}, s.fault()
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	n, err := io.Copy(sum, r)
	switch {
	case err != nil:
		return sdk.Receipt{}, err
	case fails:
		return sdk.Receipt{}, s.fault()
	}
	return sdk.Receipt{Name: o.Name, Size: n, CRC32C: sum.Sum32()}, nil
}

func (s *sink) Flush(context.Context) error { return nil }

func (s *sink) Get(context.Context, string) (sdk.Object, io.ReadCloser, error) {
	return sdk.Object{}, nil, s.fault()
}

func (s *sink) List(context.Context, string) iter.Seq2[sdk.Object, error] {
	return func(yield func(sdk.Object, error) bool) { yield(sdk.Object{}, s.fault()) }
}

func (s *sink) Delete(context.Context, []string) error { return s.fault() }
