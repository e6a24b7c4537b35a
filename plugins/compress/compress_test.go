package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
)

var codecs = []string{"gzip", "zstd", "lz4", "none"}

func ptr[T any](v T) *T { return &v }

func start(t testing.TB, config Config) *Compressor {
	t.Helper()
	c, err := New(&config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tablePages returns n bytes that resemble heap pages: headers, sequential
// keys, repeated words, some random bytes, padding.
func tablePages(n int, seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, seed))
	out := make([]byte, 0, n+8192)
	for page := uint32(0); len(out) < n; page++ {
		start := len(out)
		out = binary.LittleEndian.AppendUint64(out, 0x1a2b3c00+uint64(page)*8192)
		for row := uint32(0); len(out)-start < 7900; row++ {
			out = binary.LittleEndian.AppendUint32(out, page*61+row)
			out = fmt.Appendf(out, "user-%d %08x", random.IntN(1000), random.Uint32())
			out = append(out, bytes.Repeat([]byte{' '}, 60)...)
		}
		out = append(out, make([]byte, 8192-(len(out)-start))...)
	}
	return out[:n]
}

func incompressible(n int, seed byte) []byte {
	out := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(out)
	return out
}

func encode(t testing.TB, c *Compressor, name string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := c.Encode(t.Context(), sdk.Object{Name: name}, &out, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decode(t testing.TB, c *Compressor, name string, stored []byte) ([]byte, error) {
	t.Helper()
	var out bytes.Buffer
	err := c.Decode(t.Context(), sdk.Object{Name: name}, &out, onlyReader{bytes.NewReader(stored)})
	return out.Bytes(), err
}

func wantDecoded(t testing.TB, c *Compressor, name string, stored, want []byte) {
	t.Helper()
	got, err := decode(t, c, name, stored)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s decodes to %d bytes that differ from the %d original ones", name, len(got), len(want))
	}
}

// tool runs a compression tool over bytes.
func tool(t testing.TB, in []byte, argv ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdin = bytes.NewReader(in)
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, errors.String())
	}
	return out.Bytes()
}

var sizes = []int{0, 1, 255, 256, 4096, 64 << 10, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 5*chunkSize + 12345}

func TestEveryCodecRoundTripsEverySize(t *testing.T) {
	for _, codec := range codecs {
		for _, size := range sizes {
			for kind, data := range map[string][]byte{"pages": tablePages(size, 1), "incompressible": incompressible(size, 1), "zeroes": make([]byte, size)} {
				t.Run(fmt.Sprintf("%s/%s/%d", codec, kind, size), func(t *testing.T) {
					c := start(t, Config{Codec: codec})
					stored := encode(t, c, "base/x", data)
					wantDecoded(t, c, "base/x"+c.Suffix(), stored, data)
				})
			}
		}
	}
}

func TestEveryLevelRoundTrips(t *testing.T) {
	data := tablePages(chunkSize+100, 1)
	for codec, span := range levels {
		for level := span.least; level <= span.greatest; level++ {
			c := start(t, Config{Codec: codec, Level: &level, Workers: ptr(1)})
			wantDecoded(t, c, "x", encode(t, c, "x", data), data)
		}
	}
}

func TestToolsReadWhatWeWrite(t *testing.T) {
	for _, codec := range []string{"gzip", "zstd", "lz4"} {
		c := start(t, Config{Codec: codec})
		for _, size := range sizes {
			data := tablePages(size, 2)
			stored := encode(t, c, "base.tar", data)
			if got := tool(t, stored, codec, "-dc"); !bytes.Equal(got, data) {
				t.Errorf("%s -dc gives %d bytes that differ from the %d we compressed", codec, len(got), size)
			}
			tool(t, stored, codec, "-t")
		}
	}
}

func TestWeReadWhatToolsWrite(t *testing.T) {
	for _, command := range []string{
		"gzip -1", "gzip -9",
		"zstd -1", "zstd -3", "zstd -19", "zstd --ultra -22", "zstd -3 --long=27", "zstd --no-check", "zstd --fast=5",
		"lz4 -1", "lz4 -9", "lz4 -B4", "lz4 -B4 -BD", "lz4 -B5 -BX", "lz4 -B7", "lz4 --no-frame-crc", "lz4 --no-frame-crc -B6 -BX", "lz4 --content-size",
	} {
		t.Run(command, func(t *testing.T) {
			c := start(t, Config{})
			for _, size := range sizes {
				data := tablePages(size, 3)
				argv := append(strings.Fields(command), "-c")
				wantDecoded(t, c, "base.tar", tool(t, data, argv...), data)
			}
		})
	}
}

func TestConcatenationsDecodeToConcatenations(t *testing.T) {
	ours, theirs := tablePages(2*chunkSize+7, 4), tablePages(chunkSize+9, 5)
	want := bytes.Join([][]byte{ours, theirs, nil, ours}, nil)
	for _, codec := range []string{"gzip", "zstd", "lz4"} {
		c := start(t, Config{Codec: codec})
		own, foreign := encode(t, c, "x", ours), tool(t, theirs, codec, "-c")
		wantDecoded(t, c, "x"+c.Suffix(), bytes.Join([][]byte{own, foreign, encode(t, c, "x", nil), own}, nil), want)
	}
}
