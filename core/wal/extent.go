package wal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/barman-go/barman/sdk/wal"
)

// Layout of a page's and a record's header, which has been the same since
// PostgreSQL 9.5 (XLogPageHeaderData in access/xlog_internal.h, XLogRecord in
// access/xlogrecord.h).
const (
	pageHeaderSize = 24
	flagContinues  = 0x0001 // XLP_FIRST_IS_CONTRECORD
	flagOverwrites = 0x0008 // XLP_FIRST_IS_OVERWRITE_CONTRECORD

	recordHeaderSize = 24
	recordAlignment  = 8
	summedHeaderSize = 20 // of a record's header, all but its checksum
	infoAt, rmgrAt   = 16, 17
	switchInfo       = 0x40 // XLOG_SWITCH, of resource manager 0
)

// Extent reads a segment, whole or partial, and returns how many of its bytes,
// from the first one on, are WAL that recovery can replay: it ends with the last
// record that is complete and whose checksum is right. A record that goes on in
// the next segment, or a switch to it, makes all of the segment count.
//
// Of two copies of one segment, the one of the greater extent leads further. A
// file that does not begin like a segment is an error, as is one that cannot be
// read; one of a machine with the other byte order counts to its last byte that
// is not zero.
func Extent(content io.Reader) (int64, error) {
	buffered := bufio.NewReaderSize(content, 256<<10)
	beginning, err := buffered.Peek(wal.LongPageHeaderSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	header, err := wal.ReadPageHeader(beginning)
	if err != nil {
		if _, foreign := readHeader(beginning); foreign == nil {
			return lastWritten(buffered)
		}
		return 0, err
	}
	e := extent{content: buffered, header: header, page: make([]byte, header.BlockSize)}
	return e.measure()
}

// extent is a segment that is being measured.
type extent struct {
	content io.Reader
	header  wal.PageHeader
	page    []byte
	number  int64 // of pages that were read

	end     int64  // where the last complete record ends
	left    uint32 // bytes of the current record that are still to come; 0 between records
	opening bool   // the current record began in the segment before
	head    [recordHeaderSize]byte
	headLen int
	sum     uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// verdict is what a part of the segment tells of the rest.
type verdict int

const (
	goesOn verdict = iota
	endOfWAL
	endOfSegment // the server switched to the next one
)

func (e *extent) measure() (int64, error) {
	pages := int64(e.header.SegmentSize) / int64(e.header.BlockSize)
	for e.number = 0; e.number < pages; e.number++ {
		if _, err := io.ReadFull(e.content, e.page); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return e.end, nil
		} else if err != nil {
			return 0, err
		}
		switch e.readPage() {
		case endOfWAL:
			return e.end, nil
		case endOfSegment:
			return int64(e.header.SegmentSize), nil
		}
	}
	if e.left > 0 {
		return int64(e.header.SegmentSize), nil
	}
	return e.end, nil
}

// readPage follows the records through one page.
func (e *extent) readPage() verdict {
	le := binary.LittleEndian
	info, rest := le.Uint16(e.page[2:]), le.Uint32(e.page[16:])
	address := e.header.PageAddress + wal.LSN(e.number*int64(len(e.page)))
	if le.Uint16(e.page) != e.header.Magic || wal.LSN(le.Uint64(e.page[8:])) != address {
		return endOfWAL // of an earlier use of the file, or zeros
	}
	at := pageHeaderSize
	if e.number == 0 {
		at = wal.LongPageHeaderSize
	}
	switch continues := info&flagContinues != 0; {
	case e.number == 0 && continues:
		e.left, e.opening = rest, true
	case e.left > 0 && info&flagOverwrites != 0:
		e.left = 0 // after a crash the server began anew here
	case continues != (e.left > 0), continues && rest != e.left:
		return endOfWAL
	}
	for {
		if e.left > 0 {
			n := min(int(e.left), len(e.page)-at)
			if v := e.take(e.page[at : at+n]); v != goesOn {
				return v
			}
			at = align(at + n)
			if e.left > 0 {
				return goesOn
			}
			e.end = e.number*int64(len(e.page)) + int64(min(at, len(e.page)))
		}
		if at >= len(e.page) {
			return goesOn
		}
		length := le.Uint32(e.page[at:])
		if length < recordHeaderSize {
			return endOfWAL
		}
		e.left, e.opening, e.headLen, e.sum = length, false, 0, 0
	}
}

// take takes bytes of the current record, and checks it at its end.
func (e *extent) take(b []byte) verdict {
	e.left -= uint32(len(b))
	if e.opening {
		return goesOn // its checksum covers what is not here
	}
	n := copy(e.head[e.headLen:], b)
	e.headLen += n
	e.sum = crc32.Update(e.sum, castagnoli, b[n:])
	if e.left > 0 {
		return goesOn
	}
	if crc32.Update(e.sum, castagnoli, e.head[:summedHeaderSize]) != binary.LittleEndian.Uint32(e.head[summedHeaderSize:]) {
		return endOfWAL
	}
	if e.head[rmgrAt] == 0 && e.head[infoAt]&0xF0 == switchInfo {
		return endOfSegment
	}
	return goesOn
}

func align(at int) int { return (at + recordAlignment - 1) &^ (recordAlignment - 1) }

// lastWritten returns where the last byte that is not zero ends.
func lastWritten(r io.Reader) (int64, error) {
	var at, last int64
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.Read(buffer)
		for i, b := range buffer[:n] {
			if b != 0 {
				last = at + int64(i) + 1
			}
		}
		at += int64(n)
		if err == io.EOF {
			return last, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
