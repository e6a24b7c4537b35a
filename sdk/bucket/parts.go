package bucket

import (
	"context"
	"hash/crc32"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/semaphore"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// partSize is how many bytes the part of a number has, from 1 on. Any object a
// store can hold fits its number of parts: four fifths of them have the same size,
// which is enough for 100 GB in a store that takes 10,000; then it doubles again
// and again.
func partSize(base int64, number int, l Limits) int64 {
	size := base
	if l.MaxParts > 0 {
		even, step := l.MaxParts*80/100, l.MaxParts*12/1000
		if number > l.MaxParts/10 {
			size = max(size, defaultPartSize)
		}
		for n := number; n > even && size < 1<<40; n -= step {
			size *= 2
		}
	}
	if l.MaxPart > 0 {
		size = min(size, l.MaxPart)
	}
	return max(size, l.MinPart)
}

// buffers bounds the memory of parts. A part waits until there is room for it;
// one that is larger than all the room gets all of it.
type buffers struct {
	size  int64
	room  *semaphore.Weighted
	limit *collector

	mu   sync.Mutex
	free [][]byte
}

func newBuffers(size int64, limit *collector) *buffers {
	return &buffers{size: size, room: semaphore.NewWeighted(size), limit: limit}
}

// take returns a buffer of a size.
func (b *buffers) take(ctx context.Context, size int64) ([]byte, error) {
	if err := b.room.Acquire(ctx, min(size, b.size)); err != nil {
		return nil, context.Cause(ctx)
	}
	return b.buffer(size), nil
}

// tryTake returns a buffer of a size if there is room for it now, else nil.
func (b *buffers) tryTake(size int64) []byte {
	if size > b.size || !b.room.TryAcquire(size) {
		return nil
	}
	return b.buffer(size)
}

// worthKeeping is the size from which buffers are used again.
const worthKeeping = 1 << 20

// buffer is one that was given back, or a new one. Kept ones of another size are
// let go: parts of that size are past.
func (b *buffers) buffer(size int64) []byte {
	if size < worthKeeping {
		return make([]byte, size)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for last := len(b.free) - 1; last >= 0; last-- {
		buffer := b.free[last]
		b.free = b.free[:last]
		if int64(cap(buffer)) == size {
			return buffer[:size]
		}
		b.limit.exempt(-int64(cap(buffer)))
	}
	b.limit.exempt(size)
	return make([]byte, size)
}

// giveBack returns a buffer. One that somebody may still read, as the connection of
// a request that failed may, is not used again.
func (b *buffers) giveBack(buffer []byte, again bool) {
	size := int64(cap(buffer))
	if size >= worthKeeping {
		b.mu.Lock()
		if again {
			b.free = append(b.free, buffer[:size])
		} else {
			b.limit.exempt(-size)
		}
		b.mu.Unlock()
	}
	b.room.Release(min(size, b.size))
}

// collector is the garbage collector's limit, which is for what comes and goes.
type collector struct{ mu sync.Mutex }

// exempt moves the limit by the size of buffers, which stay: with less room than they
// take the collector would run all the time. A process without a limit keeps none.
func (c *collector) exempt(bytes int64) {
	const none = 1 << 62
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit := debug.SetMemoryLimit(-1); limit < none {
		debug.SetMemoryLimit(limit + bytes)
	}
}
