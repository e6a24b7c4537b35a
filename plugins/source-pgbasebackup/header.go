package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// blockSize is the unit of a tar archive.
const blockSize = 512

// Entry types of a tar archive (POSIX ustar) that PostgreSQL writes.
const (
	typeFile      = '0'
	typeSymlink   = '2'
	typeDirectory = '5'
)

// member is the header of a tar entry.
type member struct {
	name    string
	kind    byte
	size    int64
	mode    fs.FileMode
	modTime time.Time
}

// padded is the number of bytes that the content takes in the archive.
func (m member) padded() int64 { return (m.size + blockSize - 1) / blockSize * blockSize }

var errNotTar = errors.New("not a tar header")

// parseHeader reads a header as PostgreSQL writes it (src/port/tar.c): ustar,
// with sizes beyond 8 GiB in base 256. empty tells that the block is zero,
// which ends an archive.
func parseHeader(block *[blockSize]byte) (m member, empty bool, err error) {
	stated, err := parseNumber(block[148:156])
	sum := checksum(block)
	if err == nil && stated == 0 && sum == 8*' ' { // nothing but zeros: the checksum itself counts as blanks
		return member{}, true, nil
	}
	if err != nil || stated != sum {
		return member{}, false, fmt.Errorf("%w: its checksum is wrong", errNotTar)
	}
	m.name = text(block[0:100])
	if prefix := text(block[345:500]); prefix != "" {
		m.name = prefix + "/" + m.name
	}
	m.name = strings.TrimSuffix(strings.TrimPrefix(m.name, "./"), "/")
	if m.kind = block[156]; m.kind == 0 {
		m.kind = typeFile
	}
	if m.size, err = parseNumber(block[124:136]); err != nil {
		return member{}, false, fmt.Errorf("%w: size of %q: %w", errNotTar, m.name, err)
	}
	if m.kind != typeFile {
		m.size = 0
	}
	mode, err := parseNumber(block[100:108])
	if err != nil {
		return member{}, false, fmt.Errorf("%w: mode of %q: %w", errNotTar, m.name, err)
	}
	m.mode = fs.FileMode(mode) & fs.ModePerm
	seconds, err := parseNumber(block[136:148])
	if err != nil {
		return member{}, false, fmt.Errorf("%w: time of %q: %w", errNotTar, m.name, err)
	}
	m.modTime = time.Unix(seconds, 0)
	return m, false, nil
}

// checksum is the sum of a header's bytes, those of the checksum itself taken
// as blanks.
func checksum(block *[blockSize]byte) int64 {
	var sum int64
	for _, b := range block[:148] {
		sum += int64(b)
	}
	sum += 8 * ' '
	for _, b := range block[156:] {
		sum += int64(b)
	}
	return sum
}

// maxNumber keeps sums of sizes from overflowing.
const maxNumber = 1 << 60

// parseNumber reads octal digits, or base 256 when the first bit is set.
func parseNumber(field []byte) (int64, error) {
	var n int64
	if field[0]&0x80 != 0 {
		if field[0] != 0x80 {
			return 0, errors.New("negative or too large")
		}
		for _, b := range field[1:] {
			if n = n<<8 | int64(b); n > maxNumber>>8 {
				return 0, errors.New("too large")
			}
		}
		return n, nil
	}
	for _, b := range bytes.Trim(field, " \x00") {
		if b < '0' || b > '7' {
			return 0, fmt.Errorf("%q is not an octal digit", b)
		}
		n = n<<3 | int64(b-'0')
	}
	return n, nil
}

func text(field []byte) string {
	s, _, _ := bytes.Cut(field, []byte{0})
	return string(s)
}
