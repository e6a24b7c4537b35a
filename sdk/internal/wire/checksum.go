package wire

import (
	"hash/crc32"
	"io"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum counts and sums the bytes that are read through it.
type Checksum struct {
	r    io.Reader
	size int64
	sum  uint32
}

// NewChecksum reads through r.
func NewChecksum(r io.Reader) *Checksum { return &Checksum{r: r} }

// Read reads from the reader beneath.
func (c *Checksum) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.size += int64(n)
	c.sum = crc32.Update(c.sum, castagnoli, p[:n])
	return n, err
}

// Size is how many bytes were read.
func (c *Checksum) Size() int64 { return c.size }

// CRC32C is their checksum.
func (c *Checksum) CRC32C() uint32 { return c.sum }
