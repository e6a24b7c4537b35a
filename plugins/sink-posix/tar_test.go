package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
)

// member is an entry of an archive made by a test.
type member struct {
	name   string
	kind   byte // a file when 0
	mode   int64
	size   int64
	link   string
	format tar.Format
	pax    map[string]string
	zero   bool // its content is zeros
}

var memberTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// archiveOf makes an archive of members, whose content is repetitions of their
// names.
func archiveOf(t testing.TB, members ...member) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		h := &tar.Header{Typeflag: m.kind, Name: m.name, Mode: m.mode, Size: m.size, Linkname: m.link, ModTime: memberTime, Format: m.format, PAXRecords: m.pax}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatalf("%q: %v", m.name, err)
		}
		if _, err := w.Write(contentOf(m)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

func contentOf(m member) []byte {
	if m.zero {
		return make([]byte, m.size)
	}
	return bytes.Repeat([]byte(m.name+"\n"), int(m.size)/(len(m.name)+1)+1)[:m.size]
}

func unpack(t testing.TB, s *Sink, name string, archive io.Reader) {
	t.Helper()
	if _, err := s.Put(t.Context(), sdk.Object{Name: name, Kind: sdk.KindTar}, archive); err != nil {
		t.Fatal(err)
	}
}

func TestArchiveIsUnpackedWithModesAndTimes(t *testing.T) {
	for _, fsync := range []bool{true, false} {
		dir := t.TempDir()
		s := start(t, Config{Path: dir, Unpack: true, Fsync: &fsync})
		members := []member{
			{name: "./", kind: tar.TypeDir, mode: 0o755},
			{name: "base/", kind: tar.TypeDir, mode: 0o700},
			{name: "base/1/", kind: tar.TypeDir, mode: 0o750},
			{name: "pg_notify/", kind: tar.TypeDir, mode: 0o700},
			{name: "PG_VERSION", mode: 0o600, size: 3},
			{name: "empty", mode: 0o600},
			{name: "./base/1/dotted", mode: 0o640, size: 100},
			{name: "implied/deep/file", mode: 0o600, size: 7},
			{name: "base/1/" + strings.Repeat("n", 150), mode: 0o600, size: 9, format: tar.FormatPAX},
			{name: "base/1/" + strings.Repeat("g", 150), mode: 0o600, size: 9, format: tar.FormatGNU},
		}
		for i, size := range []int64{bufferSize - 1, bufferSize, bufferSize + 1, 3*earlyBytes + 5} {
			members = append(members, member{name: fmt.Sprintf("base/1/size-%d", i), mode: 0o600, size: size})
		}
		for i := range 100 {
			members = append(members, member{name: fmt.Sprintf("base/%d/%d", i%20, i), mode: 0o600, size: int64(i) * 100})
		}
		unpack(t, s, "base.tar", archiveOf(t, members...))
		put(t, s, sdk.Object{Name: "backup_manifest"}, "{}")
		flush(t, s)
		for _, m := range members {
			info, err := os.Lstat(filepath.Join(dir, m.name))
			if err != nil {
				t.Fatal(err)
			}
			want := fs.FileMode(m.mode)
			if m.kind == tar.TypeDir {
				if m.name != "./" && info.Mode() != want|fs.ModeDir {
					t.Errorf("%s has mode %v, want %v", m.name, info.Mode(), want)
				}
				continue
			}
			content, err := os.ReadFile(filepath.Join(dir, m.name))
			if err != nil || !bytes.Equal(content, contentOf(m)) {
				t.Errorf("%s has %d bytes that differ (%v)", m.name, len(content), err)
			}
			if info.Mode() != want || !info.ModTime().Equal(memberTime) {
				t.Errorf("%s has mode %v and time %v", m.name, info.Mode(), info.ModTime())
			}
		}
		wantContent(t, s, "backup_manifest", "{}")
	}
}

func TestTablespacesGoToTheirMounts(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "ts/new")
	s := start(t, Config{Path: dir, Unpack: true, Mounts: map[string]string{"pg_tblspc/16400": outside}})
	unpack(t, s, "base.tar", archiveOf(t,
		member{name: "pg_tblspc/", kind: tar.TypeDir, mode: 0o700},
		member{name: "pg_tblspc/16400", kind: tar.TypeSymlink, link: "/somewhere/else"},
		member{name: "PG_VERSION", size: 3}))
	if _, err := os.Lstat(filepath.Join(dir, "pg_tblspc/16400")); err == nil {
		t.Error("the link is there before the flush")
	}
	unpack(t, s, "pg_tblspc/16400/16400.tar", archiveOf(t, member{name: "PG_15_202209061/5/1", size: 8192}))
	put(t, s, sdk.Object{Name: "pg_tblspc/16400/PG_15_202209061/5/2"}, "plain")
	flush(t, s)
	flush(t, s)
	link, err := os.Readlink(filepath.Join(dir, "pg_tblspc/16400"))
	if err != nil || link != outside {
		t.Errorf("the link leads to %q (%v), want %q", link, err, outside)
	}
	if want := []string{"PG_15_202209061", "PG_15_202209061/5", "PG_15_202209061/5/1", "PG_15_202209061/5/2"}; !slices.Equal(everything(t, outside), want) {
		t.Errorf("the tablespace holds %v", everything(t, outside))
	}
	// The link is in place now, and still nothing goes through it.
	put(t, s, sdk.Object{Name: "pg_tblspc/16400/PG_15_202209061/5/3"}, "late")
	flush(t, s)
	if _, err := os.Stat(filepath.Join(outside, "PG_15_202209061/5/3")); err != nil {
		t.Error(err)
	}
}

