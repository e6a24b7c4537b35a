package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// segmentOf makes the content of a segment: a true header, some bytes that
// depend on the seed, zeros.
func segmentOf(name string, systemID uint64, seed uint64) []byte {
	return segmentIn(binary.LittleEndian, name, systemID, seed)
}

func segmentIn(order binary.ByteOrder, name string, systemID uint64, seed uint64) []byte {
	n, err := wal.ParseName(name)
	if err != nil {
		panic(err)
	}
	segment, err := n.Segment(testSize)
	if err != nil {
		panic(err)
	}
	b := make([]byte, testSize)
	order.PutUint16(b[0:], 0xD110)
	order.PutUint16(b[2:], 2)
	order.PutUint32(b[4:], uint32(n.Timeline))
	order.PutUint64(b[8:], uint64(segment.Start(testSize)))
	order.PutUint64(b[24:], systemID)
	order.PutUint32(b[32:], uint32(testSize))
	order.PutUint32(b[36:], 8192)
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(n.Seg), byte(n.Log), byte(n.Timeline)})
	if _, err := random.Read(b[64 : 64+4096]); err != nil {
		panic(err)
	}
	return b
}

// names returns n segment names from the given one on.
func names(t *testing.T, first string, n int) []string {
	t.Helper()
	segment, err := wal.ParseSegment(first, testSize)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for range n {
		all = append(all, segment.Name(testSize))
		segment = segment.Next()
	}
	return all
}

func (s *site) put(dir, name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, dir, name), content, 0o640); err != nil {
		s.t.Fatal(err)
	}
}

// segment puts a segment there and returns its content.
func (s *site) segment(dir, name string) []byte {
	s.t.Helper()
	content := segmentOf(name, testSystemID, 1)
	s.put(dir, name, content)
	return content
}

// archive runs the archiver, which must succeed.
func (s *site) archive() Report {
	s.t.Helper()
	report, err := Archive(s.t.Context(), s.Server, ArchiveOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}

// files lists a directory of the server.
func (s *site) files(dir string) []string {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.dir, dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// stored returns what is archived under a name, decompressed.
func (s *site) stored(name string) []byte {
	s.t.Helper()
	return s.plain(s.raw(name))
}

func (s *site) raw(name string) []byte {
	s.t.Helper()
	n, err := wal.ParseName(name)
	if err != nil {
		s.t.Fatal(err)
	}
	content, err := os.ReadFile(s.Catalogue.WALPath(n))
	if err != nil {
		s.t.Fatal(err)
	}
	return content
}

func (s *site) plain(content []byte) []byte {
	s.t.Helper()
	r, _, err := codec.Decoded(bytes.NewReader(content))
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	plain, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return plain
}

// recorded returns the names in xlog.db in its order.
func (s *site) recorded() []string {
	s.t.Helper()
	var all []string
	for record, err := range s.Catalogue.WALRecords() {
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, record.Name.String())
	}
	return all
}

// lines returns the lines of xlog.db.
func (s *site) lines() []string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, "wals", "xlog.db"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

// tool runs a command on some bytes.
func tool(t *testing.T, input []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, stderr.String())
	}
	return out
}

// withSuffix returns the files of a directory that end so, without the time
// that is in their names.
func withSuffix(files []string, suffix string) []string {
	var found []string
	for _, f := range files {
		if rest, ok := strings.CutSuffix(f, "."+suffix); ok {
			found = append(found, rest[:strings.LastIndexByte(rest, '.')])
		}
	}
	slices.Sort(found)
	return found
}
