package main

import (
	"archive/tar"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
	"github.com/barman-go/barman/sdk/schema"
)

func TestCommandFollowsTheServersVersion(t *testing.T) {
	rate := schema.ByteSize(10 << 20)
	level, workers := 3, 2
	config := &Config{Checkpoint: "fast", MaxRate: &rate, Manifest: true, ManifestChecksums: "sha256"}
	compressed := &Config{Compression: &Compression{Codec: "zstd", Level: &level, Workers: &workers}}
	for _, test := range []struct {
		major  int
		config *Config
		want   string
	}{
		{10, config, "BASE_BACKUP LABEL 'a''b' PROGRESS FAST NOWAIT MAX_RATE 10240"},
		{14, config, "BASE_BACKUP LABEL 'a''b' PROGRESS FAST NOWAIT MAX_RATE 10240 MANIFEST 'yes' MANIFEST_CHECKSUMS 'SHA256'"},
		{15, config, "BASE_BACKUP (LABEL 'a''b', PROGRESS, CHECKPOINT 'fast', WAIT false, MAX_RATE 10240, MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256')"},
		{18, compressed, "BASE_BACKUP (LABEL 'a''b', PROGRESS, CHECKPOINT 'spread', WAIT false, TABLESPACE_MAP, COMPRESSION 'zstd', COMPRESSION_DETAIL 'level=3,workers=2')"},
	} {
		got, err := newCommand(test.major, test.config, sdk.BackupRequest{Label: "a'b", Layout: sdk.LayoutTar})
		if err != nil || got.text != test.want {
			t.Errorf("PostgreSQL %d: %v\ngot  %s\nwant %s", test.major, err, got.text, test.want)
		}
	}
}

