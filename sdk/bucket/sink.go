package bucket

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/barman-go/barman/sdk"
)

// Options are what a bucket's sink is told by its settings. New replaces zeroes
// with the defaults.
type Options struct {
	// URL is the bucket's name for people, "s3://backups". Keys are appended to it.
	URL string
	// Layout maps names to keys.
	Layout Layout
	// Parallel is how many requests carry bytes at once, at least 1; default 4.
	Parallel int
	// PartSize is how many bytes a part of an upload has; default 12 MiB. It grows with
	// the number of parts.
	PartSize int64
	// SinglePut is how many bytes an object that is stored in one request has at most,
	// and the first part of a larger one; default PartSize, and with the default of that
	// 16 MiB: a WAL segment.
	SinglePut int64
	// Patience is how long a store that does not answer is asked again; default 3
	// minutes, which a restart of the store or of a router takes.
	Patience time.Duration
	// CreateBucket makes the bucket before it is used first, if it is missing.
	CreateBucket bool
}

const (
	defaultParallel  = 4
	defaultPartSize  = 12 << 20
	defaultSinglePut = 16 << 20
	defaultPatience  = 3 * time.Minute
)

// Sink stores objects in a bucket. It is an sdk.Sink.
//
// An upload is bounded in memory by Parallel parts, all uploads of the sink
// together; so are downloads, but for one request of each that needs no
// buffer.
type Sink struct {
	store   Store
	options Options
	limits  Limits
	layout  Layout

	parts  *buffers
	ranges *buffers
	swept  sync.Once
	create sync.Mutex
	exists bool
}

var _ sdk.Sink = (*Sink)(nil)

// New makes a sink of a store. It asks nothing of the store yet.
func New(store Store, o Options) *Sink {
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel
	}
	if o.PartSize <= 0 && o.SinglePut <= 0 {
		o.SinglePut = defaultSinglePut
	}
	if o.PartSize <= 0 {
		o.PartSize = defaultPartSize
	}
	if o.SinglePut <= 0 {
		o.SinglePut = o.PartSize
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	limits := store.Limits()
	for _, size := range []*int64{&o.PartSize, &o.SinglePut} {
		*size = max(*size, limits.MinPart)
		if limits.MaxPart > 0 {
			*size = min(*size, limits.MaxPart)
		}
	}
	limit := new(collector)
	return &Sink{
		store: store, options: o, limits: limits, layout: o.Layout,
		parts: newBuffers(int64(o.Parallel)*max(o.PartSize, defaultPartSize), limit),
		// One request of each download needs no buffer.
		ranges: newBuffers(int64(o.Parallel-1)*rangeSize, limit),
	}
}

// Flush does nothing: what Put stored is durable.
func (s *Sink) Flush(context.Context) error { return nil }

// ready makes the bucket if that is wanted and has not been done.
func (s *Sink) ready(ctx context.Context) error {
	if !s.options.CreateBucket {
		return nil
	}
	s.create.Lock()
	defer s.create.Unlock()
	if s.exists {
		return nil
	}
	if err := s.try(ctx, "create the bucket", "", s.store.CreateBucket); err != nil {
		return err
	}
	s.exists = true
	return nil
}

// where names an object, or the bucket, for people.
func (s *Sink) where(key string) string {
	if key == "" {
		return s.options.URL
	}
	return fmt.Sprintf("%s/%s", s.options.URL, key)
}
