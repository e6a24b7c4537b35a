package main

import (
	"bytes"
	"path"
)

// magics are the first bytes of the formats that Decode recognises. zstd's
// skippable frames (RFC 8878, section 3.1.2) begin with one of sixteen values.
var magics = []struct {
	codec string
	bytes []byte
	// loose is how many values the first byte may take from bytes[0] on.
	loose byte
}{
	{"gzip", []byte{0x1f, 0x8b}, 1},
	{"zstd", []byte{0x28, 0xb5, 0x2f, 0xfd}, 1},
	{"zstd", []byte{0x50, 0x2a, 0x4d, 0x18}, 16},
	{"lz4", []byte{0x04, 0x22, 0x4d, 0x18}, 1},
}

// magicSize is how many bytes recognise needs to see.
const magicSize = 4

// suffixes are what the tools append to a file's name.
var suffixes = map[string]string{"gzip": ".gz", "zstd": ".zst", "lz4": ".lz4", "none": ""}

// recognise returns the codec that content beginning with head was compressed
// with, empty for none. cut tells that head is all there is and ends within
// the codec's magic number.
func recognise(head []byte) (codec string, cut bool) {
	if len(head) == 0 {
		return "", false
	}
	for _, m := range magics {
		n := min(len(head), len(m.bytes))
		if head[0]-m.bytes[0] < m.loose && bytes.Equal(head[1:n], m.bytes[1:n]) {
			return m.codec, n < len(m.bytes)
		}
	}
	return "", false
}

// hasSuffix tells whether an object's name says that its content is compressed.
func hasSuffix(name string) bool {
	extension := path.Ext(name)
	for _, suffix := range suffixes {
		if suffix != "" && suffix == extension {
			return true
		}
	}
	return false
}
