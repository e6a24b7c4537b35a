package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/sdk"
)

// benchmarkDirectory is below BENCH_DIR, which should be on a real disk.
func benchmarkDirectory(b *testing.B) string {
	dir, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			b.Error(err)
		}
	})
	return dir
}

// BenchmarkStoreSmall stores 8 KiB objects the way two lanes do: a flush every
// 256 objects on each.
func BenchmarkStoreSmall(b *testing.B) {
	content := bytes.Repeat([]byte("8 bytes "), 1024)
	for _, count := range []int{1, 20_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			s := start(b, Config{Path: benchmarkDirectory(b)})
			b.SetBytes(int64(count * len(content)))
			for round := 0; b.Loop(); round++ {
				var group errgroup.Group
				for lane := range min(2, count) {
					group.Go(func() error {
						for i := lane; i < count; i += 2 {
							o := sdk.Object{Name: fmt.Sprintf("%d/base/%d/%d", round, i%4, i)}
							if _, err := s.Put(b.Context(), o, bytes.NewReader(content)); err != nil {
								return err
							}
							if i/2%256 == 255 {
								if err := s.Flush(b.Context()); err != nil {
									return err
								}
							}
						}
						return s.Flush(b.Context())
					})
				}
				if err := group.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStoreLarge(b *testing.B) {
	s := start(b, Config{Path: benchmarkDirectory(b)})
	const size = 1 << 30
	b.SetBytes(size)
	for round := 0; b.Loop(); round++ {
		o := sdk.Object{Name: fmt.Sprintf("%d.tar", round)}
		if _, err := s.Put(b.Context(), o, io.LimitReader(zeroes{}, size)); err != nil {
			b.Fatal(err)
		}
		flush(b, s)
	}
}

// BenchmarkUnpack unpacks the archive that BENCH_FILE names, and makes it
// durable.
func BenchmarkUnpack(b *testing.B) {
	name := os.Getenv("BENCH_FILE")
	if name == "" {
		b.Fatal("set BENCH_FILE to a tar file of a data directory")
	}
	dir := benchmarkDirectory(b)
	for round := 0; b.Loop(); round++ {
		f, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(info.Size())
		s := start(b, Config{Path: filepath.Join(dir, fmt.Sprint(round)), Unpack: true})
		unpack(b, s, "base.tar", struct{ io.Reader }{f})
		flush(b, s)
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
