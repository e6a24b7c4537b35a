package main

import (
	"sync"

	"github.com/dsnet/compress/bzip2"
	"github.com/klauspost/compress/s2"
)

const (
	// chunkSize is how much of an object is compressed at a time. Larger chunks
	// gain less than 1 % of size on table data and cost memory and cache.
	chunkSize = 1 << 20
	// slotSize is the capacity of a slot's buffers: a chunk that does not
	// compress grows by headers, block headers and checksums, at most 3 % in
	// deflate's case.
	slotSize = chunkSize + chunkSize/32
)

// slot is the room for one chunk on its way through a worker.
type slot struct {
	in, out []byte
	err     error
	done    chan struct{}
}

// worker is the permission to use one core, with the state of the codecs that
// is worth keeping between chunks.
type worker struct {
	deflate  deflater
	lz4      lz4Compressor
	zstd     zstdDecoder
	inflate  inflater
	bzip2    *bzip2.Writer
	snappy   *s2.Writer
	unsnappy *s2.Reader
}

// shop is what all calls of a transform share: a fixed number of workers and
// of slots, so that memory and cores stay bounded however many objects are
// under way.
type shop struct {
	workers chan *worker
	slots   chan *slot
	// spare keeps the slots made beyond the fixed number; see line.slot.
	spare sync.Pool
}

// newShop makes a shop. Two slots for each worker keep it busy while its
// last chunk waits to be written; one more is being filled.
func newShop(workers int) *shop {
	slots := 2*workers + 1
	s := &shop{workers: make(chan *worker, workers), slots: make(chan *slot, slots)}
	for range workers {
		s.workers <- &worker{}
	}
	for range slots {
		s.slots <- &slot{}
	}
	return s
}

// prepare makes a slot ready for use. Buffers are allocated at first use: a
// process that only ever sees one small object needs one slot.
func (s *slot) prepare() *slot {
	if s.in == nil {
		s.in, s.out = make([]byte, 0, slotSize), make([]byte, 0, slotSize)
	}
	s.in, s.out, s.err = s.in[:0], s.out[:0], nil
	return s
}

// replaceOut takes the result of work on the slot: out with its content. The
// slot keeps its buffer when the work did not succeed.
func (s *slot) replaceOut(out []byte, err error) error {
	if err == nil {
		s.out = out
	}
	return err
}

func (p *shop) extra() *slot {
	if s, ok := p.spare.Get().(*slot); ok {
		return s.prepare()
	}
	return (&slot{}).prepare()
}

func (p *shop) release(s *slot) {
	select {
	case p.slots <- s:
	default:
		p.spare.Put(s)
	}
}
