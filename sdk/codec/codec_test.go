package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
)

// sample is data that compresses about as well as WAL.
func sample(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var out []byte
	for len(out) < n {
		out = fmt.Appendf(out, "record %d of user %d: %08x;", len(out), random.IntN(1000), random.Uint32())
	}
	return out[:n]
}

func compress(t testing.TB, name string, level Level, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(name, level, &out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decompress(stored io.Reader) ([]byte, string, error) {
	r, name, err := Decoded(stored)
	if err != nil {
		return nil, name, err
	}
	data, err := io.ReadAll(r)
	return data, name, errors.Join(err, r.Close())
}

// detected is the name by which what a codec made is known.
func detected(name string) string {
	if name == Pigz {
		return Gzip
	}
	return name
}

func TestEveryCodecAndLevelRoundTrips(t *testing.T) {
	for _, name := range Names() {
		for _, level := range []Level{"", Low, Medium, High, "-99", "7", "99"} {
			for _, size := range []int{0, 1, 200_000} {
				data := sample(size)
				got, by, err := decompress(bytes.NewReader(compress(t, name, level, data)))
				if err != nil || by != detected(name) || !bytes.Equal(got, data) {
					t.Errorf("%d bytes through %s at level %q come back as %d bytes, detected as %q, error %v", size, name, level, len(got), by, err)
				}
			}
		}
	}
}

func TestToolsReadWhatIsWrittenAndTheirsIsRead(t *testing.T) {
	data := sample(300_000)
	for _, name := range []string{Gzip, Bzip2, XZ, LZ4, Zstd} {
		for _, content := range [][]byte{data, {}} {
			if got := tool(t, compress(t, name, "", content), name, "-dc"); !bytes.Equal(got, content) {
				t.Errorf("%s -dc gives %d bytes that differ from the %d written", name, len(got), len(content))
			}
			got, by, err := decompress(bytes.NewReader(tool(t, content, name, "-c")))
			if err != nil || by != name || !bytes.Equal(got, content) {
				t.Errorf("what %s -c makes of %d bytes is read as %d bytes of %q, error %v", name, len(content), len(got), by, err)
			}
		}
	}
}

func tool(t testing.TB, in []byte, argv ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &complaint
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, complaint.String())
	}
	return out.Bytes()
}