func TestWhatTheServerCannotDoIsInvalid(t *testing.T) {
	compressed := &Config{Compression: &Compression{Codec: "gzip"}}
	for _, test := range []struct {
		major   int
		request sdk.BackupRequest
	}{
		{14, sdk.BackupRequest{Layout: sdk.LayoutTar}},
		{15, sdk.BackupRequest{Layout: sdk.LayoutPlain}},
		{15, sdk.BackupRequest{Layout: sdk.LayoutTar, Label: "a\x00b"}},
	} {
		if _, err := newCommand(test.major, compressed, test.request); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestConfigIsValidated(t *testing.T) {
	slow, level, workers := schema.ByteSize(1), 99, 3
	config := &Config{
		Checkpoint: "later", MaxRate: &slow, ManifestChecksums: "MD5", Compression: &Compression{Codec: "gzip", Level: &level, Workers: &workers},
	}
	var paths []string
	for _, d := range config.Validate() {
		paths = append(paths, d.Path)
	}
	want := []string{"checkpoint", "max_rate", "manifest_checksums", "server_compression.level", "server_compression.workers"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	if _, err := schema.Of(config); err != nil {
		t.Error(err)
	}
}

// sampleTar is an archive with a backup_label; whole says whether it is
// terminated.
func sampleTar(t testing.TB, whole bool) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, file := range []struct{ name, content string }{
		{"backup_label", "START WAL LOCATION: 0/2000028"}, {"empty", ""}, {"base/1/2", strings.Repeat("x", 1500)},
	} {
		header := &tar.Header{Name: file.name, Size: int64(len(file.content)), Mode: 0o600, ModTime: time.Unix(1, 0), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, file.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if whole {
		return out.Bytes()
	}
	return out.Bytes()[:out.Len()-2*blockSize]
}

func TestTarIsCompletedWhateverThePieces(t *testing.T) {
	want := sampleTar(t, true)
	for _, whole := range []bool{true, false} {
		for name, pieces := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "data with EOF": iotest.DataErrReader,
		} {
			tar := &wholeTar{r: pieces(bytes.NewReader(sampleTar(t, whole)))}
			got, err := io.ReadAll(tar)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, terminated %v: %d bytes, expected %d, %v", name, whole, len(got), len(want), err)
			}
			if string(tar.scanner.label) != "START WAL LOCATION: 0/2000028" {
				t.Errorf("%s: label %q", name, tar.scanner.label)
			}
		}
	}
}

func TestALongArchiveIsSplitBetweenMembers(t *testing.T) {
	type file struct {
		name string
		size int
	}
	files := []file{{"backup_label", 40}, {"base/", 0}, {"a", 100}, {"b", 3000}, {"c", 20000}, {"empty", 0}, {"d", 512}, {"e", 513}, {"global/pg_control", 8192}}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Size: int64(f.size), Mode: 0o600, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte(f.name[:1]), f.size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, pieces := range map[string]func(io.Reader) io.Reader{"large": func(r io.Reader) io.Reader { return r }, "small": iotest.OneByteReader} {
		for _, limit := range []int64{1, 5 << 10, 10 << 10, 24 << 10, 1 << 20} {
			var got []file
			whole := &wholeTar{r: pieces(bytes.NewReader(out.Bytes())), terminated: true, scanner: tarScanner{limit: limit}}
			archives := 0
			for more := true; more; more = whole.another() {
				content, err := io.ReadAll(pieces(whole))
				if err != nil {
					t.Fatal(err)
				}
				archives++
				members := 0
				archive := tar.NewReader(bytes.NewReader(content))
				for header, err := archive.Next(); err != io.EOF; header, err = archive.Next() {
					if err != nil {
						t.Fatal(err)
					}
					read, err := io.ReadAll(archive)
					if err != nil || !bytes.Equal(read, bytes.Repeat([]byte(header.Name[:1]), len(read))) {
						t.Errorf("%s: %v", header.Name, err)
					}
					got = append(got, file{header.Name, len(read)})
					members++
				}
				if int64(len(content)) > limit && members != 1 {
					t.Errorf("an archive of %d bytes has %d members, the limit is %d", len(content), members, limit)
				}
			}
			if !slices.Equal(got, files) {
				t.Errorf("%s pieces, limit %d: %v", name, limit, got)
			}
			if whole.scanner.label == nil || limit == 1 && archives != len(files) || limit == 1<<20 && archives != 1 {
				t.Errorf("%s pieces, limit %d: %d archives, label %q", name, limit, archives, whole.scanner.label)
			}
		}
	}
}

func TestLinksOfTablespacesAreTakenOutOfTheArchive(t *testing.T) {
	archive := func(links bool) []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for _, member := range []tar.Header{
			{Name: "pg_tblspc/", Typeflag: tar.TypeDir}, {Name: "pg_tblspc/16400", Typeflag: tar.TypeSymlink, Linkname: "/srv/fast"},
			{Name: "./pg_tblspc/16401", Typeflag: tar.TypeSymlink, Linkname: "/srv/slow"}, {Name: "elsewhere", Typeflag: tar.TypeSymlink, Linkname: "/srv"},
			{Name: "PG_VERSION", Typeflag: tar.TypeReg, Size: 3}, {Name: "pg_tblspc/16402", Typeflag: tar.TypeSymlink, Linkname: "/srv/last"},
		} {
			if !links && strings.Contains(member.Name, "pg_tblspc/1") {
				continue
			}
			member.Mode, member.Format = 0o600, tar.FormatUSTAR
			if err := w.WriteHeader(&member); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, "15\n"[:member.Size]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	want := archive(false)
	for name, pieces := range map[string]func(io.Reader) io.Reader{"large": func(r io.Reader) io.Reader { return r }, "small": iotest.OneByteReader} {
		if got, err := io.ReadAll(pieces(&wholeTar{r: pieces(bytes.NewReader(archive(true))), terminated: true})); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s pieces: %d bytes, expected %d, %v", name, len(got), len(want), err)
		}
	}
}

func TestDamagedTarIsCorrupt(t *testing.T) {
	whole := sampleTar(t, true)
	flipped := bytes.Clone(whole)
	flipped[0] ^= 1
	for name, content := range map[string][]byte{"flipped bit": flipped, "cut": whole[:blockSize*3], "data after the end": append(bytes.Clone(whole), whole...)} {
		if _, err := io.ReadAll(&wholeTar{r: bytes.NewReader(content), terminated: true}); sdk.KindOf(err) != sdk.Corrupt {
			t.Errorf("tar, %s: %v", name, err)
		}
		plain := &plainEmitter{emit: new(discardEmitter), jobs: 1, terminated: true}
		if err := plain.archive(t.Context(), "data/", bytes.NewReader(content)); sdk.KindOf(err) != sdk.Corrupt {
			t.Errorf("plain, %s: %v", name, err)
		}
	}
}

func TestHostileNamesAreRefused(t *testing.T) {
	for _, name := range []string{"../escape", "/absolute", "a/../../b", "a//b", "."} {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		plain := &plainEmitter{emit: new(discardEmitter), jobs: 1}
		if err := plain.archive(t.Context(), "base/1/data/", &out); sdk.KindOf(err) != sdk.Corrupt {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestSizesBeyondEightGiBAreRead(t *testing.T) {
	field := append([]byte{0x80}, make([]byte, 11)...)
	field[6] = 5 // base 256, as src/port/tar.c writes it
	if n, err := parseNumber(field); err != nil || n != 5<<40 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestAnswersOfUnknownFormAreErrors(t *testing.T) {
	for _, rows := range [][]replication.Row{nil, {{"0/1"}}, {{"x", "1"}}, {{"0/1", "0"}}, {{"0/1", "-1"}}, {{"0/1", "1"}, {"0/1", "1"}}} {
		if _, err := parsePosition(rows); err == nil {
			t.Errorf("position %q was accepted", rows)
		}
	}
	for _, rows := range [][]replication.Row{
		nil, {{"1", "/x", "1"}}, {{"", "", "x"}}, {{"", "", "-1"}}, {{"", ""}}, {{"", "", "1"}, {"", "", "1"}}, {{"99999999999", "/x", "1"}, {"", "", "1"}},
	} {
		if _, err := parseDirectories(rows); err == nil {
			t.Errorf("list %q was accepted", rows)
		}
	}
}

func FuzzTar(f *testing.F) {
	f.Add(sampleTar(f, true), uint8(7))
	f.Add(sampleTar(f, false), uint8(200))
	f.Add([]byte("short"), uint8(1))
	f.Fuzz(func(t *testing.T, content []byte, piece uint8) {
		pieces := func() io.Reader { return &chopped{bytes.NewReader(content), int(piece) + 1} }
		got, err := io.ReadAll(&wholeTar{r: pieces()})
		linked := bytes.Contains(content, []byte("pg_tblspc/")) // what is a link is left out
		if err == nil && (!linked && !bytes.HasPrefix(got, content) || len(got)-len(content) > 2*blockSize) {
			t.Errorf("%d bytes became %d", len(content), len(got))
		}
		plain := &plainEmitter{emit: new(discardEmitter), jobs: 2}
		if failed := plain.archive(t.Context(), "p/", pieces()); failed == nil && err != nil {
			t.Errorf("taken apart without an error, but %v", err)
		}
	})
}

type chopped struct {
	r io.Reader
	n int
}

func (c *chopped) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }

func FuzzArchiveName(f *testing.F) {
	f.Add([]byte("base.tar\x00\x00"))
	f.Add([]byte("16384.tar.zst\x00/somewhere\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		a := &archives{list: []directory{{oid: 16384}, {}}}
		if found, err := a.announced(body); err == nil && found.oid != 0 && found.oid != 16384 {
			t.Errorf("%q became %v", body, found)
		}
	})
}
