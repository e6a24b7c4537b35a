package manifest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
)

// Algorithm is how the checksum of a file was computed.
type Algorithm uint8

// The algorithms that PostgreSQL knows.
const (
	None Algorithm = iota
	CRC32C
	SHA224
	SHA256
	SHA384
	SHA512
)

// algorithms are their names and the lengths of their checksums, in bytes.
var algorithms = [...]struct {
	name string
	size int
}{None: {"NONE", 0}, CRC32C: {"CRC32C", crc32.Size}, SHA224: {"SHA224", sha256.Size224}, SHA256: {"SHA256", sha256.Size},
	SHA384: {"SHA384", sha512.Size384}, SHA512: {"SHA512", sha512.Size}}

// String is the name that the manifest has for it.
func (a Algorithm) String() string { return algorithms[a].name }

// Size is the length of a checksum in bytes.
func (a Algorithm) Size() int { return algorithms[a].size }

// ParseAlgorithm knows an algorithm by the name that manifests have for it.
func ParseAlgorithm(name string) (Algorithm, error) {
	for a, known := range algorithms {
		if known.name == name {
			return Algorithm(a), nil
		}
	}
	return None, fmt.Errorf("checksum algorithm %q is not known", clip(name))
}

// New begins a checksum; of None it is nil.
func (a Algorithm) New() hash.Hash {
	switch a {
	case CRC32C:
		return &swapped{crc32.New(castagnoli)}
	case SHA224:
		return sha256.New224()
	case SHA256:
		return sha256.New()
	case SHA384:
		return sha512.New384()
	case SHA512:
		return sha512.New()
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// swapped is a CRC-32C as PostgreSQL writes it: the least significant byte
// first, as a little-endian machine has it in memory.
type swapped struct{ hash.Hash32 }

func (s *swapped) Sum(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, s.Sum32()) }
