package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
)

func TestTruncationIsNeverAShortSuccess(t *testing.T) {
	data := tablePages(2*chunkSize+5000, 6)
	for _, codec := range []string{"gzip", "bzip2", "xz", "zstd", "lz4", "snappy"} {
		c := start(t, Config{Codec: codec})
		ours, theirs := encode(t, c, "x", data), foreign(t, codec, data[:chunkSize+99])
		whole := map[string][]byte{"ours": ours}
		if codec != "snappy" { // its streams have no end mark
			whole["the tool's"] = theirs
		}
		if codec == "gzip" || codec == "zstd" || codec == "lz4" {
			whole["both"] = append(bytes.Clone(theirs), ours...)
		}
		for name, stored := range whole {
			for _, n := range cuts(codec, stored) {
				if name == "both" && n == len(theirs) {
					continue // complete
				}
				got, err := decode(t, c, "x"+c.Suffix(), stored[:n])
				if sdk.KindOf(err) != sdk.Corrupt {
					t.Fatalf("%s: %s data cut after %d of %d bytes decodes to %d bytes with error %v, want one of kind corrupt", codec, name, n, len(stored), len(got), err)
				}
			}
		}
	}
}

// cuts are the places at which a stream is cut: the first and last bytes, a
// sample of those between, and all those near the boundaries of frames.
func cuts(name string, stored []byte) []int {
	var at []int
	count := 150
	if slices.Contains(slow, name) {
		count = 20
	}
	magic := stored[:3]
	step := max(1, len(stored)/count)
	for n := range stored {
		near := bytes.Contains(stored[max(0, n-8):min(len(stored), n+8)], magic)
		if n < 40 || n > len(stored)-20 || n%step == 0 || near && !slices.Contains(slow, name) || n > 0 && boundary(stored, n, magic) {
			at = append(at, n)
		}
	}
	return at
}

// boundary tells whether a stream begins at n.
func boundary(stored []byte, n int, magic []byte) bool { return bytes.HasPrefix(stored[n:], magic) }

func TestDamageIsFound(t *testing.T) {
	data := tablePages(chunkSize+5000, 7)
	for _, codec := range []string{"gzip", "bzip2", "xz", "zstd", "lz4", "snappy"} {
		c := start(t, Config{Codec: codec})
		stored := encode(t, c, "x", data)
		count := 300
		if slices.Contains(slow, codec) {
			count = 60
		}
		for n := 0; n < len(stored); n += max(1, len(stored)/count) {
			damaged := bytes.Clone(stored)
			damaged[n] ^= 0x10
			got, err := decode(t, c, "x"+c.Suffix(), damaged)
			if err == nil && !bytes.Equal(got, data) {
				t.Fatalf("%s: a changed byte at %d of %d goes unnoticed", codec, n, len(stored))
			}
		}
	}
}

func TestGarbageAfterTheEndIsCorrupt(t *testing.T) {
	for _, codec := range []string{"gzip", "bzip2", "xz", "zstd", "lz4", "snappy"} {
		c := start(t, Config{Codec: codec})
		stored := append(encode(t, c, "x", []byte("all")), "and more"...)
		if _, err := decode(t, c, "x", stored); sdk.KindOf(err) != sdk.Corrupt {
			t.Errorf("%s: garbage at the end gives error %v, want one of kind corrupt", codec, err)
		}
	}
}

func TestContentThatIsNotCompressedPassesThrough(t *testing.T) {
	c := start(t, Config{})
	for _, content := range []string{"", "a", "plain text", strings.Repeat("page", chunkSize)} {
		wantDecoded(t, c, "000000010000000000000001", []byte(content), []byte(content))
	}
}

func TestNameWithSuffixAndPlainContentIsCorrupt(t *testing.T) {
	c := start(t, Config{})
	for _, name := range []string{"base.tar.gz", "base.tar.bz2", "base.tar.xz", "base.tar.zst", "base.tar.lz4", "base.tar.sz", "base.tar.custom"} {
		for _, content := range []string{"", "x", "plain text"} {
			if _, err := decode(t, c, name, []byte(content)); sdk.KindOf(err) != sdk.Corrupt {
				t.Errorf("%s holding %q gives error %v, want one of kind corrupt", name, content, err)
			}
		}
	}
}

