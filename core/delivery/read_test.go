package delivery

import (
	"archive/tar"
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

var sentAt = time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)

// sender writes a delivery.
type sender struct {
	t   testing.TB
	tar *tar.Writer
	out bytes.Buffer
	sha strings.Builder
	md5 strings.Builder
}

func send(t testing.TB) *sender {
	s := &sender{t: t}
	s.tar = tar.NewWriter(&s.out)
	return s
}

// member adds anything.
func (s *sender) member(header tar.Header, content string) *sender {
	s.t.Helper()
	if header.Size == 0 {
		header.Size = int64(len(content))
	}
	if header.ModTime.IsZero() {
		header.ModTime = sentAt
	}
	header.Mode = 0o600
	if header.Format == 0 {
		header.Format = tar.FormatPAX
	}
	if err := s.tar.WriteHeader(&header); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.WriteString(s.tar, content); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// file adds a file and notes its checksums.
func (s *sender) file(name, content string) *sender {
	s.t.Helper()
	base := strings.TrimPrefix(name, "./")
	fmt.Fprintf(&s.sha, "%x *%s\n", sha256.Sum256([]byte(content)), base)
	fmt.Fprintf(&s.md5, "%x *%s\n", md5.Sum([]byte(content)), base)
	return s.member(tar.Header{Typeflag: tar.TypeReg, Name: name}, content)
}

// sums adds the noted checksums.
func (s *sender) sums() *sender {
	return s.member(tar.Header{Typeflag: tar.TypeReg, Name: "SHA256SUMS"}, s.sha.String())
}

func (s *sender) list(text string) *sender {
	return s.member(tar.Header{Typeflag: tar.TypeReg, Name: "SHA256SUMS"}, text)
}

func (s *sender) md5s() *sender {
	return s.member(tar.Header{Typeflag: tar.TypeReg, Name: "MD5SUMS"}, s.md5.String())
}

// end ends the stream and returns it.
func (s *sender) end() []byte {
	s.t.Helper()
	if err := s.tar.Close(); err != nil {
		s.t.Fatal(err)
	}
	return s.out.Bytes()
}

const (
	firstWAL  = "00000001000000000000000A"
	secondWAL = "00000001000000000000000B"
)

func link(kind byte) tar.Header {
	return tar.Header{Typeflag: kind, Name: firstWAL, Linkname: "/etc/passwd"}
}

// hostile are streams that must have no effect, with what is said of them.
func hostile(t testing.TB) map[string]struct {
	stream []byte
	kind   sdk.ErrorKind
	says   string
} {
	good := send(t).file(firstWAL, "content").sums().end()
	header := func(h tar.Header) []byte { return send(t).member(h, "").end() }
	file := func(name string) []byte { return send(t).file(name, "x").sums().end() }
	list := func(text string) []byte { return send(t).file(firstWAL, "x").list(text).end() }
	sum := strings.Repeat("a", 64)
	huge := func(size int64) []byte {
		s := send(t)
		if err := s.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: firstWAL, Size: size, Mode: 0o600, Format: tar.FormatPAX}); err != nil {
			t.Fatal(err)
		}
		return s.out.Bytes()
	}
	return map[string]struct {
		stream []byte
		kind   sdk.ErrorKind
		says   string
	}{
		"nothing at all":            {nil, sdk.Invalid, "nothing was delivered"},
		"an empty tar":              {send(t).end(), sdk.Invalid, "nothing was delivered"},
		"no tar":                    {bytes.Repeat([]byte("text"), 1000), sdk.Invalid, "not a tar stream"},
		"half a header":             {good[:300], sdk.Unavailable, "ends early"},
		"half a file":               {good[:1540], sdk.Unavailable, "ends early"},
		"cut between members":       {good[:2048], sdk.Invalid, "no checksums"},
		"something behind the end":  {append(bytes.Clone(good), "rm -rf"...), sdk.Invalid, "follows the end"},
		"endless zeros":             {append(bytes.Clone(good), make([]byte, maxTrailer+1)...), sdk.Invalid, "follows the end"},
		"a path":                    {file("../" + firstWAL), sdk.Invalid, "at the top"},
		"an absolute path":          {file("/tmp/" + firstWAL), sdk.Invalid, "at the top"},
		"a path behind ./":          {file("./x/" + firstWAL), sdk.Invalid, "at the top"},
		"another name":              {file("postgresql.conf"), sdk.Invalid, "not the name of a WAL file"},
		"a hidden name":             {file("." + firstWAL), sdk.Invalid, "not the name of a WAL file"},
		"a name with a suffix":      {file(firstWAL + ".gz"), sdk.Invalid, "not the name of a WAL file"},
		"no name":                   {noName(t), sdk.Invalid, "not"},
		"a symbolic link":           {header(link(tar.TypeSymlink)), sdk.Invalid, "not a regular file"},
		"a hard link":               {header(link(tar.TypeLink)), sdk.Invalid, "not a regular file"},
		"a directory":               {header(tar.Header{Typeflag: tar.TypeDir, Name: "./"}), sdk.Invalid, "not a regular file"},
		"a device":                  {header(tar.Header{Typeflag: tar.TypeChar, Name: firstWAL, Devmajor: 1, Devminor: 3}), sdk.Invalid, "not a regular file"},
		"a FIFO":                    {header(tar.Header{Typeflag: tar.TypeFifo, Name: firstWAL}), sdk.Invalid, "not a regular file"},
		"an empty file":             {send(t).file(firstWAL, "").sums().end(), sdk.Invalid, "is empty"},
		"a huge file":               {huge(MaxSize + 1), sdk.Invalid, "more than any WAL file"},
		"a file that is cut off":    {huge(100), sdk.Unavailable, "ends early"},
		"a time before all":         {send(t).member(tar.Header{Typeflag: tar.TypeReg, Name: firstWAL, ModTime: time.Unix(-5, 0)}, "x").end(), sdk.Invalid, "time of modification"},
		"a time after all":          {send(t).member(tar.Header{Typeflag: tar.TypeReg, Name: firstWAL, ModTime: time.Unix(1<<40, 0)}, "x").end(), sdk.Invalid, "time of modification"},
		"a file twice":              {send(t).file(firstWAL, "x").file("./"+firstWAL, "x").sums().end(), sdk.Invalid, "twice"},
		"no list":                   {send(t).file(firstWAL, "x").end(), sdk.Invalid, "no checksums"},
		"two lists":                 {send(t).file(firstWAL, "x").sums().md5s().end(), sdk.Invalid, "second list"},
		"a list alone":              {send(t).list("").end(), sdk.Invalid, "no WAL file"},
		"a file without a checksum": {send(t).file(firstWAL, "x").sums().file(secondWAL, "y").end(), sdk.Invalid, "without a checksum"},
		"a checksum without a file": {list(sum + " *" + firstWAL + "\n" + sum + " *" + secondWAL + "\n"), sdk.Invalid, "but not the file"},
		"a name twice in the list":  {list(sum + " *" + firstWAL + "\n" + sum + "  ./" + firstWAL + "\n"), sdk.Invalid, "twice"},
		"a list that is none":       {list("what?\n"), sdk.Invalid, "line 1"},
		"a list of other checksums": {list(sum[:32] + " *" + firstWAL + "\n"), sdk.Invalid, "line 1"},
		"a list with an empty line": {list(sum + " *" + firstWAL + "\n\n"), sdk.Invalid, "line 2"},
		"a list without names":      {list(sum + " *\n"), sdk.Invalid, "line 1"},
		"a list with one space":     {list(sum + " " + firstWAL + "\n"), sdk.Invalid, "line 1"},
		"a list of odd digits":      {list(strings.Repeat("g", 64) + " *" + firstWAL + "\n"), sdk.Invalid, "line 1"},
		"a list without end":        {list(strings.Repeat("x", maxList+1)), sdk.Invalid, "longer than"},
		"a sparse file":             {sparse(t), sdk.Invalid, "not a regular file"},
		"an old sparse file":        {oldSparse(t), sdk.Invalid, "not a regular file"},
	}
}

