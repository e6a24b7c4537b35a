package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/barman-go/barman/sdk"
)

// benchmarkData is the file that BENCH_FILE names, a tar of a real data
// directory for instance, or pages that resemble one.
func benchmarkData(b *testing.B) []byte {
	name := os.Getenv("BENCH_FILE")
	if name == "" {
		return tablePages(64<<20, 1)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

func BenchmarkEncode(b *testing.B) {
	data := benchmarkData(b)
	for _, config := range []Config{
		{Codec: "zstd"}, {Codec: "zstd", Level: "1"}, {Codec: "lz4"}, {Codec: "gzip", Level: "1"}, {Codec: "gzip"}, {Codec: "snappy"}, {Codec: "bzip2"}, {Codec: "xz"},
	} {
		for _, workers := range []int{1, 2} {
			config.Workers = &workers
			b.Run(fmt.Sprintf("%s-%d/workers=%d", config.Codec, config.level().Number(config.Codec), workers), func(b *testing.B) {
				c := start(b, config)
				b.SetBytes(int64(len(data)))
				var out counter
				for b.Loop() {
					out = 0
					if err := c.Encode(b.Context(), sdk.Object{Name: "base.tar"}, &out, onlyReader{bytes.NewReader(data)}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(out), "stored-bytes")
			})
		}
	}
	b.Run("EncodeAll-one-core", func(b *testing.B) {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(data)))
		var out []byte
		for b.Loop() {
			out = e.EncodeAll(data, out[:0])
		}
		b.ReportMetric(float64(len(out)), "stored-bytes")
	})
}

func BenchmarkDecode(b *testing.B) {
	data := benchmarkData(b)
	for _, codec := range []string{"zstd", "lz4", "gzip", "snappy", "bzip2", "xz"} {
		config := Config{Codec: codec}
		if codec == "gzip" {
			config.Level = "1"
		}
		var stored bytes.Buffer
		if err := start(b, config).Encode(b.Context(), sdk.Object{Name: "base.tar"}, &stored, bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
		for _, workers := range []int{1, 2} {
			config.Workers = &workers
			b.Run(fmt.Sprintf("%s/workers=%d", codec, workers), func(b *testing.B) {
				c := start(b, config)
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					if err := c.Decode(b.Context(), sdk.Object{Name: "base.tar"}, io.Discard, onlyReader{bytes.NewReader(stored.Bytes())}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkSmallObjects(b *testing.B) {
	data := tablePages(8<<10, 1)
	for _, codec := range []string{"zstd", "lz4", "gzip"} {
		b.Run(codec, func(b *testing.B) {
			c := start(b, Config{Codec: codec})
			b.SetBytes(int64(len(data)))
			var out counter
			for b.Loop() {
				if err := c.Encode(b.Context(), sdk.Object{Name: "base/1/1259"}, &out, onlyReader{bytes.NewReader(data)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// onlyReader hides the other methods of a reader: a lane has none.
type onlyReader struct{ r io.Reader }

func (o onlyReader) Read(p []byte) (int, error) { return o.r.Read(p) }
