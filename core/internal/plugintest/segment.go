package plugintest

import (
	endian "encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/barman-go/barman/sdk/wal"
)

// SystemID identifies the cluster whose WAL Segment makes.
const SystemID = 7123456789012345678

// Segment makes the content of a segment of the least size: a true first page
// and bytes that belong to its name.
func Segment(t testing.TB, name string) []byte {
	t.Helper()
	const size = wal.MinSegmentSize
	n, err := wal.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	segment, err := n.Segment(size)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(n.Seg), byte(n.Seg >> 8), byte(n.Log), byte(n.Timeline)})
	if _, err := random.Read(b[:size/4]); err != nil {
		t.Fatal(err)
	}
	order := endian.LittleEndian
	order.PutUint16(b[0:], 0xD110)
	order.PutUint16(b[2:], 2)
	order.PutUint32(b[4:], uint32(n.Timeline))
	order.PutUint64(b[8:], uint64(segment.Start(size)))
	order.PutUint64(b[24:], SystemID)
	order.PutUint32(b[32:], uint32(size))
	order.PutUint32(b[36:], 8192)
	return b
}
