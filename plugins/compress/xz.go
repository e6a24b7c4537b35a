package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/ulikunitz/xz/lzma"

	"github.com/barman-go/barman/sdk/codec"
)

// The .xz file format (version 1.2.1 of its specification). Every stream that
// we write has one block, whose header says how large it is, and a checksum of
// the content. Block headers are padded to sizes that nobody else uses, by which
// they tell that another stream of the same object follows or not.
const (
	xzHeaderSize = 12 // of a stream; its footer is as long
	xzMore       = 64 // size of the block header when another stream follows
	xzLast       = 60 // and when none does
	xzCheckSize  = 4
	// xzBlockFlags: one filter, both sizes given.
	xzBlockFlags = 0xc0
	xzLZMA2      = 0x21
	// xzDictionary is how far back repetitions are looked for. For WAL as long as
	// a chunk is no better, and costs three times the memory.
	xzDictionary = 256 << 10
)

// xzHeader begins every stream: magic number, CRC-32 as the check, and the
// CRC-32 of these flags.
var xzHeader = [xzHeaderSize]byte{0xfd, '7', 'z', 'X', 'Z', 0, 0, 1, 0x69, 0x22, 0xde, 0x36}

// xzEncoder makes one stream of each chunk. The library searches in one way
// only: levels would differ in the size of the dictionary, and every level's is
// larger than ours.
type xzEncoder struct{}

func (xzEncoder) encode(_ *worker, out, in []byte, at place) ([]byte, error) {
	start := len(out)
	headerSize := xzLast
	if !at.last {
		headerSize = xzMore
	}
	out = append(append(out, xzHeader[:]...), make([]byte, headerSize)...)
	block := len(out)
	out, err := lzma2(out, in)
	if err != nil {
		return nil, fmt.Errorf("xz: %w", err)
	}
	compressed := len(out) - block
	for (len(out)-block)%4 != 0 {
		out = append(out, 0)
	}
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(in))
	xzBlockHeader(out[block-headerSize:block], compressed, len(in))
	out = xzIndex(out, headerSize+compressed+xzCheckSize, len(in))
	if len(out)-start > slotSize {
		return nil, fmt.Errorf("xz: a chunk of %d bytes became %d", len(in), len(out)-start)
	}
	return out, nil
}

func lzma2(out, in []byte) ([]byte, error) {
	b := bytes.NewBuffer(out)
	w, err := lzma.Writer2Config{DictCap: xzDictionary}.NewWriter2(b)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(in); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// xzBlockHeader fills the header of a block.
func xzBlockHeader(header []byte, compressed, size int) {
	body := header[:len(header)-4]
	fields := append(body[:0], byte(len(header)/4-1), xzBlockFlags)
	fields = binary.AppendUvarint(fields, uint64(compressed))
	fields = binary.AppendUvarint(fields, uint64(size))
	_ = append(fields, xzLZMA2, 1, lzma.EncodeDictCap(xzDictionary))
	binary.LittleEndian.PutUint32(header[len(body):], crc32.ChecksumIEEE(body))
}

// xzIndex appends the index, with its one record, and the stream's footer.
func xzIndex(out []byte, unpadded, size int) []byte {
	start := len(out)
	out = append(out, 0, 1) // indicator; number of records
	out = binary.AppendUvarint(out, uint64(unpadded))
	out = binary.AppendUvarint(out, uint64(size))
	for (len(out)-start)%4 != 0 {
		out = append(out, 0)
	}
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(out[start:]))
	footer := binary.LittleEndian.AppendUint32(nil, uint32(len(out)-start)/4-1)
	footer = append(footer, xzHeader[6:8]...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(footer))
	return append(append(out, footer...), 'Y', 'Z')
}

func xzFormat() format {
	return format{
		codec: codec.XZ, head: xzHeaderSize + xzLast, measure: xzStreamSize, decode: decodeChunk(codec.XZ), stream: streamOf(codec.XZ),
	}
}

// xzStreamSize reads what xzEncoder says about a stream.
func xzStreamSize(head []byte) (size int, more, ours bool) {
	if len(head) < xzHeaderSize+xzLast || !bytes.Equal(head[:xzHeaderSize], xzHeader[:]) {
		return 0, false, false
	}
	block := head[xzHeaderSize:]
	headerSize := (int(block[0]) + 1) * 4
	if headerSize != xzMore && headerSize != xzLast || block[1] != xzBlockFlags {
		return 0, false, false
	}
	compressed, n := binary.Uvarint(block[2:])
	if n <= 0 || compressed > slotSize {
		return 0, false, false
	}
	content, m := binary.Uvarint(block[2+n:])
	if m <= 0 || content > chunkSize {
		return 0, false, false
	}
	unpadded := headerSize + int(compressed) + xzCheckSize
	size = xzHeaderSize + (unpadded+3)/4*4 + len(xzIndex(nil, unpadded, int(content)))
	return size, headerSize == xzMore, size <= slotSize
}
