package main

import (
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/barman-go/barman/sdk/manifest"
)

// listing is the manifest of a backup while it is being made. It is kept
// compressed in memory: a million files take some 30 MB, and nothing is written
// to disk.
type listing struct {
	algorithm manifest.Algorithm
	systemID  string

	mu     sync.Mutex
	packed *chunks
	zip    *zstd.Encoder
	lines  *json.Encoder
}

// listed is a file in it.
type listed struct {
	Path     string
	Size     int64
	Modified time.Time
	Checksum []byte
}

func newListing(algorithm manifest.Algorithm, systemID string) (*listing, error) {
	l := &listing{algorithm: algorithm, systemID: systemID, packed: new(chunks)}
	var err error
	l.zip, err = zstd.NewWriter(l.packed, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(256<<10))
	if err != nil {
		return nil, err
	}
	l.lines = json.NewEncoder(l.zip)
	return l, nil
}

// add lists a file that was read to its end.
func (l *listing) add(c *content) error {
	f := listed{Path: c.member.inManifest(), Size: c.member.size, Modified: c.member.modified}
	if c.sum != nil {
		f.Checksum = c.sum.Sum(nil)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Encode(f)
}

// writeTo writes the manifest of a backup that is complete.
func (l *listing) writeTo(w io.Writer, ranges []manifest.WALRange) (err error) {
	if err := l.zip.Close(); err != nil {
		return err
	}
	out, err := manifest.NewWriter(w, l.systemID)
	if err != nil {
		return err
	}
	unzip, err := zstd.NewReader(l.packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer unzip.Close()
	for lines := json.NewDecoder(unzip); ; {
		var f listed
		err := lines.Decode(&f)
		if errors.Is(err, io.EOF) {
			return out.Close(ranges)
		}
		if err != nil {
			return err
		}
		if err := out.Add(manifest.File{Path: f.Path, Size: f.Size, Algorithm: l.algorithm, Checksum: f.Checksum}, f.Modified); err != nil {
			return err
		}
	}
}

// chunks is a buffer that grows without being copied, and is given back as it is
// read.
type chunks struct{ list [][]byte }

const chunkSize = 64 << 10

func (c *chunks) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		last := len(c.list) - 1
		if last < 0 || len(c.list[last]) == chunkSize {
			c.list = append(c.list, make([]byte, 0, chunkSize))
			last++
		}
		n := min(len(rest), chunkSize-len(c.list[last]))
		c.list[last] = append(c.list[last], rest[:n]...)
		rest = rest[n:]
	}
	return len(p), nil
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.list) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.list[0])
	if c.list[0] = c.list[0][n:]; len(c.list[0]) == 0 {
		c.list = c.list[1:]
	}
	return n, nil
}
