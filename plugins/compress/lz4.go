package main

import (
	"encoding/binary"
	"fmt"

	"github.com/pierrec/lz4/v4"

	"github.com/barman-go/barman/sdk/codec"
)

// The lz4 frame format (doc/lz4_Frame_format.md of the lz4 project, version
// 1.6.3).
const (
	lz4Magic        uint32 = 0x184d2204
	lz4Uncompressed uint32 = 1 << 31 // in a block's size: the data is stored as it is

	lz4VersionOne     = 0b01000000
	lz4Independent    = 0b00100000
	lz4BlockChecksum  = 0b00010000
	lz4HasSize        = 0b00001000
	lz4ContentChecked = 0b00000100
	lz4HasDictionary  = 0b00000001

	// lz4BlockSize is the size of the blocks we write; lz4BlockCode is its code.
	// Larger blocks do not fit in the cache: they cost time and gain nothing.
	lz4BlockSize = 256 << 10
	lz4BlockCode = 5
	// lz4MaxHeader is the size of the longest frame header.
	lz4MaxHeader = 19
)

// lz4Encoder makes one lz4 frame of an object, and of each chunk some of its
// blocks. Each block has a checksum, so that both ways can use several cores;
// a checksum of the whole content could not.
type lz4Encoder struct {
	header []byte
	level  lz4.CompressionLevel
}

func newLZ4Encoder(level codec.Level) *lz4Encoder {
	descriptor := []byte{lz4VersionOne | lz4Independent | lz4BlockChecksum, lz4BlockCode << 4}
	header := binary.LittleEndian.AppendUint32(nil, lz4Magic)
	header = append(header, descriptor...)
	header = append(header, lz4HeaderChecksum(descriptor))
	return &lz4Encoder{header: header, level: level.LZ4()}
}

func lz4HeaderChecksum(descriptor []byte) byte { return byte(xxh32(descriptor) >> 8) }

func (e *lz4Encoder) encode(w *worker, out, in []byte, at place) ([]byte, error) {
	if at.first {
		out = append(out, e.header...)
	}
	for len(in) > 0 {
		block := in[:min(len(in), lz4BlockSize)]
		in = in[len(block):]
		var err error
		if out, err = e.appendBlock(&w.lz4, out, block); err != nil {
			return nil, fmt.Errorf("lz4: %w", err)
		}
	}
	if at.last {
		out = binary.LittleEndian.AppendUint32(out, 0)
	}
	return out, nil
}

// appendBlock appends size, data and checksum of a block, as it is when it
// does not become smaller.
func (e *lz4Encoder) appendBlock(c *lz4Compressor, out, block []byte) ([]byte, error) {
	at := len(out)
	out = append(out, 0, 0, 0, 0)
	n, err := c.compress(out[at+4:at+4+len(block)-1], block, e.level)
	if err != nil {
		return nil, err
	}
	size := uint32(n)
	if n > 0 {
		out = out[:at+4+n]
	} else {
		out = append(out, block...)
		size = uint32(len(block)) | lz4Uncompressed
	}
	binary.LittleEndian.PutUint32(out[at:], size)
	return binary.LittleEndian.AppendUint32(out, xxh32(out[at+4:])), nil
}

// lz4Compressor is a worker's state: tables that are worth keeping.
type lz4Compressor struct {
	fast *lz4.CompressorCCompat
	high *lz4.CompressorHC
}

// compress returns 0 when the block does not fit in out.
func (c *lz4Compressor) compress(out, block []byte, level lz4.CompressionLevel) (int, error) {
	var n int
	var err error
	switch {
	case level != lz4.Fast:
		if c.high == nil {
			c.high = &lz4.CompressorHC{Level: level}
		}
		n, err = c.high.CompressBlock(block, out)
	default:
		if c.fast == nil {
			c.fast = &lz4.CompressorCCompat{}
		}
		n, err = c.fast.CompressBlock(block, out)
	}
	if err == lz4.ErrInvalidSourceShortBuffer {
		return 0, nil
	}
	return n, err
}