func TestHostileArchivesAreRefused(t *testing.T) {
	long := strings.Repeat("d/", 3000)
	for what, archive := range map[string]io.Reader{
		"absolute name":           archiveOf(t, member{name: "/etc/passwd", size: 1}),
		"name above":              archiveOf(t, member{name: "../outside", size: 1}),
		"name above in between":   archiveOf(t, member{name: "a/../../outside", size: 1}),
		"directory above":         archiveOf(t, member{name: "../outside/", kind: tar.TypeDir}),
		"name that is a dot":      archiveOf(t, member{name: "./..", size: 1}),
		"control character":       archiveOf(t, member{name: "a\x01b", size: 1, format: tar.FormatPAX}),
		"deep name":               archiveOf(t, member{name: long + "x", size: 1, format: tar.FormatPAX}),
		"link out":                archiveOf(t, member{name: "a", kind: tar.TypeSymlink, link: "/etc"}, member{name: "a/passwd", size: 1}),
		"link inside":             archiveOf(t, member{name: "a", kind: tar.TypeSymlink, link: "b"}),
		"unknown tablespace":      archiveOf(t, member{name: "pg_tblspc/1", kind: tar.TypeSymlink, link: "/srv"}),
		"hard link":               archiveOf(t, member{name: "a", size: 1}, member{name: "b", kind: tar.TypeLink, link: "a"}),
		"hard link out":           archiveOf(t, member{name: "b", kind: tar.TypeLink, link: "/etc/passwd"}),
		"character device":        archiveOf(t, member{name: "a", kind: tar.TypeChar}),
		"block device":            archiveOf(t, member{name: "a", kind: tar.TypeBlock}),
		"pipe":                    archiveOf(t, member{name: "a", kind: tar.TypeFifo}),
		"same name twice":         archiveOf(t, member{name: "a", size: 1}, member{name: "a", size: 1}),
		"same name, other wise":   archiveOf(t, member{name: "b/a", size: 1}, member{name: "./b/a", size: 1}),
		"file, then below it":     archiveOf(t, member{name: "a", size: 1}, member{name: "a/b", size: 1}),
		"file, then directory":    archiveOf(t, member{name: "a", size: 1}, member{name: "b", size: 1}, member{name: "a/", kind: tar.TypeDir}),
		"huge size":               hugeArchive(t),
		"sparse file":             archiveOf(t, member{name: "a", size: 512, format: tar.FormatPAX, pax: map[string]string{"COMMENT.x": "y"}}, sparse()),
		"no archive":              strings.NewReader(strings.Repeat("no archive ", 200)),
		"archive cut in a header": io.LimitReader(archiveOf(t, member{name: "a", size: 1}), 100),
		"archive cut in a file":   io.LimitReader(archiveOf(t, member{name: "a", size: 1 << 20}), 1<<19),
		"nothing":                 strings.NewReader(""),
		"archive cut behind one":  io.LimitReader(archiveOf(t, member{name: "a", size: 1}, member{name: "b", size: 1}), 1024),
		"archive cut in its end":  io.LimitReader(archiveOf(t, member{name: "a", size: 1}), 1024+512),
		"zeros for an end":        io.LimitReader(archiveOf(t, member{name: "a", size: 4096, zero: true}), 512+4096),
	} {
		t.Run(what, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "root")
			s := start(t, Config{Path: dir, Unpack: true})
			_, err := s.Put(t.Context(), sdk.Object{Name: "base.tar", Kind: sdk.KindTar}, archive)
			wantKind(t, "unpacking it", err, sdk.Corrupt)
			for _, name := range everything(t, parent) {
				info, err := os.Lstat(filepath.Join(parent, name))
				if err != nil {
					t.Fatal(err)
				}
				if name != "root" && !strings.HasPrefix(name, "root/") || info.Mode().Type()&^fs.ModeDir != 0 {
					t.Errorf("there is %s (%v)", name, info.Mode())
				}
			}
		})
	}
}