// sparse is a member in the format of GNU tar that is a terabyte of nothing.
func sparse(t testing.TB) []byte {
	const size = "1099511627776"
	records := func(lines ...string) string {
		var all strings.Builder
		for _, line := range lines {
			n := len(line) + 4
			if n > 99 {
				n++
			}
			fmt.Fprintf(&all, "%d %s\n", n, line)
		}
		return all.String()
	}
	pax := records("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name="+firstWAL, "GNU.sparse.realsize="+size)
	s := send(t)
	s.rawHeader('x', "PaxHeaders/x", pax)
	s.rawHeader('0', "GNUSparseFile/"+firstWAL, "1\n0\n1\n"+strings.Repeat("\x00", 506)+"x")
	return append(s.out.Bytes(), make([]byte, 1024)...)
}

func noName(t testing.TB) []byte {
	s := send(t)
	s.rawHeader('0', "./", "x")
	return append(s.out.Bytes(), make([]byte, 1024)...)
}

func oldSparse(t testing.TB) []byte {
	s := send(t)
	s.rawHeader('S', firstWAL, "x")
	return append(s.out.Bytes(), make([]byte, 1024)...)
}

// rawHeader writes a member that package tar would not write.
func (s *sender) rawHeader(kind byte, name, content string) {
	block := make([]byte, 512)
	copy(block, name)
	copy(block[100:], "0000600\x000000000\x000000000\x00")
	copy(block[124:], fmt.Sprintf("%011o\x00%011o\x00", len(content), sentAt.Unix()))
	copy(block[148:], "        ")
	block[156] = kind
	copy(block[257:], "ustar\x0000")
	if kind == 'S' {
		copy(block[257:], "ustar  \x00")
		copy(block[386:], "00000000000\x0000000000001\x00")
		copy(block[483:], "00000000001\x00")
	}
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	s.out.Write(block)
	s.out.WriteString(content)
	s.out.Write(make([]byte, (512-len(content)%512)%512))
}

