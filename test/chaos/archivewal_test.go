//go:build linux && amd64

package chaos_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pierrec/lz4/v4"

	"github.com/barman-go/barman/test/chaos"
)

// archiving is "barman archive-wal" of files that were received and delivered.
type archiving struct {
	place
	hcl string
	// received and delivered are the files that came, by name.
	received, delivered map[string][]byte
}

const walServer = `
server "main" {
  conninfo = "host=127.0.0.1 port=1 user=barman dbname=postgres"
  wal {
    archive = true
    source "pgreceivewal" { slot = "barman" }
    %s
    sink "posix" {}
  }
}
`

const smallSegment = 1 << 20

// modified is when the files were written, as far as barman knows.
var modified = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// segment is what PostgreSQL's segment of that number could be.
func segment(number uint64) []byte {
	content := make([]byte, smallSegment)
	random := rand.New(rand.NewPCG(number, 1))
	for i := 0; i < len(content); i += 64 { // some of it compresses
		binary.LittleEndian.PutUint64(content[i:], random.Uint64())
	}
	le := binary.LittleEndian
	le.PutUint16(content[0:], 0xD110)
	le.PutUint16(content[2:], 2)
	le.PutUint32(content[4:], 1)
	le.PutUint64(content[8:], number*smallSegment)
	le.PutUint64(content[24:], 7300000000000000001)
	le.PutUint32(content[32:], smallSegment)
	le.PutUint32(content[36:], 8192)
	return content
}

func newArchiving(t *testing.T, transform string) *archiving {
	a := &archiving{place: newPlace(t), hcl: fmt.Sprintf(walServer, transform)}
	name := func(n int) string { return fmt.Sprintf("0000000100000000%08X", n) }
	a.received = map[string][]byte{
		name(1): segment(1), name(2): segment(2), name(3): segment(3), name(4) + ".partial": segment(4)[:100000],
	}
	a.delivered = map[string][]byte{
		name(3): segment(3), name(5): segment(5),
		name(1) + ".00000028.backup": []byte("START WAL LOCATION: 0/100028 (file 000000010000000000000001)\nSTOP WAL LOCATION: 0/100100 (file 000000010000000000000001)\n"),
		"00000002.history":           []byte("1\t0/600000\tno recovery target specified\n"),
	}
	return a
}

func (a *archiving) prepare() error {
	if err := a.clear(a.hcl); err != nil {
		return err
	}
	for dir, files := range map[string]map[string][]byte{"streaming": a.received, "incoming": a.delivered} {
		if err := os.MkdirAll(a.path("home/main", dir), 0o700); err != nil {
			return err
		}
		for name, content := range files {
			path := a.path("home/main", dir, name)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				return err
			}
			if err := os.Chtimes(path, modified, modified); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *archiving) command() chaos.Command { return a.barman("archive-wal", "main") }

// came are all files that came, but the one that is still being received.
func (a *archiving) came() map[string][]byte {
	all := maps.Clone(a.received)
	maps.Copy(all, a.delivered)
	maps.DeleteFunc(all, func(name string, _ []byte) bool { return strings.HasSuffix(name, ".partial") })
	return all
}

// archived reads the archive, decompressed.
func (a *archiving) archived() (map[string][]byte, error) {
	archived := map[string][]byte{}
	err := filepath.WalkDir(a.path("home/main/wals"), func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		name := filepath.Base(path)
		if err != nil || entry.IsDir() || strings.HasPrefix(name, ".") || strings.Contains(name, "xlog.db") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.HasPrefix(content, []byte("\x04\x22\x4d\x18")) {
			if content, err = io.ReadAll(lz4.NewReader(bytes.NewReader(content))); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		archived[name] = content
		return nil
	})
	return archived, err
}

func (a *archiving) check(o chaos.Outcome) error {
	archived, err := a.archived()
	if err != nil {
		return err
	}
	for name, content := range archived {
		if want, ok := a.came()[name]; !ok || !bytes.Equal(content, want) {
			return fmt.Errorf("the archive has something else as %s", name)
		}
	}
	for name, content := range a.came() {
		if _, ok := archived[name]; ok {
			continue
		}
		if o.Code == 0 {
			return fmt.Errorf("it says that all is well, and %s is not archived", name)
		}
		for dir, files := range map[string]map[string][]byte{"streaming": a.received, "incoming": a.delivered} {
			if _, ok := files[name]; !ok {
				continue
			}
			if left, err := os.ReadFile(a.path("home/main", dir, name)); err != nil || !bytes.Equal(left, content) {
				return fmt.Errorf("%s is lost: neither archived nor in %s (%v)", name, dir, err)
			}
		}
	}
	if left, err := os.ReadFile(a.path("home/main/streaming/000000010000000000000004.partial")); err != nil || !bytes.Equal(left, a.received["000000010000000000000004.partial"]) {
		return fmt.Errorf("the segment being received is not what it was (%v)", err)
	}
	return nil
}

func (a *archiving) next() error {
	if err := a.run("archive-wal", "main"); err != nil {
		return err
	}
	archived, err := a.archived()
	if err != nil {
		return err
	}
	want := slices.Sorted(maps.Keys(a.came()))
	if got := slices.Sorted(maps.Keys(archived)); !slices.Equal(got, want) {
		return fmt.Errorf("archived are %v, not %v", got, want)
	}
	if err := a.check(chaos.Outcome{}); err != nil {
		return err
	}
	if err := a.recorded(want); err != nil {
		return err
	}
	return a.tidy()
}

// recorded compares the index with the archive.
func (a *archiving) recorded(want []string) error {
	index, err := os.ReadFile(a.path("home/main/wals/xlog.db"))
	if os.IsNotExist(err) {
		return nil // it is derived from the archive then, with the next file at the latest
	}
	if err != nil {
		return err
	}
	var recorded []string
	for line := range strings.Lines(string(index)) {
		name, rest, _ := strings.Cut(line, "\t")
		size, _, _ := strings.Cut(rest, "\t")
		recorded = append(recorded, name)
		dir := name[:min(16, len(name))]
		if strings.HasSuffix(name, ".history") {
			dir = ""
		}
		info, err := os.Stat(a.path("home/main/wals", dir, name))
		if err != nil {
			return err
		}
		if fmt.Sprint(info.Size()) != size {
			return fmt.Errorf("xlog.db says %s has %s bytes, it has %d", name, size, info.Size())
		}
	}
	slices.Sort(recorded)
	if !slices.Equal(recorded, want) {
		return fmt.Errorf("xlog.db lists %v, not %v", recorded, want)
	}
	return nil
}

// tidy looks for what should have gone.
func (a *archiving) tidy() error {
	var left []string
	for _, dir := range []string{"streaming", "incoming", "errors"} {
		err := filepath.WalkDir(a.path("home/main", dir), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				left = append(left, strings.TrimPrefix(path, a.root))
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	left = slices.DeleteFunc(left, func(path string) bool { return strings.HasSuffix(path, "streaming/000000010000000000000004.partial") })
	if len(left) > 0 {
		return fmt.Errorf("left over: %v", left)
	}
	return nil
}

func TestChaosOfArchiveWAL(t *testing.T) {
	for name, transform := range map[string]string{"plain": "", "lz4": `transform "compress" { codec = "lz4" }`} {
		t.Run(name, func(t *testing.T) { walk(t, newArchiving(t, transform)) })
	}
}
