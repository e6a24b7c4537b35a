package main

import (
	"bytes"
	"testing"

	"github.com/barman-go/barman/sdk"
)

func FuzzDecode(f *testing.F) {
	data := tablePages(5000, 1)
	for _, codec := range []string{"gzip", "bzip2", "xz", "zstd", "lz4", "snappy"} {
		c := start(f, Config{Codec: codec})
		f.Add(encode(f, c, "x", data))
		f.Add(encode(f, c, "x", nil))
		f.Add(encode(f, c, "x", make([]byte, 2*chunkSize)))
		f.Add(foreign(f, codec, data))
	}
	f.Add([]byte{0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2})
	f.Add(tool(f, data, "lz4", "-B4", "-BD", "-BX", "-c"))
	c := start(f, Config{Workers: ptr(2)})
	f.Fuzz(func(t *testing.T, stored []byte) {
		err := c.Decode(t.Context(), sdk.Object{Name: "x"}, &brokenWriter{room: 64 << 20}, bytes.NewReader(stored))
		switch kind := sdk.KindOf(err); {
		case err == nil, kind == sdk.Corrupt, kind == sdk.Invalid, kind == sdk.Unavailable:
		default:
			t.Errorf("Decode of hostile bytes gives %v of kind %s", err, kind)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(uint8(0), []byte("x"))
	f.Add(uint8(1), []byte{0x28, 0xb5, 0x2f, 0xfd})
	f.Add(uint8(3), []byte{0x1f})
	transforms := make([]*Compressor, len(codecs))
	for i, codec := range codecs {
		transforms[i] = start(f, Config{Codec: codec, Workers: ptr(2)})
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		c := transforms[int(which)%len(transforms)]
		for _, original := range [][]byte{data, bytes.Repeat(data, 1+min(len(data), 3*chunkSize/(1+len(data))))} {
			wantDecoded(t, c, "x", encode(t, c, "x", original), original)
		}
	})
}