// read reads a delivery into memory.
func read(stream []byte) (map[string]string, Sums, error) {
	files := map[string]string{}
	listed, err := Read(bytes.NewReader(stream), func(name wal.Name, _ time.Time, content io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(content, 1<<20))
		files[name.String()] = string(text)
		return err
	})
	return files, listed, err
}

func TestADeliveryIsReadInWhateverOrderItComes(t *testing.T) {
	want := map[string]string{firstWAL: "first", "00000002.history": "history"}
	last := send(t).file(firstWAL, "first").file("./00000002.history", "history")
	listFirst := send(t).list(last.sha.String()).file(firstWAL, "first").file("00000002.history", "history")
	md5Between := send(t).file(firstWAL, "first")
	md5Between.md5.WriteString(fmt.Sprintf("%X  ./00000002.history", md5.Sum([]byte("history"))))
	md5Between.md5s()
	for name, stream := range map[string][]byte{
		"list at the end": last.sums().end(), "list at the beginning": listFirst.end(), "list in the middle": md5Between.file("00000002.history", "history").end(),
	} {
		files, listed, err := read(stream)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, files); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if len(listed.ByName) != 2 {
			t.Errorf("%s: %+v", name, listed)
		}
	}
}

func TestAHostileDeliveryIsRefused(t *testing.T) {
	for name, h := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			_, _, err := read(h.stream)
			if sdk.KindOf(err) != h.kind || !strings.Contains(err.Error(), h.says) {
				t.Errorf("%v: %v", sdk.KindOf(err), err)
			}
		})
	}
}

// A delivery that is taken has files with a checksum each, of names that can
// hurt nobody.
func FuzzRead(f *testing.F) {
	f.Add(send(f).file(firstWAL, "content").sums().end())
	f.Add(send(f).file("./"+firstWAL, "content").file("00000002.history", "h").md5s().end())
	for _, h := range hostile(f) {
		if len(h.stream) < 1<<16 {
			f.Add(h.stream)
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		files, listed, err := read(stream)
		if err != nil {
			return
		}
		if len(files) == 0 || len(files) != len(listed.ByName) {
			t.Fatalf("%d files, %d checksums", len(files), len(listed.ByName))
		}
		for name, content := range files {
			if strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") || content == "" {
				t.Errorf("%q was taken", name)
			}
			if len(listed.ByName[name]) != listed.Algorithm.digits() {
				t.Errorf("%s has the checksum %q", name, listed.ByName[name])
			}
		}
	})
}

func FuzzParseSums(f *testing.F) {
	f.Add(strings.Repeat("0", 64) + " *x\n")
	f.Add(strings.Repeat("F", 64) + "  ./x\n" + strings.Repeat("1", 64) + " *y")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSums(SHA256, text)
		if err != nil {
			return
		}
		// What was understood and is written down again is understood alike.
		var again strings.Builder
		for name, sum := range s.ByName {
			fmt.Fprintf(&again, "%s *%s\n", sum, name)
		}
		second, err := parseSums(SHA256, again.String())
		if err != nil || !cmp.Equal(s.ByName, second.ByName) {
			t.Errorf("%q became %q, %v", s.ByName, second.ByName, err)
		}
	})
}