func TestSeveralStreamsInARowAreOne(t *testing.T) {
	first, second := sample(100_000), sample(70_000)
	want := bytes.Join([][]byte{first, second, first}, nil)
	for _, name := range Names() {
		one, two := compress(t, name, "", first), compress(t, name, "", second)
		got, _, err := decompress(bytes.NewReader(bytes.Join([][]byte{one, two, compress(t, name, "", nil), one}, nil)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: four streams in a row are read as %d bytes instead of %d, error %v", name, len(got), len(want), err)
		}
	}
}

// Snappy has no end mark: what is cut between two of its chunks is whole.
func TestDataThatEndsEarlyIsNeverAShorterWhole(t *testing.T) {
	data := sample(150_000)
	for _, name := range Names() {
		stored := compress(t, name, "", data)
		for n := MagicSize; n < len(stored); n += 1 + len(stored)/150 {
			got, _, err := decompress(bytes.NewReader(stored[:n]))
			switch {
			case name == Snappy && err == nil && len(got)%(64<<10) == 0:
			case !errors.Is(err, io.ErrUnexpectedEOF):
				t.Fatalf("%s: %d of %d bytes are read as %d bytes with error %v, want an unexpected end", name, n, len(stored), len(got), err)
			}
		}
	}
}

func TestDamageAndTrailingGarbageAreErrors(t *testing.T) {
	data := sample(50_000)
	for _, name := range Names() {
		stored := compress(t, name, "", data)
		if _, _, err := decompress(bytes.NewReader(append(bytes.Clone(stored), "garbage that no codec makes"...))); err == nil {
			t.Errorf("%s: garbage after the end goes unnoticed", name)
		}
		for n := MagicSize; n < len(stored); n += 1 + len(stored)/150 {
			damaged := bytes.Clone(stored)
			damaged[n] ^= 0x10
			if got, _, err := decompress(bytes.NewReader(damaged)); err == nil && !bytes.Equal(got, data) {
				t.Fatalf("%s: a changed byte at %d of %d goes unnoticed", name, n, len(stored))
			}
		}
	}
}

func TestErrorOfTheSourceComesBack(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, name := range Names() {
		stored := compress(t, name, "", sample(150_000))
		for _, n := range []int{0, 5, MagicSize, len(stored) / 2} {
			_, _, err := decompress(io.MultiReader(bytes.NewReader(stored[:n]), errReader{broken}))
			if !errors.Is(err, broken) {
				t.Errorf("%s: a source that breaks after %d bytes gives error %v", name, n, err)
			}
		}
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestMagicNumbersAreKnown(t *testing.T) {
	for content, want := range map[string]string{
		"\x1f\x8b\x08\x00": Gzip, "BZh91AY": Bzip2, "\xfd7zXZ\x00\x00": XZ, "\x28\xb5\x2f\xfd\x04": Zstd, "\x04\x22\x4d\x18\x60": LZ4,
		"\xff\x06\x00\x00sNaPpY": Snappy, "\x50\x2a\x4d\x18": Zstd, "\x5f\x2a\x4d\x18\x01": Zstd, "\x60\x2a\x4d\x18": "",
		"": "", "\x1f": "", "\x10\xd1\x02\x00": "", "1\t0/5000000": "", "START WAL LOCATION": "",
	} {
		if got := Detect([]byte(content)); got != want {
			t.Errorf("%q is detected as %q instead of %q", content, got, want)
		}
	}
	for content, want := range map[string]string{"\x1f": Gzip, "\xff\x06\x00\x00sNaP": Snappy, "\xfd7z": XZ, "": "", "x": "", "BZh": "", "\x1f\x8b\x08": ""} {
		if got := DetectCut([]byte(content)); got != want {
			t.Errorf("%q is the cut off beginning of %q instead of %q", content, got, want)
		}
	}
}

func TestWhatIsNotCompressedIsReadAsItIs(t *testing.T) {
	for _, content := range []string{"", "B", "\x10\xd1\x02\x00 a page of WAL"} {
		got, name, err := decompress(strings.NewReader(content))
		if err != nil || name != "" || string(got) != content {
			t.Errorf("%q is read as %q of %q, error %v", content, got, name, err)
		}
	}
}

func TestTooMuchMemoryIsRefused(t *testing.T) {
	for what, stored := range map[string][]byte{
		// A frame header that asks for a window of 2 GiB; then an empty last block.
		"zstd window of 2 GiB": {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00},
		// xz's dictionary size is in the block header after the 12 bytes of the stream's.
		"xz dictionary of 1.5 GiB": tool(t, sample(1000), "xz", "-0", "--lzma2=dict=1536MiB,mode=fast,mf=hc3", "-c"),
	} {
		if got, _, err := decompress(bytes.NewReader(stored)); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a %s gives %d bytes and error %v, want it refused", what, len(got), err)
		}
	}
}

func TestSuffixesAreThoseOfTheTools(t *testing.T) {
	for name, want := range map[string]string{Gzip: ".gz", Bzip2: ".bz2", XZ: ".xz", LZ4: ".lz4", Zstd: ".zst", Snappy: ".sz", Custom: ".custom"} {
		if got, back := Suffix(name), OfSuffix(want); got != want || back != name {
			t.Errorf("%s has the suffix %q, which is that of %q", name, got, back)
		}
	}
	for _, other := range []string{"", ".", ".tar", ".gz.gpg"} {
		if name := OfSuffix(other); name != "" {
			t.Errorf("the suffix %q is that of %q", other, name)
		}
	}
}

func TestUnknownCodecIsInvalid(t *testing.T) {
	if _, err := NewReader("lzop", strings.NewReader("")); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("reading lzop gives error %v", err)
	}
	if _, err := NewWriter("lzop", "", io.Discard); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("writing lzop gives error %v", err)
	}
}

func TestLevelsAreOnTheScaleOfTheirCodec(t *testing.T) {
	for _, c := range []struct {
		codec, text string
		want        int
	}{
		{Gzip, "low", 1}, {Gzip, "medium", 6}, {Gzip, "HIGH", 9}, {Gzip, "0", 1}, {Pigz, "12", 9},
		{Bzip2, "medium", 5}, {XZ, "medium", 3}, {XZ, "high", 5}, {XZ, "9", 9},
		{Zstd, "medium", 4}, {Zstd, "-40", -22}, {Zstd, "+19", 19}, {Zstd, "", 3},
		{LZ4, "low", 0}, {LZ4, "high", 10}, {LZ4, "17", 16}, {LZ4, "", 1}, {Snappy, "high", 0},
	} {
		level, err := ParseLevel(c.text)
		if err != nil || level.Number(c.codec) != c.want {
			t.Errorf("level %q of %s is %d, error %v; want %d", c.text, c.codec, level.Number(c.codec), err, c.want)
		}
	}
	for _, text := range []string{"best", "1.5", "1e3", " 1", "99999999999999999999"} {
		if level, err := ParseLevel(text); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("level %q is taken for %q, error %v", text, level, err)
		}
	}
}
