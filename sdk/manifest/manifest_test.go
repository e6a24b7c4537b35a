package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

// signed ends a manifest whose last line is missing with its checksum.
func signed(text string) []byte {
	return fmt.Appendf(nil, "%s\"Manifest-Checksum\": \"%x\"}\n", text, sha256.Sum256([]byte(text)))
}

// listing is a manifest with the given lines as its list of files.
func listing(files string) []byte {
	return signed("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n" + files + "\n],\n\"WAL-Ranges\": [],\n")
}

func readAll(content []byte) (Manifest, []File, error) {
	var files []File
	m, err := Read(bytes.NewReader(content), func(f File) error {
		files = append(files, f)
		return nil
	})
	return m, files, err
}

func unhex(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testdata/postgresql-*.json are manifests that PostgreSQL made, shortened and signed again.
func TestManifestsOfPostgreSQLAreRead(t *testing.T) {
	for name, want := range map[string]Manifest{
		"postgresql-15.json": {Version: 1, Files: 3, Bytes: 368640 + 3 + 8192, WAL: []WALRange{{Timeline: 1, Start: 0x2000028, End: 0x2000138}}},
		"postgresql-18.json": {Version: 2, SystemID: "7710686051520398877", Files: 2, Bytes: 8192 + 3, WAL: []WALRange{{Timeline: 1, Start: 0x2000028, End: 0x3000000}, {Timeline: 2, Start: 0x3000000, End: 0x3000060}}},
	} {
		content, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []io.Reader{bytes.NewReader(content), iotest.OneByteReader(bytes.NewReader(content)), iotest.DataErrReader(bytes.NewReader(content))} {
			got, err := Read(r, func(File) error { return nil })
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

func TestEveryFieldOfAFileIsRead(t *testing.T) {
	_, got, err := readAll(listing(`{ "Path": "base/5/1259", "Size": 16384, "Last-Modified": "2026-01-02 10:00:00 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "01020304" },
{ "Encoded-Path": "62ff2f31", "Size": 0, "Last-Modified": "2026-01-02 10:00:00 GMT" },
{ "Size": 9223372036854700000, "Path": "\u00fc\\\"", "Last-Modified": "x", "Checksum-Algorithm": "SHA224", "Checksum": "` + strings.Repeat("ab", 28) + `" }`))
	if err != nil {
		t.Fatal(err)
	}
	want := []File{
		{Path: "base/5/1259", Size: 16384, Algorithm: CRC32C, Checksum: []byte{1, 2, 3, 4}},
		{Path: "b\xff/1"},
		{Path: "ü\\\"", Size: 9223372036854700000, Algorithm: SHA224, Checksum: unhex(t, strings.Repeat("ab", 28))},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsNoManifestIsDamage(t *testing.T) {
	good := listing(`{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "x", "Checksum-Algorithm": "CRC32C", "Checksum": "01020304" }`)
	if _, _, err := readAll(good); err != nil {
		t.Fatal(err)
	}
	file := func(fields string) []byte { return listing("{ " + fields + " }") }
	for name, content := range map[string][]byte{
		"nothing":                 nil,
		"text":                    []byte("text\n"),
		"a list":                  signed("[],\n"),
		"no version":              signed("{ \"Files\": [],\n"),
		"version 0":               signed("{ \"PostgreSQL-Backup-Manifest-Version\": 0,\n\"Files\": [],\n"),
		"no files":                signed("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n"),
		"files twice":             signed("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [],\n\"Files\": [],\n"),
		"an unknown key":          signed("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [],\n\"Other\": 1,\n"),
		"a wrong system id":       signed("{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": -1,\n\"Files\": [],\n"),
		"no checksum of its own":  []byte("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": []\n}\n"),
		"no end of the line":      bytes.TrimSuffix(good, []byte("\n")),
		"something behind it":     append(bytes.Clone(good), "{}\n"...),
		"a changed size":          bytes.Replace(good, []byte("Size\": 3"), []byte("Size\": 4"), 1),
		"a changed checksum":      bytes.Replace(good, []byte("01020304"), []byte("01020305"), 1),
		"an own checksum, short":  bytes.Replace(good, good[len(good)-12:], []byte("\"}\n"), 1),
		"above the directory":     file(`"Path": "../x", "Size": 3`),
		"above, in the middle":    file(`"Path": "base/../../x", "Size": 3`),
		"absolute":                file(`"Path": "/etc/passwd", "Size": 3`),
		"above, encoded":          file(`"Encoded-Path": "2e2e2f78", "Size": 3`),
		"a NUL":                   file(`"Encoded-Path": "7800", "Size": 3`),
		"the directory itself":    file(`"Path": ".", "Size": 3`),
		"no path":                 file(`"Size": 3`),
		"two paths":               file(`"Path": "x", "Encoded-Path": "78", "Size": 3`),
		"half a byte":             file(`"Encoded-Path": "781", "Size": 3`),
		"no digits":               file(`"Encoded-Path": "xy", "Size": 3`),
		"a path without end":      file(`"Path": "` + strings.Repeat("x", 5000) + `", "Size": 3`),
		"no size":                 file(`"Path": "x"`),
		"a negative size":         file(`"Path": "x", "Size": -3`),
		"a broken size":           file(`"Path": "x", "Size": 3.5`),
		"a size beyond all":       file(`"Path": "x", "Size": 9223372036854775808`),
		"sizes beyond all":        file(`"Path": "x", "Size": 9223372036854775807 }, { "Path": "y", "Size": 1`),
		"another algorithm":       file(`"Path": "x", "Size": 3, "Checksum-Algorithm": "MD5", "Checksum": "00"`),
		"a checksum of nothing":   file(`"Path": "x", "Size": 3, "Checksum": "00"`),
		"an algorithm alone":      file(`"Path": "x", "Size": 3, "Checksum-Algorithm": "CRC32C"`),
		"a short checksum":        file(`"Path": "x", "Size": 3, "Checksum-Algorithm": "CRC32C", "Checksum": "010203"`),
		"an unknown field":        file(`"Path": "x", "Size": 3, "Owner": "root"`),
		"a value without end":     file(`"Path": "x", "Last-Modified": "` + strings.Repeat("x", 2<<20) + `", "Size": 3`),
		"blanks without end":      file(strings.Repeat(" ", 2<<20) + `"Path": "x", "Size": 3`),
		"brackets without end":    file(`"Path": ` + strings.Repeat("[", 1<<20)),
		"WAL backwards":           signed("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [],\n\"WAL-Ranges\": [{ \"Timeline\": 1, \"Start-LSN\": \"0/2\", \"End-LSN\": \"0/1\" }],\n"),
		"WAL of no timeline":      signed("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [],\n\"WAL-Ranges\": [{ \"Timeline\": 0, \"Start-LSN\": \"0/2\", \"End-LSN\": \"0/3\" }],\n"),
		"WAL without a beginning": signed("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [],\n\"WAL-Ranges\": [{ \"Timeline\": 1, \"End-LSN\": \"0/3\" }],\n"),
	} {
		if _, _, err := readAll(content); sdk.KindOf(err) != sdk.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
	for cut := range len(good) {
		if _, _, err := readAll(good[:cut]); sdk.KindOf(err) != sdk.Corrupt {
			t.Errorf("cut off after %d bytes: %v", cut, err)
		}
	}
}

func TestAManifestOfTheFutureIsNotDamage(t *testing.T) {
	_, _, err := readAll(signed("{ \"PostgreSQL-Backup-Manifest-Version\": 3,\n\"Files\": {},\n"))
	if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "newer") {
		t.Error(err)
	}
}

func TestErrorsOfOthersComeBackAsTheyAre(t *testing.T) {
	mine := errors.New("mine")
	content := listing(`{ "Path": "x", "Size": 3 }`)
	if _, err := Read(bytes.NewReader(content), func(File) error { return mine }); err != mine {
		t.Error(err)
	}
	broken := io.MultiReader(bytes.NewReader(content[:50]), iotest.ErrReader(mine))
	if _, err := Read(broken, func(File) error { return nil }); err != mine {
		t.Error(err)
	}
}

// endless is a list of that many files.
type endless struct {
	left int
	rest []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.left == 0 {
			return 0, io.EOF
		}
		e.left--
		e.rest = fmt.Appendf(nil, "{ \"Path\": \"base/5/%d\", \"Size\": 8192, \"Last-Modified\": \"2026-01-02 10:00:00 GMT\", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"01020304\" },\n", e.left)
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestALongManifestNeedsNoMemory(t *testing.T) {
	const files = 60_000 // 8 MB
	r := io.MultiReader(strings.NewReader("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n"), &endless{left: files}, strings.NewReader("{"))
	var before, after runtime.MemStats
	most, seen := uint64(0), 0
	runtime.GC()
	runtime.ReadMemStats(&before)
	_, err := Read(r, func(File) error {
		if seen++; seen%(files/4) == 0 {
			runtime.GC()
			runtime.ReadMemStats(&after)
			most = max(most, after.HeapAlloc)
		}
		return nil
	})
	if sdk.KindOf(err) != sdk.Corrupt || seen != files {
		t.Errorf("%d files, %v", seen, err)
	}
	if grown := int64(most) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes of memory", grown)
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	files := []File{
		{Path: "PG_VERSION", Size: 3, Algorithm: SHA256, Checksum: bytes.Repeat([]byte{7}, 32)},
		{Path: "strange \" \\ \n ü <&> \u2028", Size: 0, Algorithm: CRC32C, Checksum: []byte{1, 2, 3, 4}},
		{Path: "no UTF-8 \xff\xfe", Size: 1 << 40},
	}
	ranges := []WALRange{{Timeline: 1, Start: 0x2000028, End: 0x3000000}, {Timeline: 12, Start: 0x3000000, End: 0x1_00000000}}
	for systemID, version := range map[string]int{"": 1, "18446744073709551615": 2} {
		for n := range len(files) + 1 {
			var b bytes.Buffer
			w, err := NewWriter(&b, systemID)
			if err != nil {
				t.Fatal(err)
			}
			var bytes int64
			for _, f := range files[:n] {
				if err := w.Add(f, time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))); err != nil {
					t.Fatal(err)
				}
				bytes += f.Size
			}
			if err := w.Close(ranges); err != nil {
				t.Fatal(err)
			}
			m, got, err := readAll(b.Bytes())
			if err != nil {
				t.Fatalf("%v\n%s", err, b.String())
			}
			if diff := cmp.Diff(Manifest{Version: version, SystemID: systemID, Files: n, Bytes: bytes, WAL: ranges}, m); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(append([]File{}, files[:n]...), append([]File{}, got...)); diff != "" {
				t.Error(diff)
			}
			if n > 0 && !strings.Contains(b.String(), `"Last-Modified": "2026-01-02 02:04:05 GMT"`) && !strings.Contains(b.String(), `"Last-Modified":"2026-01-02 02:04:05 GMT"`) {
				t.Error(b.String())
			}
		}
	}
	w, err := NewWriter(io.Discard, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []File{{Path: "../x"}, {Path: "x", Size: -1}, {Path: "x", Algorithm: SHA256, Checksum: []byte{1}}} {
		if err := w.Add(f, time.Time{}); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%v: %v", f, err)
		}
	}
	if _, err := NewWriter(io.Discard, "seven"); sdk.KindOf(err) != sdk.Invalid {
		t.Error(err)
	}
}

func TestChecksumsAreThoseOfTheAlgorithms(t *testing.T) {
	// Of "123456789"; that of CRC-32C is E3069283, with its last byte first.
	for a, want := range map[Algorithm]string{
		CRC32C: "839206e3",
		SHA224: "9b3e61bf29f17c75572fae2e86e17809a4513d07c8a18152acf34521",
		SHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
		SHA384: "eb455d56d2c1a69de64e832011f3393d45f3fa31d6842f21af92d2fe469c499da5e3179847334a18479c8d1dedea1be3",
		SHA512: "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274ad27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
	} {
		h := a.New()
		_, _ = io.WriteString(h, "123456789")
		if got := hex.EncodeToString(h.Sum(nil)); got != want || len(want) != 2*a.Size() {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
	if None.New() != nil {
		t.Error("no algorithm has a checksum")
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"postgresql-15.json", "postgresql-18.json"} {
		content, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add(listing(`{ "Encoded-Path": "62ff2f31", "Size": 0 }`))
	f.Fuzz(func(t *testing.T, content []byte) {
		// Without the checksum in the way, what is read has to make sense.
		if at := bytes.LastIndex(content, []byte("\"Manifest-Checksum\"")); at >= 0 {
			content = signed(string(content[:at]))
		}
		files := 0
		m, err := Read(bytes.NewReader(content), func(file File) error {
			files++
			if !ValidPath(file.Path) || file.Size < 0 || len(file.Checksum) != file.Algorithm.Size() {
				t.Errorf("%+v", file)
			}
			return nil
		})
		if err != nil {
			if kind := sdk.KindOf(err); kind != sdk.Corrupt && kind != sdk.Invalid {
				t.Errorf("kind %s: %v", kind, err)
			}
			return
		}
		if m.Files != files || m.Version < 1 || m.Version > maxVersion {
			t.Errorf("%+v", m)
		}
	})
}
