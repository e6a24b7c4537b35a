package sdktest

import (
	"io"
	"sync"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/internal/wire"
)

// receiptBook gathers what a sink acknowledged.
type receiptBook struct {
	mu       sync.Mutex
	receipts map[string][]sdk.Receipt // by the name that the emitter gave
}

func newReceiptBook() *receiptBook { return &receiptBook{receipts: map[string][]sdk.Receipt{}} }

func (b *receiptBook) add(receipts []sdk.Receipt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range receipts {
		b.receipts[r.SourceName] = append(b.receipts[r.SourceName], r)
	}
}

func (b *receiptBook) of(name string) []sdk.Receipt {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.receipts[name]
}

// compare makes sure that each piece has one receipt, about its own bytes.
func (b *receiptBook) compare(t T, pieces []piece) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range pieces {
		receipts := b.receipts[p.object.Name]
		if len(receipts) != 1 {
			t.Errorf("%d receipts for object %q", len(receipts), p.object.Name)
			continue
		}
		if r := receipts[0]; r.SourceSize != p.bytes.size {
			t.Errorf("the receipt for %q says %d bytes, %d were sent", p.object.Name, r.SourceSize, p.bytes.size)
		}
		if p.bytes.size > 64<<20 {
			continue // the absorber compared the bytes themselves
		}
		if r := receipts[0]; r.SourceCRC32C != p.crc32c() {
			t.Errorf("the receipt for %q says CRC-32C %08x, it is %08x", p.object.Name, r.SourceCRC32C, p.crc32c())
		}
	}
	if len(b.receipts) > len(pieces) {
		t.Errorf("receipts for %d objects, %d were sent", len(b.receipts), len(pieces))
	}
}

func (p piece) crc32c() uint32 {
	r := p.reader()
	if r == nil {
		return 0
	}
	sum := wire.NewChecksum(r)
	// A content has no errors.
	_, _ = io.Copy(io.Discard, sum)
	return sum.CRC32C()
}
