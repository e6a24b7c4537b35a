package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
)

// codecs are those with an encoder of their own. Some need seconds for what
// others do in a moment.
var (
	codecs = []string{"gzip", "bzip2", "xz", "lz4", "zstd", "snappy", "none"}
	slow   = []string{"bzip2", "xz"}
)

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

// sizesFor leaves out what takes slow codecs long.
func sizesFor(name string) []int {
	if slices.Contains(slow, name) {
		return []int{0, 1, 4096, chunkSize, 2*chunkSize + 12345}
	}
	return sizes
}

func TestEveryCodecRoundTripsEverySize(t *testing.T) {
	for _, codec := range codecs {
		for _, size := range sizesFor(codec) {
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
	for name, levels := range map[string][]int{
		"gzip": {1, 2, 3, 4, 5, 6, 7, 8, 9}, "pigz": {1, 9}, "bzip2": {1}, "xz": {9}, "lz4": {0, 1, 2, 3, 6, 9, 12, 16, 99},
		"zstd": {-99, 1, 3, 6, 10, 22, 99}, "snappy": {1}, "none": {1},
	} {
		for _, level := range append([]string{"low", "medium", "high"}, numbers(levels)...) {
			c := start(t, Config{Codec: name, Level: level, Workers: ptr(1)})
			wantDecoded(t, c, "x", encode(t, c, "x", data), data)
		}
	}
}

func numbers(levels []int) []string {
	var text []string
	for _, level := range levels {
		text = append(text, strconv.Itoa(level))
	}
	return text
}

func TestToolsReadWhatWeWrite(t *testing.T) {
	for _, codec := range []string{"gzip", "bzip2", "xz", "zstd", "lz4"} {
		c := start(t, Config{Codec: codec})
		for _, size := range sizesFor(codec) {
			data := tablePages(size, 2)
			stored := encode(t, c, "base.tar", data)
			if got := tool(t, stored, codec, "-dc"); !bytes.Equal(got, data) {
				t.Errorf("%s -dc gives %d bytes that differ from the %d we compressed", codec, len(got), size)
			}
			tool(t, stored, codec, "-t")
		}
	}
}

// Barman in Python reads what it finds in an archive with these modules.
func TestPythonReadsWhatWeWrite(t *testing.T) {
	for codec, module := range map[string]string{"gzip": "gzip", "bzip2": "bz2", "xz": "lzma"} {
		c := start(t, Config{Codec: codec})
		for _, size := range []int{0, 2*chunkSize + 12345} {
			data := tablePages(size, 2)
			stored := encode(t, c, "x", data)
			program := fmt.Sprintf("import sys, shutil, %[1]s; shutil.copyfileobj(%[1]s.open(sys.stdin.buffer), sys.stdout.buffer)", module)
			if got := tool(t, stored, "python3", "-c", program); !bytes.Equal(got, data) {
				t.Errorf("Python's %s gives %d bytes that differ from the %d we compressed", module, len(got), size)
			}
		}
	}
}

func TestOtherLibrariesReadTheSnappyThatWeWrite(t *testing.T) {
	c := start(t, Config{Codec: "snappy"})
	for _, size := range sizes {
		data := tablePages(size, 2)
		got, err := io.ReadAll(snappy.NewReader(bytes.NewReader(encode(t, c, "x", data))))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes are read as %d, error %v", size, len(got), err)
		}
	}
}

func TestWeReadWhatToolsWrite(t *testing.T) {
	for _, command := range []string{
		"gzip -1", "gzip -9", "bzip2 -1", "bzip2 -9", "xz -1", "xz -6 --check=sha256", "xz -0 -T2 --block-size=300000", "xz -0 --check=none",
		"zstd -1", "zstd -3", "zstd -19", "zstd --ultra -22", "zstd -3 --long=27", "zstd --no-check", "zstd --fast=5",
		"lz4 -1", "lz4 -9", "lz4 -B4", "lz4 -B4 -BD", "lz4 -B5 -BX", "lz4 -B7", "lz4 --no-frame-crc", "lz4 --no-frame-crc -B6 -BX", "lz4 --content-size",
	} {
		t.Run(command, func(t *testing.T) {
			c := start(t, Config{})
			for _, size := range []int{0, 1, 4096, chunkSize + 1} {
				data := tablePages(size, 3)
				argv := append(strings.Fields(command), "-c")
				wantDecoded(t, c, "base.tar", tool(t, data, argv...), data)
			}
		})
	}
}

func TestWeReadWhatOtherLibrariesWrite(t *testing.T) {
	c := start(t, Config{})
	for _, size := range sizes[1:] { // nothing becomes nothing, which is no stream
		data := tablePages(size, 3)
		var stored bytes.Buffer
		w := snappy.NewBufferedWriter(&stored)
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		wantDecoded(t, c, "base.tar", stored.Bytes(), data)
	}
}

func TestConcatenationsDecodeToConcatenations(t *testing.T) {
	ours, theirs := tablePages(2*chunkSize+7, 4), tablePages(chunkSize+9, 5)
	want := bytes.Join([][]byte{ours, theirs, nil, ours}, nil)
	for _, codec := range []string{"gzip", "bzip2", "xz", "zstd", "lz4", "snappy"} {
		c := start(t, Config{Codec: codec})
		own, foreign := encode(t, c, "x", ours), foreign(t, codec, theirs)
		wantDecoded(t, c, "x"+c.Suffix(), bytes.Join([][]byte{own, foreign, encode(t, c, "x", nil), own}, nil), want)
	}
}

// foreign is what another program makes of data.
func foreign(t testing.TB, name string, data []byte) []byte {
	t.Helper()
	if name != codec.Snappy {
		return tool(t, data, name, "-c")
	}
	var stored bytes.Buffer
	w, err := codec.NewWriter(name, "", &stored)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return stored.Bytes()
}

// An object whose content looks like the places at which streams are taken
// apart comes back all the same.
func TestContentThatLooksLikeOurStreamsRoundTrips(t *testing.T) {
	var content []byte
	for _, name := range []string{"gzip", "bzip2", "xz", "zstd", "lz4", "snappy"} {
		content = append(content, encode(t, start(t, Config{Codec: name}), "x", tablePages(chunkSize+10, 9))...)
		content = append(content, bzip2More...)
		content = append(content, bzip2Last...)
	}
	for _, name := range codecs {
		c := start(t, Config{Codec: name})
		wantDecoded(t, c, "x"+c.Suffix(), encode(t, c, "x", content), content)
	}
}