// hugeArchive has one header that announces 8 EiB.
func hugeArchive(t *testing.T) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "huge", Size: 1<<63 - 1, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err == nil {
		t.Fatal("an incomplete archive is complete")
	}
	return &out
}

// sparse is a member of GNU's old sparse type: the writer cannot make it, so it
// is a file whose name the reader takes for one.
func sparse() member {
	return member{name: "GNUSparseFile.0/a", size: 0, kind: tar.TypeCont}
}

func TestSparseHeadersAreRefused(t *testing.T) {
	_, err := memberName(".", &tar.Header{Name: "a", PAXRecords: map[string]string{"GNU.sparse.major": "1"}})
	wantKind(t, "a sparse member", err, sdk.Corrupt)
	s := start(t, Config{Path: t.TempDir(), Unpack: true})
	crew := s.newCrew()
	err = s.unpackMember(".", &tar.Header{Name: "a", Typeflag: tar.TypeGNUSparse, Size: 1 << 60}, strings.NewReader(""), crew)
	wantKind(t, "a sparse member of the old type", err, sdk.Corrupt)
	if err := crew.wait(); err != nil {
		t.Error(err)
	}
}

func TestTargetsOwnFilesStayAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "postmaster.pid"), []byte("guard"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Path: dir, Unpack: true})
	_, err := s.Put(t.Context(), sdk.Object{Name: "postmaster.pid"}, strings.NewReader("x"))
	wantKind(t, "an object over a file", err, sdk.Exists)
	_, err = s.Put(t.Context(), sdk.Object{Name: "base.tar", Kind: sdk.KindTar}, archiveOf(t, member{name: "postmaster.pid", size: 1}))
	wantKind(t, "a member over a file", err, sdk.Corrupt)
	_, err = s.Put(t.Context(), sdk.Object{Name: "link", Kind: sdk.KindSymlink, LinkTarget: "/etc"}, nil)
	wantKind(t, "a link", err, sdk.Corrupt)
	flush(t, s)
	wantContent(t, s, "postmaster.pid", "guard")
}

func TestUnpackedFilesCloseWhenUnpackingFails(t *testing.T) {
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	s := start(t, Config{Path: t.TempDir(), Unpack: true})
	before := open()
	for i := range 20 {
		archive := archiveOf(t, member{name: fmt.Sprintf("%d/a", i), size: 4 << 20}, member{name: fmt.Sprintf("%d/b", i), size: 4 << 20}, member{name: "postmaster", size: 1})
		_, err := s.Put(t.Context(), sdk.Object{Name: "base.tar", Kind: sdk.KindTar}, io.LimitReader(archive, 7<<20))
		wantKind(t, "a cut archive", err, sdk.Corrupt)
	}
	flush(t, s)
	if leaked := open() - before; leaked > maxCached {
		t.Errorf("%d descriptors are left open", leaked)
	}
}

func FuzzUnpack(f *testing.F) {
	for _, members := range [][]member{
		{{name: "a/", kind: tar.TypeDir, mode: 0o700}, {name: "a/b", size: 600}},
		{{name: "../a", size: 1}},
		{{name: "l", kind: tar.TypeSymlink, link: "/etc"}, {name: "l/x", size: 1}},
		{{name: strings.Repeat("x", 120), size: 3, format: tar.FormatPAX}},
		{{name: strings.Repeat("x", 120), size: 3, format: tar.FormatGNU}},
	} {
		all, err := io.ReadAll(archiveOf(f, members...))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(all)
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		parent, err := os.MkdirTemp("/dev/shm", "fuzz")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(parent)
		s, err := New(sdk.Server{}, &Config{Path: filepath.Join(parent, "root"), Unpack: true, Fsync: new(bool)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Put(t.Context(), sdk.Object{Name: "base.tar", Kind: sdk.KindTar}, bytes.NewReader(archive))
		if err != nil && sdk.KindOf(err) != sdk.Corrupt && sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%v is of kind %s", err, sdk.KindOf(err))
		}
		for _, name := range everything(t, parent) {
			info, err := os.Lstat(filepath.Join(parent, name))
			if err != nil || name != "root" && !strings.HasPrefix(name, "root/") || info.Mode().Type()&^fs.ModeDir != 0 {
				t.Errorf("there is %s (%v)", name, err)
			}
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
}