func TestCodecNoneRoundTripsWhatLooksCompressed(t *testing.T) {
	c := start(t, Config{Codec: "none"})
	gzipped := tool(t, []byte("x"), "gzip", "-c")
	for _, o := range []struct {
		name    string
		content []byte
	}{
		{"data/stray.gz", gzipped}, {"data/stray", gzipped}, {"data/stray", gzipped[:1]}, {"data/stray.gz", []byte("not gzip")}, {"data/stray.lz4", nil},
	} {
		wantDecoded(t, c, o.name, encode(t, c, o.name, o.content), o.content)
	}
	if got := encode(t, c, "data/x", []byte("plain")); string(got) != "plain" {
		t.Errorf("the codec none turns plain content into %q", got)
	}
}

func TestFrameWithTooLargeAWindowIsRefused(t *testing.T) {
	c := start(t, Config{})
	// Frame header: no content size, a window of 2 GiB; then an empty last block.
	stored := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00}
	if _, err := decode(t, c, "x", stored); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("a window of 2 GiB gives error %v, want one of kind invalid", err)
	}
}

var errBroken = sdk.Errorf(sdk.Unavailable, "the other end is gone")

// brokenReader yields n bytes, then an error.
func brokenReader(b []byte, n int) io.Reader {
	return io.MultiReader(bytes.NewReader(b[:min(n, len(b))]), errReader{})
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errBroken }

type brokenWriter struct{ room int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.room -= len(p); w.room < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

func TestErrorsOfSourceAndDestinationComeBack(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, codec := range codecs {
		data := incompressible(4*chunkSize, 1)
		if slices.Contains(slow, codec) {
			data = data[:chunkSize+500]
		}
		c := start(t, Config{Codec: codec})
		stored := encode(t, c, "x", data)
		o := sdk.Object{Name: "x"}
		for _, n := range []int{0, 100, chunkSize, len(data) - 100} {
			for operation, err := range map[string]error{
				"Encode with a broken source":      c.Encode(t.Context(), o, io.Discard, brokenReader(data, n)),
				"Decode with a broken source":      c.Decode(t.Context(), o, io.Discard, brokenReader(stored, n)),
				"Encode with a broken destination": c.Encode(t.Context(), o, &brokenWriter{n}, bytes.NewReader(data)),
				"Decode with a broken destination": c.Decode(t.Context(), o, &brokenWriter{n}, bytes.NewReader(stored)),
			} {
				if !errors.Is(err, errBroken) || sdk.KindOf(err) != sdk.Unavailable {
					t.Errorf("%s: %s after %d bytes gives %v", codec, operation, n, err)
				}
			}
		}
	}
	wantGoroutines(t, before)
}

func TestCancelledCallReturnsWhileTheDestinationBlocks(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, codec := range codecs {
		data := incompressible(8*chunkSize, 1)
		if slices.Contains(slow, codec) {
			data = data[:3*chunkSize]
		}
		c := start(t, Config{Codec: codec, Workers: ptr(2)})
		stored := encode(t, c, "x", data)
		for operation, call := range map[string]func(context.Context, io.Writer) error{
			"Encode": func(ctx context.Context, w io.Writer) error {
				return c.Encode(ctx, sdk.Object{Name: "x"}, w, bytes.NewReader(data))
			},
			"Decode": func(ctx context.Context, w io.Writer) error {
				return c.Decode(ctx, sdk.Object{Name: "x"}, w, bytes.NewReader(stored))
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			r, w := io.Pipe()
			context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()); r.CloseWithError(ctx.Err()) })
			result := make(chan error)
			go func() { result <- call(ctx, w) }()
			if _, err := r.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := <-result; sdk.KindOf(err) != sdk.Cancelled {
				t.Errorf("%s: cancelled %s returns %v", codec, operation, err)
			}
		}
		// The workers and slots are all back.
		wantDecoded(t, c, "x", encode(t, c, "x", data), data)
	}
	wantGoroutines(t, before)
}

