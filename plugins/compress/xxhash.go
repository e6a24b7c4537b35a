package main

import (
	"encoding/binary"
	"math/bits"
)

// The primes of xxHash (doc/xxhash_spec.md of the xxHash project).
const (
	prime1 uint32 = 2654435761
	prime2 uint32 = 2246822519
	prime3 uint32 = 3266489917
	prime4 uint32 = 668265263
	prime5 uint32 = 374761393
)

// xxh32 is the 32 bit xxHash with seed 0, the checksum of lz4 frames.
func xxh32(b []byte) uint32 {
	size := uint32(len(b))
	h := prime5
	if len(b) >= 16 {
		v1, v2, v3, v4 := prime1, prime2, uint32(0), uint32(0)
		v1 += v2
		v4 -= prime1
		for ; len(b) >= 16; b = b[16:] {
			v1 = round(v1, binary.LittleEndian.Uint32(b[0:4]))
			v2 = round(v2, binary.LittleEndian.Uint32(b[4:8]))
			v3 = round(v3, binary.LittleEndian.Uint32(b[8:12]))
			v4 = round(v4, binary.LittleEndian.Uint32(b[12:16]))
		}
		h = bits.RotateLeft32(v1, 1) + bits.RotateLeft32(v2, 7) + bits.RotateLeft32(v3, 12) + bits.RotateLeft32(v4, 18)
	}
	h += size
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*prime3, 17) * prime4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*prime5, 11) * prime1
	}
	h = (h ^ h>>15) * prime2
	h = (h ^ h>>13) * prime3
	return h ^ h>>16
}

func round(v, lane uint32) uint32 {
	return bits.RotateLeft32(v+lane*prime2, 13) * prime1
}
