package wal

import (
	"encoding/binary"
	"fmt"
)

// LongPageHeaderSize is the length in bytes of the header of a segment's first
// page (XLogLongPageHeaderData in PostgreSQL's access/xlog_internal.h).
const LongPageHeaderSize = 40

const (
	longHeaderFlag = 0x0002 // XLP_LONG_HEADER
	// Every release since PostgreSQL 9 used a magic number beginning with 0xD;
	// the rest changes with the WAL format, that is, with each major version.
	magicFamily = 0xD
)

// PageHeader is what the first page of a segment says about itself.
type PageHeader struct {
	// Magic changes with PostgreSQL's major version.
	Magic uint16
	// Timeline of the page. In the first segment of a new timeline it may still
	// be the parent's, because PostgreSQL copies what lies before the switch.
	Timeline Timeline
	// PageAddress is the position of the page, and so of the segment.
	PageAddress LSN
	// SystemID identifies the cluster, as pg_controldata shows it.
	SystemID    uint64
	SegmentSize SegmentSize
	// BlockSize is the size of a WAL page in bytes (XLOG_BLCKSZ).
	BlockSize uint32
}

// ReadPageHeader decodes the header at the beginning of a segment written by a
// little-endian machine; first needs at least LongPageHeaderSize bytes. What
// cannot be the beginning of a segment is an error, among it the zeros of a
// file that PostgreSQL allocated and did not fill.
func ReadPageHeader(first []byte) (PageHeader, error) {
	if len(first) < LongPageHeaderSize {
		return PageHeader{}, fmt.Errorf("WAL page header: %d bytes, expected at least %d", len(first), LongPageHeaderSize)
	}
	le := binary.LittleEndian
	h := PageHeader{
		Magic:       le.Uint16(first[0:]),
		Timeline:    Timeline(le.Uint32(first[4:])),
		PageAddress: LSN(le.Uint64(first[8:])),
		SystemID:    le.Uint64(first[24:]),
		SegmentSize: SegmentSize(le.Uint32(first[32:])),
		BlockSize:   le.Uint32(first[36:]),
	}
	info := le.Uint16(first[2:])
	switch {
	case h.Magic>>12 != magicFamily:
		return PageHeader{}, fmt.Errorf("WAL page header: magic number %04X is not PostgreSQL's", h.Magic)
	case info&longHeaderFlag == 0:
		return PageHeader{}, fmt.Errorf("WAL page header: flags %04X mark a page in the middle of a segment, not its first", info)
	case h.Timeline == 0:
		return PageHeader{}, fmt.Errorf("WAL page header: timeline 0 does not exist")
	case !h.SegmentSize.Valid():
		return PageHeader{}, fmt.Errorf("WAL page header: %d bytes is not a WAL segment size", h.SegmentSize)
	case h.SegmentSize.Offset(h.PageAddress) != 0:
		return PageHeader{}, fmt.Errorf("WAL page header: position %s is not the beginning of a segment of %d bytes", h.PageAddress, h.SegmentSize)
	case h.BlockSize < 1<<10 || h.BlockSize > 64<<10 || h.BlockSize&(h.BlockSize-1) != 0:
		return PageHeader{}, fmt.Errorf("WAL page header: %d bytes is not a WAL block size", h.BlockSize)
	}
	return h, nil
}

// CheckName returns an error unless a segment that begins with h can bear the
// name n: the same position, and a timeline that is the page's or a later one.
func (h PageHeader) CheckName(n Name) error {
	s, err := n.Segment(h.SegmentSize)
	if err != nil {
		return err
	}
	if start := s.Start(h.SegmentSize); start != h.PageAddress {
		return fmt.Errorf("WAL file %s should begin at position %s, its content begins at %s", n, start, h.PageAddress)
	}
	if h.Timeline > n.Timeline {
		return fmt.Errorf("WAL file %s is of timeline %d, its content of the later timeline %d", n, n.Timeline, h.Timeline)
	}
	return nil
}