// A call must go on while any number of others wait for their destinations.
func TestBlockedCallsDoNotBlockOthers(t *testing.T) {
	c := start(t, Config{Workers: ptr(1)})
	data := tablePages(8*chunkSize, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	const blocked = 8
	for range blocked {
		r, w := io.Pipe()
		context.AfterFunc(ctx, func() { r.CloseWithError(ctx.Err()) })
		go func() { done <- c.Encode(ctx, sdk.Object{Name: "x"}, w, bytes.NewReader(data)) }()
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	wantDecoded(t, c, "x", encode(t, c, "x", data), data)
	cancel()
	for range blocked {
		<-done
	}
}

func wantGoroutines(t *testing.T, want int) {
	t.Helper()
	for range 200 {
		if runtime.NumGoroutine() <= want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines remain, %d before:\n%s", runtime.NumGoroutine(), want, stacks[:runtime.Stack(stacks, true)])
}

// memoryCeiling is what the process may use with two workers. The encoders of
// bzip2 and xz search in tables that are larger than a chunk.
func memoryCeiling(codec string) int64 {
	if slices.Contains(slow, codec) {
		return 64 << 20
	}
	return 32 << 20
}

// TestMain runs the children of TestMemoryStaysBounded.
func TestMain(m *testing.M) {
	if codec := os.Getenv("COMPRESS_CHILD"); codec != "" {
		os.Exit(convert(codec, os.Args[1]))
	}
	os.Exit(m.Run())
}

func TestMemoryStaysBounded(t *testing.T) {
	for _, codec := range codecs {
		size := 1 << 30
		if slices.Contains(slow, codec) {
			size = 24 << 20
		}
		encoder, encoderPeak := child(t, codec, "encode")
		decoder, decoderPeak := child(t, codec, "decode")
		encoder.Stdin = &repeat{data: tablePages(1<<20, 1), left: size}
		between, err := encoder.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var n counter
		decoder.Stdin, decoder.Stdout = between, &n
		for _, start := range []func() error{encoder.Start, decoder.Start, decoder.Wait, encoder.Wait} {
			if err := start(); err != nil {
				t.Fatalf("%s: %v: %s%s", codec, err, encoderPeak, decoderPeak)
			}
		}
		if int(n) != size {
			t.Errorf("%s: %d bytes come back instead of %d", codec, n, size)
		}
		for way, peak := range map[string]*bytes.Buffer{"there": encoderPeak, "back": decoderPeak} {
			kib, err := strconv.Atoi(peak.String())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %d MiB %s took %d KiB at most", codec, size>>20, way, kib)
			if int64(kib)<<10 > memoryCeiling(codec) {
				t.Errorf("%s: %d MiB %s took %d KiB, more than %d", codec, size>>20, way, kib, memoryCeiling(codec)>>10)
			}
		}
	}
}

// child is a process of its own that encodes or decodes its standard input.
// What it writes to standard error is the most memory it ever had, in KiB.
func child(t *testing.T, codec, way string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], way)
	cmd.Env = append(os.Environ(), "COMPRESS_CHILD="+codec)
	peak := new(bytes.Buffer)
	cmd.Stderr = peak
	return cmd, peak
}

func convert(codec, way string) int {
	c, err := New(&Config{Codec: codec, Workers: ptr(2)})
	if err != nil {
		panic(err)
	}
	step := c.Encode
	if way == "decode" {
		step = c.Decode
	}
	if err := step(context.Background(), sdk.Object{Name: "x"}, onlyWriter{os.Stdout}, onlyReader{os.Stdin}); err != nil {
		panic(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	os.Stderr.WriteString(strings.Fields(after)[0])
	return 0
}

type onlyWriter struct{ w io.Writer }

func (o onlyWriter) Write(p []byte) (int, error) { return o.w.Write(p) }

// repeat yields the same data over and over.
type repeat struct {
	data []byte
	left int
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	at := (len(r.data) - r.left%len(r.data)) % len(r.data)
	n := copy(p[:min(len(p), r.left)], r.data[at:])
	r.left -= n
	return n, nil
}
