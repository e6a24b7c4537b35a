package bucket

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barman-go/barman/sdk"
)

// memory is a store, and the faults that a test asks for.
type memory struct {
	limits Limits
	// page is how many keys a list returns at once.
	page int
	// plain is a store that keeps no checksums.
	plain bool
	// lose tells of a request that its answer is lost.
	lose func(request string) bool
	// swept is when Sweep was asked for.
	swept []string
	// partTime is how long a part takes.
	partTime time.Duration

	atOnce, most atomic.Int64

	mu      sync.Mutex
	objects map[string][]byte
	pending int
	order   []int
}

func newMemory() *memory {
	return &memory{objects: map[string][]byte{}, page: 3, limits: Limits{MinPart: 1, Delete: 2}, lose: func(string) bool { return false }}
}

func (m *memory) answer(request string) error {
	if m.lose(request) {
		return sdk.Errorf(sdk.Unavailable, "the answer was lost")
	}
	return nil
}

func (m *memory) store(key string, body []byte, ifAbsent bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, exists := m.objects[key]; exists && ifAbsent {
		return sdk.Errorf(sdk.Exists, "it exists")
	}
	m.objects[key] = bytes.Clone(body)
	return nil
}

func (m *memory) Put(_ context.Context, key string, body []byte, sum uint32, ifAbsent bool) error {
	if crc32.Checksum(body, castagnoli) != sum {
		return sdk.Errorf(sdk.Corrupt, "a wrong checksum")
	}
	if err := m.store(key, body, ifAbsent); err != nil {
		return err
	}
	return m.answer("put")
}

func (m *memory) attributes(key string) Attributes {
	body := m.objects[key]
	return Attributes{Key: key, Size: int64(len(body)), ETag: fmt.Sprint(len(body)), CRC32C: crc32.Checksum(body, castagnoli), HasCRC32C: !m.plain}
}

func (m *memory) Head(_ context.Context, key string) (Attributes, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, exists := m.objects[key]; !exists {
		return Attributes{}, sdk.Errorf(sdk.NotFound, "no such object")
	}
	return m.attributes(key), nil
}

func (m *memory) Get(ctx context.Context, key, _ string, offset, length int64) (Attributes, io.ReadCloser, error) {
	a, err := m.Head(ctx, key)
	if err != nil {
		return a, nil, err
	}
	body := m.objects[key][offset:]
	if length > 0 {
		body = body[:length]
	}
	return a, io.NopCloser(bytes.NewReader(body)), nil
}

func (m *memory) List(_ context.Context, prefix, after string) ([]Attributes, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page []Attributes
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if !strings.HasPrefix(key, prefix) || key <= after {
			continue
		}
		if len(page) == m.page {
			return page, true, nil
		}
		page = append(page, m.attributes(key))
	}
	return page, false, nil
}

func (m *memory) Delete(_ context.Context, keys []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(keys) > m.limits.Delete {
		return sdk.Errorf(sdk.Invalid, "%d keys at once", len(keys))
	}
	for _, key := range keys {
		delete(m.objects, key)
	}
	return nil
}

func (m *memory) Sweep(_ context.Context, prefix string, _ time.Time) error {
	m.swept = append(m.swept, prefix)
	return nil
}

func (m *memory) CreateBucket(context.Context) error { return nil }
func (m *memory) Limits() Limits                     { return m.limits }

func (m *memory) Begin(_ context.Context, key string, ifAbsent bool) (Upload, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending++
	return &memoryUpload{store: m, key: key, ifAbsent: ifAbsent, parts: map[int][]byte{}}, nil
}

type memoryUpload struct {
	store    *memory
	key      string
	ifAbsent bool
	gone     bool
	parts    map[int][]byte
}

func (u *memoryUpload) Part(_ context.Context, number int, body []byte, sum uint32, _ bool) error {
	m := u.store
	now := m.atOnce.Add(1)
	defer m.atOnce.Add(-1)
	for most := m.most.Load(); now > most && !m.most.CompareAndSwap(most, now); most = m.most.Load() {
	}
	time.Sleep(m.partTime)
	if crc32.Checksum(body, castagnoli) != sum {
		return sdk.Errorf(sdk.Corrupt, "a wrong checksum")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u.parts[number] = bytes.Clone(body)
	m.order = append(m.order, number)
	return m.answer("part")
}

func (u *memoryUpload) Complete(_ context.Context, size int64, sum uint32) error {
	if u.gone {
		return sdk.Errorf(sdk.NotFound, "no such upload")
	}
	var body []byte
	for number := range len(u.parts) {
		body = append(body, u.parts[number+1]...)
	}
	if int64(len(body)) != size || crc32.Checksum(body, castagnoli) != sum {
		return sdk.Errorf(sdk.Corrupt, "a wrong checksum")
	}
	if err := u.store.store(u.key, body, u.ifAbsent); err != nil {
		return err
	}
	u.forget()
	return u.store.answer("complete")
}

func (u *memoryUpload) Abort(context.Context) error {
	if !u.gone {
		u.forget()
	}
	return nil
}

func (u *memoryUpload) forget() {
	u.gone = true
	u.store.mu.Lock()
	defer u.store.mu.Unlock()
	u.store.pending--
}
