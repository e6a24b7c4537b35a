package verify

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/stored"
	"github.com/barman-go/barman/sdk/manifest"
)

// checker holds what is found of a backup against what is expected. Its methods
// may be called from several goroutines.
type checker struct {
	problems problems
	// manifest knows the files; nil without a manifest that can be relied on.
	manifest *index
	// receipts know the objects; nil without receipts.
	receipts *index
	// systemID is that of the manifest; empty if it has none.
	systemID string

	files atomic.Int64
	bytes atomic.Int64
}

// found is a file of the backup.
type found struct {
	// path is that in the manifest.
	path string
	// object is its name in the store; empty for a part of an object.
	object string
	size   int64 // sdk.SizeUnknown before it is read
}

// controlFile begins with the system identifier (ControlFileData in PostgreSQL's
// catalog/pg_control.h).
const controlFile = "global/pg_control"

// ignored tells of a path whether pg_verifybackup leaves it out: what changes
// between backup and start, and WAL, which is verified as such.
func ignored(path string) bool {
	switch path {
	case stored.ManifestName, "postgresql.auto.conf", "recovery.signal", "standby.signal", "pg_wal":
		return true
	}
	return strings.HasPrefix(path, "pg_wal/")
}

const bufferSize = 256 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// file checks a file whose content is r. Only errors of r come back.
func (c *checker) file(ctx context.Context, f found, r io.Reader) error {
	want, listed, again := c.manifest.find(f.path)
	receipt, known, _ := c.receipts.find(f.object)
	skipped := ignored(f.path)
	switch {
	case again:
		c.problems.add(Extra, f.path, f.object, "comes twice in the backup")
	case c.manifest != nil && !listed && !skipped:
		c.problems.add(Extra, f.path, f.object, "is there, but is not in the manifest")
	case c.manifest == nil && c.receipts != nil && f.object != "" && !known && !skipped:
		c.problems.add(Extra, f.path, f.object, "is there, but was not stored with the backup")
	}
	listed = listed && !skipped
	if !listed && !known {
		return nil // there is nothing to hold it against
	}
	if listed && f.size >= 0 && f.size != want.size {
		c.files.Add(1)
		c.problems.add(Size, f.path, f.object, "has %d bytes, in the manifest %d", f.size, want.size)
		return nil
	}
	var sum hash.Hash
	if listed && want.algorithm != manifest.CRC32C {
		sum = want.algorithm.New()
	}
	size, crc, head, err := c.read(ctx, r, f.size, sum)
	if err != nil {
		return err
	}
	c.files.Add(1)
	if f.path == controlFile {
		c.control(head)
	}
	if listed {
		switch {
		case size != want.size:
			c.problems.add(Size, f.path, f.object, "has %d bytes, in the manifest %d", size, want.size)
			return nil
		case !c.manifest.matches(want, checksum(want.algorithm, sum, crc)):
			c.problems.add(Checksum, f.path, f.object, "has another checksum (%s) than in the manifest: its content is damaged", want.algorithm)
			return nil
		}
	}
	if known {
		c.object(f.path, f.object, receipt, size, crc)
	}
	return nil
}

// object holds the size and the CRC-32C of an object against its receipt.
func (c *checker) object(file, object string, receipt expected, size int64, crc uint32) {
	switch {
	case size != receipt.size:
		c.problems.add(Size, file, object, "has %d bytes, %d were stored", size, receipt.size)
	case !c.receipts.matches(receipt, crcBytes(crc)):
		c.problems.add(Checksum, file, object, "has the CRC-32C %s, which is not that of what was stored: its content is damaged", catalogue.Checksum(crc))
	}
}

func crcBytes(crc uint32) []byte { return binary.LittleEndian.AppendUint32(nil, crc) }

// checksum is that of a file, once it was read.
func checksum(a manifest.Algorithm, sum hash.Hash, crc uint32) []byte {
	switch {
	case sum != nil:
		return sum.Sum(nil)
	case a == manifest.CRC32C:
		return crcBytes(crc)
	}
	return nil
}

// read reads a file, as many bytes as it has, or to its end if that is not known,
// and returns its CRC-32C and how it begins.
func (c *checker) read(ctx context.Context, r io.Reader, has int64, sum hash.Hash) (size int64, crc uint32, head []byte, err error) {
	buffer := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	for size != has {
		n, err := r.Read(buffer[:])
		if size == 0 && n > 0 {
			head = append(head, buffer[:min(n, 8)]...)
		}
		size += int64(n)
		c.bytes.Add(int64(n))
		crc = crc32.Update(crc, castagnoli, buffer[:n])
		if sum != nil {
			sum.Write(buffer[:n])
		}
		if errors.Is(err, io.EOF) {
			return size, crc, head, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return size, crc, head, err
		}
	}
	return size, crc, head, nil
}

// control holds the system identifier of pg_control, of a machine of either byte
// order, against that of the manifest.
func (c *checker) control(head []byte) {
	if c.systemID == "" || len(head) < 8 {
		return
	}
	id := binary.LittleEndian.Uint64(head)
	if swapped := binary.BigEndian.Uint64(head); fmt.Sprint(id) != c.systemID && fmt.Sprint(swapped) != c.systemID {
		c.problems.add(Damaged, controlFile, "", "is of the cluster with the system identifier %d, the manifest of %s", id, c.systemID)
	}
}
