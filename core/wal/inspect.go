package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// staleAfter is when a file that is still incomplete is worth a warning.
const staleAfter = 10 * time.Minute

// maxText bounds history and backup history files, which have some hundred bytes.
const maxText = 1 << 20

// incomplete is the error of a file that may still be written; all other
// findings are final.
type incomplete struct{ reason string }

func (i incomplete) Error() string { return i.reason }

// inspect decides whether a file can be archived now. One that cannot gets its
// outcome: it is left, or set aside.
func (r *run) inspect(f *file) error {
	if f.name.Kind == 0 {
		return r.setAside(f, suffixUnknown, "its name is not that of a WAL file")
	}
	opened, err := os.OpenFile(f.path(), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.outcome = Left // it was given its final name, or taken away
		return nil
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO):
		return r.setAside(f, suffixUnknown, "it is not a regular file")
	case err != nil:
		return fmt.Errorf("WAL file to archive: %w", err)
	}
	defer opened.Close()
	if f.info, err = opened.Stat(); err != nil {
		return err
	}
	if !f.info.Mode().IsRegular() {
		return r.setAside(f, suffixUnknown, "it is not a regular file")
	}
	finding := r.examine(f, opened)
	var unfinished incomplete
	var reading *fs.PathError
	switch {
	case finding == nil:
		return nil
	case errors.As(finding, &unfinished):
		return r.leave(f, unfinished.reason)
	case errors.As(finding, &reading):
		return fmt.Errorf("WAL file to archive: %w", finding)
	}
	return r.setAside(f, suffixUnknown, finding.Error())
}

// leave leaves a file for a later run.
func (r *run) leave(f *file, reason string) error {
	if f.origin == Pushed {
		return r.refuse(f, suffixUnknown, reason)
	}
	f.outcome, f.reason = Left, reason
	age := time.Since(f.info.ModTime())
	if f.name.Kind == wal.KindPartial && f.origin == Streaming && f.info.Size() == 0 {
		// The trace of a receiver that never got to write it. It is empty, so that
		// nothing is lost with it.
		if age <= staleAfter {
			return nil
		}
		return durable.Remove(f.path())
	}
	if age > staleAfter {
		r.server.Logger.Warn("a WAL file is not complete and was not written to for long; it is left where it is", "file", f.path(), "reason", reason, "unchanged", age.Round(time.Second))
	}
	r.done(f)
	return nil
}

// examine reads as much of a file as tells whether it is complete and ours.
func (r *run) examine(f *file, content *os.File) error {
	if f.info.Size() == 0 {
		return incomplete{"it is empty"}
	}
	plain, compression, err := codec.Decoded(content)
	f.compression = compression
	if err != nil {
		return undecodable(err)
	}
	defer plain.Close()
	if f.name.Kind == wal.KindHistory || f.name.Kind == wal.KindBackupHistory {
		return examineText(f.name, plain)
	}
	beginning := make([]byte, wal.LongPageHeaderSize)
	switch n, err := io.ReadFull(plain, beginning); {
	case errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		return incomplete{fmt.Sprintf("it has only %d bytes", n)}
	case err != nil:
		return undecodable(err)
	case len(bytes.Trim(beginning, "\x00")) == 0:
		return incomplete{"it begins with zeros"}
	}
	header, err := readHeader(beginning)
	if err == nil {
		err = header.CheckName(f.name)
	}
	if err == nil {
		err = r.cluster.check(header.SystemID)
	}
	if err != nil {
		return err
	}
	size := f.info.Size()
	if compression != "" {
		rest, err := io.Copy(io.Discard, io.LimitReader(plain, int64(wal.MaxSegmentSize)))
		if err != nil {
			return undecodable(err)
		}
		size = rest + int64(len(beginning))
	}
	return checkSize(f.name, size, header.SegmentSize)
}

func checkSize(name wal.Name, size int64, segment wal.SegmentSize) error {
	switch {
	case size > int64(segment):
		return fmt.Errorf("it holds more than the %d bytes of a segment", segment)
	case size < int64(segment) && name.Kind != wal.KindPartial:
		return incomplete{fmt.Sprintf("it has %d bytes, a segment of this cluster %d", size, segment)}
	}
	return nil
}

// undecodable tells a compressed file that ends early from a damaged one.
func undecodable(err error) error {
	var reading *fs.PathError
	switch {
	case errors.As(err, &reading):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return incomplete{"its compressed data ends early"}
	}
	return fmt.Errorf("its compressed data is damaged: %w", err)
}

// examineText checks a history or backup history file: text whose last line is
// complete.
func examineText(name wal.Name, plain io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(plain, maxText+1))
	switch {
	case err != nil:
		return undecodable(err)
	case len(text) > maxText:
		return fmt.Errorf("it is larger than any %s", name.Kind)
	case len(bytes.Trim(text, "\x00")) == 0 || text[len(text)-1] != '\n':
		return incomplete{"its last line is not complete"}
	}
	if name.Kind == wal.KindHistory {
		_, err := wal.ParseHistory(bytes.NewReader(text))
		return err
	}
	if !strings.HasPrefix(string(text), "START WAL LOCATION: ") {
		return errors.New("it is not a backup history file")
	}
	return nil
}

// readHeader reads the header of a segment's first page, also when the server's
// machine has the other byte order.
func readHeader(beginning []byte) (wal.PageHeader, error) {
	header, err := wal.ReadPageHeader(beginning)
	if err == nil {
		return header, nil
	}
	swapped := bytes.Clone(beginning)
	for at := 0; at < len(swapped); {
		// xlp_magic, xlp_info; xlp_tli; xlp_pageaddr; xlp_rem_len, padding; xlp_sysid;
		// xlp_seg_size, xlp_xlog_blcksz.
		width := map[int]int{0: 2, 2: 2, 8: 8, 24: 8}[at]
		if width == 0 {
			width = 4
		}
		reverse(swapped[at : at+width])
		at += width
	}
	if other, swappedErr := wal.ReadPageHeader(swapped); swappedErr == nil {
		return other, nil
	}
	return wal.PageHeader{}, err
}

func reverse(b []byte) {
	switch len(b) {
	case 2:
		binary.LittleEndian.PutUint16(b, binary.BigEndian.Uint16(b))
	case 4:
		binary.LittleEndian.PutUint32(b, binary.BigEndian.Uint32(b))
	case 8:
		binary.LittleEndian.PutUint64(b, binary.BigEndian.Uint64(b))
	}
}

// cluster is the cluster whose WAL the archive holds.
type cluster struct {
	systemID string // empty while nothing is known
	source   string // what says so
}

// check refuses WAL of another cluster. While nothing is known, the first file
// decides.
func (c *cluster) check(systemID uint64) error {
	id := strconv.FormatUint(systemID, 10)
	if c.systemID == "" {
		c.systemID, c.source = id, "the WAL archived before"
	}
	if id != c.systemID {
		return fmt.Errorf("it is of the cluster with system identifier %s, but %s is of %s: each cluster needs a server block of its own", id, c.source, c.systemID)
	}
	return nil
}
